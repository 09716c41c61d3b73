"""Heat maps and joints of one batch -> joints in input pixels and their scores; the flip test. NumPy only."""
from typing import NamedTuple, Optional, Tuple

import numpy as np

from common import grid
from common.data.crop import mirrored_order
from common.heatmaps import argmax


class Found(NamedTuple):
    """What is found in B crops by the configured decoding."""

    joints: np.ndarray                        # (B, K, 2) in input pixels
    scores: np.ndarray                        # (B, K) in 0..1, `heatmaps.confidence`; 1 for a regression network
    heatmaps: Optional[np.ndarray]            # (B, K, H, W), None for a regression network


def quarter(heatmaps) -> np.ndarray:
    """The maximum moved by a quarter of a cell towards its larger neighbour on each axis (Newell et al., ECCV 2016)."""
    cells, _ = argmax(heatmaps)
    around = _window(heatmaps, cells.astype(int), 1)                           # (B, K, 3, 3)
    towards = np.stack([around[..., 1, 2] - around[..., 1, 0], around[..., 2, 1] - around[..., 0, 1]], axis=2)
    # At the border one neighbour is missing (-inf): the maximum stays where it is.
    return cells + 0.25 * np.where(np.isfinite(towards), np.sign(towards), 0).astype(np.float32)


def local_integral(heatmaps, beta, window) -> np.ndarray:
    """The integral (Eq. 6) over the cells within `window` of the maximum, the softmax taken over these alone.

    An expectation over the whole map lies between two modes where the map has two; this one stays with the higher.
    """
    cells, _ = argmax(heatmaps)
    around = _window(heatmaps, cells.astype(int), window)
    mass = np.exp(beta * (around - around[..., window:window + 1, window:window + 1]))
    offsets = np.arange(-window, window + 1, dtype=np.float32)
    total = mass.sum(axis=(2, 3))
    return cells + np.stack([mass.sum(axis=2) @ offsets / total, mass.sum(axis=3) @ offsets / total], axis=2)


# What `test.decode` names: functions of heat maps (B, K, H, W), beta and window to cells (B, K, 2); the integral over
# all cells is the network's own.
DECODINGS = {'argmax': lambda heatmaps, beta, window: argmax(heatmaps)[0],
             'quarter': lambda heatmaps, beta, window: quarter(heatmaps),
             'integral': None,
             'local': local_integral}
HEATMAP_DECODINGS = tuple(DECODINGS)


def decode(heatmaps, joints, method, stride, beta=1.0, window=2, kind='centre') -> np.ndarray:
    """Joints (B, K, 2) in input pixels by one of the methods of `test.decode`.

    heatmaps: (B, K, H, W) of one stage, None for a regression network; joints: (B, K, 2), the network's own, in
    input pixels (the integral of its heat maps, or the regressed ones); kind: of the grid.
    """
    if method in ('integral', 'regression'):
        return joints
    return grid.to_pixels(DECODINGS[method](heatmaps, beta, window), stride, kind)


def unflip(heatmaps, joints, width, flip_pairs, kind='centre') -> Tuple[Optional[np.ndarray], np.ndarray]:
    """Outputs for a mirrored image, as they are for the image itself: mirrored back, left and right exchanged.

    width: of the image; kind: of the grid. On the grid `corner` mirrored cells lie between cells, so that maps are
    interpolated.
    """
    swap = mirrored_order(flip_pairs, joints.shape[1])
    joints = joints[:, swap].copy()
    joints[..., 0] = grid.mirror(joints[..., 0], width)
    return None if heatmaps is None else _mirror(heatmaps[:, swap], width, kind), joints


def _mirror(heatmaps, width, kind):
    """The heat maps (B, K, H, W) of the mirrored image; what comes in from outside the map repeats its border."""
    shift, mirrored = grid.mirror_shift(width // heatmaps.shape[3], kind), heatmaps[..., ::-1]
    if shift == 0:
        return mirrored
    left = np.concatenate([mirrored[..., :1], mirrored[..., :-1]], axis=3)
    return (1 - shift) * mirrored + shift * left


def _window(heatmaps, cells, radius):
    """The (2 radius + 1)^2 cells around `cells` (B, K, 2) of each map; -inf outside the map."""
    padded = np.pad(heatmaps, [(0, 0), (0, 0), (radius, radius), (radius, radius)], constant_values=-np.inf)
    reach = np.arange(2 * radius + 1)
    b, k = np.ogrid[:heatmaps.shape[0], :heatmaps.shape[1]]
    rows = cells[..., 1, None, None] + reach[:, None]
    columns = cells[..., 0, None, None] + reach
    return padded[b[..., None, None], k[..., None, None], rows, columns]
