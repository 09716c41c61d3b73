"""A trained network, and what it finds: joints of every decoding in source-image coordinates."""
from functools import partial
from typing import Callable, Optional, Tuple

import numpy as np
from mxnet import nd
from tqdm import tqdm

from common import runtime, skeleton
from common.data.crop import invert, transform_points
from common.nets import losses, pose_net
from common.predict import decode
from common.predict.decode import Found
from common.predict.onnx_net import OnnxNet, is_export
from common.weights import checkpoint


def load_network(cfg, params, contexts) -> Callable:
    """The configured network with the parameters of a file, all of them (`checkpoint.load_parameters`), to infer with.

    On the CPU, oneDNN then takes a convolution and the normalisation, sum and ReLU after it as one operator with fixed
    parameters: a fifth faster, and equal but for rounding. An .onnx file is the network itself, as `common.export`
    wrote it, with its flip test and decoding (`onnx_net.OnnxNet`).
    """
    if is_export(params):
        return OnnxNet(params, cfg, contexts[0])
    net = pose_net.create(cfg, contexts)
    checkpoint.load_parameters(net, params, contexts)
    if contexts[0].device_type == 'cpu':
        net.optimize_for(pose_net.blank(cfg, contexts[0]), backend='MKLDNN', static_alloc=True, static_shape=True)
    return net


def decodings(cfg, net=None) -> Tuple[str, ...]:
    """The decodings a configuration's network allows; an export has its own alone."""
    if isinstance(net, OnnxNet):
        return (cfg.test.decode,)
    return ('regression',) if cfg.network.head == 'regression' else decode.HEATMAP_DECODINGS


def forward(net, images, contexts, stage=0, watch=None) -> Tuple[Optional[np.ndarray], np.ndarray]:
    """Heat maps (B, K, H, W), None for regression, and joints (B, K, 2) of uint8 images (B, H, W, 3).

    stage: of a multi-stage network, 1 for the first; 0 for the last. watch: a function of what the network puts out on
    each device, as NDArrays, to be called before it is read.
    """
    outputs = [net(part) for part in runtime.scatter(images, contexts[:len(images)])]
    if watch:
        watch(outputs)
    heatmaps = [stages[stage - 1].asnumpy() for stages, _ in outputs if stages]
    joints = np.concatenate([stages[stage - 1].asnumpy() for _, stages in outputs])
    return np.concatenate(heatmaps) if heatmaps else None, joints


def infer(cfg, net, images, contexts, watch=None) -> Tuple[Optional[np.ndarray], np.ndarray]:
    """`forward` as the configuration's `test.stage` and `test.flip` want it; `watch` is for the images as they are.

    The flip test (section 6.1) averages heat maps and joints with those of the mirrored images, mirrored back. The
    joints of an export are decoded.
    """
    if isinstance(net, OnnxNet):
        found = net.find(images)
        return found.heatmaps, found.joints
    plain = forward(net, images, contexts, cfg.test.stage, watch)
    if not cfg.test.flip:
        return plain
    mirrored = decode.unflip(*forward(net, np.ascontiguousarray(images[:, :, ::-1]), contexts, cfg.test.stage),
                             images.shape[2], skeleton.of(cfg).flip_pairs, cfg.network.grid)
    return tuple(None if a is None else (a + b) / 2 for a, b in zip(plain, mirrored))


def find(cfg, net, images, contexts) -> Found:
    """What the configuration says of images uint8 (B, H, W, 3), by its flip test, stage and decoding."""
    if isinstance(net, OnnxNet):
        return net.find(images)
    heatmaps, joints = infer(cfg, net, images, contexts)
    if heatmaps is None:
        return Found(joints, np.ones(joints.shape[:2]), None)
    scores = losses.HeatmapLoss.score(cfg, heatmaps)
    return Found(_decode(cfg, net, heatmaps, joints, cfg.test.decode), scores, heatmaps)


def _decode(cfg, net, heatmaps, joints, method):
    if isinstance(net, OnnxNet):
        return joints
    return decode.decode(heatmaps, joints, method, net.stride, cfg.network.beta, cfg.test.window,
                         cfg.network.grid)


def locate(cfg, net, heatmaps, joints, method, matrices) -> np.ndarray:
    """What `infer` returned, by one decoding, as joints (B, K, 2) in 0-based pixels of the source images.

    matrices: (B, 2, 3), source to input pixels.
    """
    return to_source(_decode(cfg, net, heatmaps, joints, method), matrices)


def to_source(joints, matrices) -> np.ndarray:
    """Joints (B, K, 2) in input pixels as those of the source images; matrices: (B, 2, 3), source to input pixels."""
    return np.stack([transform_points(invert(matrix), points) for matrix, points in zip(matrices, joints)])


def joint_scores(cfg, heatmaps) -> np.ndarray:
    """The score of each joint (B, K) by its heat map (B, K, H, W), as the configured loss has it."""
    return losses.KINDS[cfg.loss.heatmap].score(cfg, heatmaps)


def pictured(cfg, heatmaps) -> np.ndarray:
    """The maps (B, K, H, W) to look at: the normalised ones (Eq. 5) where joints are learned, else as the loss says."""
    if cfg.loss.joint != 'none':
        return losses.HeatmapLoss.pictured(cfg, heatmaps)
    return losses.KINDS[cfg.loss.heatmap].pictured(cfg, heatmaps)


class MeanLoss:
    """The mean of a configuration's losses over batches that are only looked at, as for validation."""

    def __init__(self, cfg, stride):
        self._loss, self._sum, self._count = losses.PoseLoss(cfg, stride), 0.0, 0

    def add(self, batch, outputs):
        """Add a `data.loader.Batch`; outputs: the network's of each device's part of its images."""
        start = 0
        for maps, joints in outputs:
            end, context = start + len(joints[0]), joints[0].context
            true = (nd.array(array[start:end], ctx=context) for array in (batch.joints, batch.visible, batch.keys))
            self._sum += sum(part.sum().asscalar().item() for part in self._loss(maps, joints, *true))
            self._count, start = self._count + end - start, end

    def __float__(self):
        return self._sum / max(1, self._count)


def predict(cfg, net, loader, contexts, title, scored=False, loss=None) -> Tuple[dict, Optional[np.ndarray]]:
    """Joints of every sample by every decoding, and scores.

    Returns {decoding: (N, K, 2)} in 0-based pixels of the source images, in the order of the samples, and scores
    (N, K), if `scored`: `joint_scores`, 1 for a regression network; None otherwise, for they take their time. loss: a
    `MeanLoss` to add everything to.
    """
    methods = decodings(cfg, net)
    joints = {method: [] for method in methods}
    scores = []
    with tqdm(total=len(loader.samples), desc=title, unit=' images', leave=False, **runtime.bar_intervals(),
              dynamic_ncols=True) as bar:
        for batch in loader.batches():
            watch = partial(loss.add, batch) if loss else None
            heatmaps, direct = infer(cfg, net, batch.images, contexts, watch)
            for method in methods:
                joints[method].append(locate(cfg, net, heatmaps, direct, method, batch.matrices))
            if scored:
                scores.append(np.ones(direct.shape[:2]) if heatmaps is None else joint_scores(cfg, heatmaps))
            bar.update(len(batch.images))
    joints = {method: np.concatenate(found) for method, found in joints.items()}
    return joints, np.concatenate(scores) if scored else None
