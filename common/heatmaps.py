"""What heat maps (B, K, H, W) say, in NumPy: where their maximum is, their distribution, and how sure it is."""
from typing import Tuple

import numpy as np

TINY = 1e-9                                   # of the maximum's weight, in every cell: no map is without any


def argmax(heatmaps) -> Tuple[np.ndarray, np.ndarray]:
    """The location of the maximum (Eq. 1): heat maps (B, K, H, W) -> cells (B, K, 2), x and y, and values (B, K)."""
    flat = heatmaps.reshape(heatmaps.shape[:2] + (-1,))
    index = flat.argmax(axis=2)
    y, x = np.divmod(index, heatmaps.shape[3])
    return np.stack([x, y], axis=2).astype(np.float32), np.take_along_axis(flat, index[..., None], axis=2)[..., 0]


def normalised(heatmaps, beta, debiased=False) -> np.ndarray:
    """The distribution whose expectation is the integral (Eq. 5): softmax of beta times heat maps (B, K, H, W).

    debiased: with the background's weights subtracted, as `nets.integral.Integral` does.
    """
    highest = heatmaps.max(axis=(2, 3), keepdims=True)
    mass = np.exp(beta * (heatmaps - highest))
    if debiased:
        mass = np.maximum(mass - np.exp(-beta * np.maximum(highest, 0)), 0) + TINY
    return mass / mass.sum(axis=(2, 3), keepdims=True)


def confidence(heatmaps, beta, window, debiased=False) -> np.ndarray:
    """How sure each joint is (B, K), in 0..1: the largest share of its normalised map in (2 window + 1)^2 cells.

    Unlike the maximum, which is 1 for a sure joint of H1 and has no bounds for H2, H3 and I*, it means the same for
    every network.
    """
    width = 2 * window + 1
    around = [(0, 0), (0, 0), (width, width - 1), (width, width - 1)]
    sums = np.pad(normalised(heatmaps, beta, debiased), around).cumsum(axis=2).cumsum(axis=3)
    rows = sums[:, :, width:] - sums[:, :, :-width]
    return (rows[..., width:] - rows[..., :-width]).max(axis=(2, 3))


def second_mode(heatmaps, window) -> np.ndarray:
    """The height of the second mode in the first one's (B, K): 0 where there is none.

    Modes are cells that none of their eight neighbours exceeds; the second is the highest of those further than
    `window` from the maximum's row or column. Heights count from 0; of a map that is nowhere above 0 it is 0, too.
    """
    (h, w), (cells, highest) = heatmaps.shape[2:], argmax(heatmaps)
    padded = np.pad(heatmaps, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    around = np.max([padded[:, :, y:y + h, x:x + w] for y in range(3) for x in range(3)], axis=0)
    near = ((np.abs(np.arange(h)[:, None] - cells[..., 1, None, None]) <= window)
            & (np.abs(np.arange(w) - cells[..., 0, None, None]) <= window))
    second = np.where((heatmaps >= around) & ~near, heatmaps, 0).max(axis=(2, 3))
    return np.maximum(second, 0) / np.where(highest > 0, highest, np.inf)
