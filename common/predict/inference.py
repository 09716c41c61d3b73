"""A trained network over a loader: joints of every decoding in source-image coordinates."""
import numpy as np
from tqdm import tqdm

from common import runtime
from common.data.crop import invert, transform_points
from common.nets.integral import TINY
from common.predict import decode


def decodings(cfg):
    """The decodings a configuration's network allows."""
    return ('regression',) if cfg.network.head == 'regression' else decode.HEATMAP_DECODINGS


def forward(net, images, contexts, stage=0):
    """Heat maps (B, K, H, W), None for regression, and joints (B, K, 2) of uint8 images (B, H, W, 3).

    stage: of a multi-stage network, 1 for the first; 0 for the last.
    """
    outputs = [net(part) for part in runtime.scatter(images, contexts[:len(images)])]
    heatmaps = [stages[stage - 1].asnumpy() for stages, _ in outputs if stages]
    joints = np.concatenate([stages[stage - 1].asnumpy() for _, stages in outputs])
    return np.concatenate(heatmaps) if heatmaps else None, joints


def infer(cfg, net, images, contexts, flip_pairs):
    """`forward` as the configuration's `test.stage` and `test.flip` want it.

    The flip test (section 6.1) averages heat maps and joints with those of the mirrored images, mirrored back.
    """
    plain = forward(net, images, contexts, cfg.test.stage)
    if not cfg.test.flip:
        return plain
    mirrored = decode.unflip(*forward(net, np.ascontiguousarray(images[:, :, ::-1]), contexts, cfg.test.stage),
                             images.shape[2], flip_pairs)
    return tuple(None if a is None else (a + b) / 2 for a, b in zip(plain, mirrored))


def locate(cfg, net, heatmaps, joints, method, matrices, beta=None, window=None):
    """What `infer` returned, by one decoding, as joints (B, K, 2) in 0-based pixels of the source images.

    matrices: (B, 2, 3), source to input pixels; beta, window: the local integral's, the configuration's by default.
    """
    found = decode.decode(heatmaps, joints, method, net.stride, beta or cfg.network.beta, window or cfg.test.window)
    return np.stack([transform_points(invert(matrix), points) for matrix, points in zip(matrices, found)])


def normalised(heatmaps, beta, debiased=False):
    """The distribution whose expectation is the integral (Eq. 5): softmax of beta times heat maps (B, K, H, W).

    debiased: with the background's weights subtracted, as `nets.integral.Integral` does.
    """
    highest = heatmaps.max(axis=(2, 3), keepdims=True)
    mass = np.exp(beta * (heatmaps - highest))
    if debiased:
        mass = np.maximum(mass - np.exp(-beta * np.maximum(highest, 0)), 0) + TINY
    return mass / mass.sum(axis=(2, 3), keepdims=True)


def confidence(heatmaps, beta, window, debiased=False):
    """How sure each joint is (B, K), in 0..1: the largest share of its normalised map in (2 window + 1)^2 cells.

    Unlike the maximum, which is 1 for a sure joint of H1 and has no bounds for H2, H3 and I*, it means the same for
    every network.
    """
    width = 2 * window + 1
    around = [(0, 0), (0, 0), (width, width - 1), (width, width - 1)]
    sums = np.pad(normalised(heatmaps, beta, debiased), around).cumsum(axis=2).cumsum(axis=3)
    rows = sums[:, :, width:] - sums[:, :, :-width]
    return (rows[..., width:] - rows[..., :-width]).max(axis=(2, 3))


def joint_scores(cfg, heatmaps):
    """The field's score of each joint (B, K): the maximum where the target is a Gaussian of height 1, as H1's and I1's.

    Those of other networks have no scale, and have their `confidence`.
    """
    if cfg.loss.heatmap == 'mse':
        return decode.argmax(heatmaps)[1]
    return confidence(heatmaps, cfg.network.beta, cfg.test.window, cfg.network.debiased)


def pictured(cfg, heatmaps):
    """The maps (B, K, H, W) to look at: of H1 H itself, of H3 its probabilities, of others the normalised H (Eq. 5)."""
    if cfg.loss.joint == 'none' and cfg.loss.heatmap != 'softmax':
        return heatmaps if cfg.loss.heatmap == 'mse' else 1 / (1 + np.exp(-heatmaps))
    return normalised(heatmaps, cfg.network.beta, cfg.network.debiased)


def predict(cfg, net, loader, contexts, flip_pairs, title, scored=False):
    """Joints of every sample by every decoding, and scores.

    Returns {decoding: (N, K, 2)} in 0-based pixels of the source images, in the order of the samples, and scores
    (N, K), if `scored`: `joint_scores`, 1 for a regression network; None otherwise, for they take their time.
    """
    methods = decodings(cfg)
    joints = {method: [] for method in methods}
    scores = []
    with tqdm(total=len(loader.samples), desc=title, unit=' images', mininterval=1, leave=False,
              dynamic_ncols=True) as bar:
        for batch in loader.batches():
            heatmaps, direct = infer(cfg, net, batch.images, contexts, flip_pairs)
            for method in methods:
                joints[method].append(locate(cfg, net, heatmaps, direct, method, batch.matrices))
            if scored:
                scores.append(np.ones(direct.shape[:2]) if heatmaps is None else joint_scores(cfg, heatmaps))
            bar.update(len(batch.images))
    joints = {method: np.concatenate(found) for method, found in joints.items()}
    return joints, np.concatenate(scores) if scored else None
