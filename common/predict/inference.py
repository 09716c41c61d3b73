"""A trained network, and what it finds: joints of every decoding in source-image coordinates."""
from functools import partial
from pathlib import Path
from typing import Callable, Optional, Tuple

import numpy as np
from tqdm import tqdm

from common import runtime, skeleton
from common.data.crop import invert, transform_points
from common.nets import losses, pose_net
from common.predict import decode
from common.predict.onnx_net import OnnxNet
from common.weights import checkpoint


def load_network(cfg, params, contexts) -> Callable:
    """The configured network with the parameters of a file, all of them (`checkpoint.load_parameters`), to infer with.

    On the CPU, oneDNN then takes a convolution and the normalisation, sum and ReLU after it as one operator with fixed
    parameters: a fifth faster, and equal but for rounding. An .onnx file is the network itself, as `common.export`
    wrote it (`onnx_net.OnnxNet`).
    """
    if Path(params).suffix == '.onnx':
        return OnnxNet(params, cfg)
    net = pose_net.create(cfg, contexts)
    checkpoint.load_parameters(net, params, contexts)
    if contexts[0].device_type == 'cpu':
        net.optimize_for(pose_net.blank(cfg, contexts[0]), backend='MKLDNN', static_alloc=True, static_shape=True)
    return net


def decodings(cfg) -> Tuple[str, ...]:
    """The decodings a configuration's network allows."""
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

    The flip test (section 6.1) averages heat maps and joints with those of the mirrored images, mirrored back.
    """
    plain = forward(net, images, contexts, cfg.test.stage, watch)
    if not cfg.test.flip:
        return plain
    mirrored = decode.unflip(*forward(net, np.ascontiguousarray(images[:, :, ::-1]), contexts, cfg.test.stage),
                             images.shape[2], skeleton.of(cfg).flip_pairs, cfg.network.grid)
    return tuple(None if a is None else (a + b) / 2 for a, b in zip(plain, mirrored))


def locate(cfg, net, heatmaps, joints, method, matrices) -> np.ndarray:
    """What `infer` returned, by one decoding, as joints (B, K, 2) in 0-based pixels of the source images.

    matrices: (B, 2, 3), source to input pixels.
    """
    found = decode.decode(heatmaps, joints, method, net.stride, cfg.network.beta, cfg.test.window, cfg.network.grid)
    return to_source(found, matrices)


def to_source(joints, matrices) -> np.ndarray:
    """Joints (B, K, 2) in input pixels as those of the source images; matrices: (B, 2, 3), source to input pixels."""
    return np.stack([transform_points(invert(matrix), points) for matrix, points in zip(matrices, joints)])


def joint_scores(cfg, heatmaps) -> np.ndarray:
    """The score of each joint (B, K) by its heat map (B, K, H, W), as the configured loss has it."""
    return losses.kinds()[cfg.loss.heatmap].score(cfg, heatmaps)


def pictured(cfg, heatmaps) -> np.ndarray:
    """The maps (B, K, H, W) to look at: the normalised ones (Eq. 5) where joints are learned, else as the loss says."""
    if cfg.loss.joint != 'none':
        return losses.HeatmapLoss.pictured(cfg, heatmaps)
    return losses.kinds()[cfg.loss.heatmap].pictured(cfg, heatmaps)


def predict(cfg, net, loader, contexts, title, scored=False, loss=None) -> Tuple[dict, Optional[np.ndarray]]:
    """Joints of every sample by every decoding, and scores.

    Returns {decoding: (N, K, 2)} in 0-based pixels of the source images, in the order of the samples, and scores
    (N, K), if `scored`: `joint_scores`, 1 for a regression network; None otherwise, for they take their time. loss: a
    `nets.losses.MeanLoss` to add everything to.
    """
    methods = decodings(cfg)
    joints = {method: [] for method in methods}
    scores = []
    with tqdm(total=len(loader.samples), desc=title, unit=' images', mininterval=1, leave=False,
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
