"""A trained network over a loader: joints of every decoding in source-image coordinates."""
import numpy as np
from mxnet import gluon
from tqdm import tqdm

from common import decode
from common.crop import invert, transform_points


def decodings(cfg):
    """The decodings a configuration's network allows."""
    return ('regression',) if cfg.network.head == 'regression' else decode.HEATMAP_DECODINGS


def forward(net, images, contexts):
    """Last-stage heat maps (B, K, H, W), None for regression, and joints (B, K, 2) of uint8 images (B, H, W, 3)."""
    parts = gluon.utils.split_and_load(images, contexts[:len(images)], even_split=False)
    outputs = [net(part) for part in parts]
    heatmaps = [stages[-1].asnumpy() for stages, _ in outputs if stages]
    joints = np.concatenate([stages[-1].asnumpy() for _, stages in outputs])
    return np.concatenate(heatmaps) if heatmaps else None, joints


def forward_flipped(net, images, contexts, flip_pairs):
    """`forward` averaged with that of the mirrored images, mirrored back (the flip test of section 6.1)."""
    plain = forward(net, images, contexts)
    mirrored = decode.unflip(*forward(net, np.ascontiguousarray(images[:, :, ::-1]), contexts),
                             images.shape[2], flip_pairs)
    return tuple(None if a is None else (a + b) / 2 for a, b in zip(plain, mirrored))


def predict(cfg, net, loader, contexts, flip_pairs, title):
    """Joints of every sample by every decoding, and scores.

    Returns {decoding: (N, K, 2)} in 0-based pixels of the source images, in the order of the samples, and scores
    (N, K): the heat maps' maxima, 1 for a regression network.
    """
    methods = decodings(cfg)
    joints = {method: [] for method in methods}
    scores = []
    with tqdm(total=len(loader.samples), desc=title, unit=' images', mininterval=1, leave=False,
              dynamic_ncols=True) as bar:
        for batch in loader.batches():
            if cfg.test.flip:
                heatmaps, direct = forward_flipped(net, batch.images, contexts, flip_pairs)
            else:
                heatmaps, direct = forward(net, batch.images, contexts)
            back = [invert(matrix) for matrix in batch.matrices]
            for method in methods:
                found = decode.decode(heatmaps, direct, method, net.stride, cfg.network.beta, cfg.test.window)
                joints[method] += [transform_points(m, points) for m, points in zip(back, found)]
            scores.append(np.ones(direct.shape[:2]) if heatmaps is None else decode.argmax(heatmaps)[1])
            bar.update(len(batch.images))
    return {method: np.stack(found) for method, found in joints.items()}, np.concatenate(scores)
