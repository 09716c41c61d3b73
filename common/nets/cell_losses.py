"""The losses of H2 and H3 (section 3), by which every cell of a heat map is classified."""
from typing import Optional

import numpy as np

from common import grid
from common.guard import rules
from common.nets.losses import HeatmapLoss, centres, positions


class SoftmaxLoss(HeatmapLoss):
    """H2: cross-entropy of the softmax over all H*W cells against the one cell that holds the joint."""

    kind = 'softmax'

    def hybrid_forward(self, F, maps, cells, keys):
        px, py = positions(F, maps)
        cx, cy = centres(F, F.floor(cells + 0.5))              # on the grid `corner` one beyond the last, at the edge
        cx = F.broadcast_minimum(cx, F.max(px, axis=3, keepdims=True))
        cy = F.broadcast_minimum(cy, F.max(py, axis=2, keepdims=True))
        one_hot = F.broadcast_mul(F.broadcast_equal(px, cx), F.broadcast_equal(py, cy))
        highest = F.BlockGrad(F.max(maps, axis=(2, 3), keepdims=True))
        logits = F.broadcast_sub(maps, highest)
        return F.log(F.sum(F.exp(logits), axis=(2, 3))) - F.sum(one_hot * logits, axis=(2, 3))


class BinaryLoss(HeatmapLoss):
    """H3: binary cross-entropy of each cell's sigmoid, mean over the positive cells and randomly chosen negatives.

    Cells whose centre lies within `loss.radius` of the joint are positive; every other cell is chosen with the
    probability that makes `loss.negatives` of them for each positive, in expectation. The choice depends only on the
    crop's key, so that neither the number of devices nor a resumed run changes it.
    """

    kind = 'binary'
    keys = {'radius': (rules.number(0, above=True),
                       'H3: positives lie within this many pixels, for an input 256 wide'),
            'negatives': (rules.number(0, above=True), 'H3: random negatives for each positive')}

    def __init__(self, cfg, stride, **kwargs):
        super().__init__(cfg, stride, **kwargs)
        self._radius = cfg.loss.radius * cfg.input.size[0] / 256 / stride      # in cells

    @classmethod
    def problem(cls, cfg) -> Optional[str]:
        stride = grid.stride(cfg.network.deconvolutions)
        edge = stride - 0.5 - grid.to_pixels(0, stride, cfg.network.grid)      # from the last cell's centre
        nearest = edge * 2 ** 0.5 * 256 / cfg.input.size[0]
        if cfg.loss.radius < nearest:
            return (f"loss.radius {cfg.loss.radius:g}: a joint may be farther from every cell's centre; with this "
                    f'input.size and network.deconvolutions at least {np.ceil(nearest * 100) / 100:g}')

    @classmethod
    def pictured(cls, cfg, maps) -> np.ndarray:
        return 1 / (1 + np.exp(-maps))

    def hybrid_forward(self, F, maps, cells, keys):
        px, py = positions(F, maps)
        cx, cy = centres(F, cells)
        square = F.broadcast_add(F.square(F.broadcast_sub(px, cx)), F.square(F.broadcast_sub(py, cy)))
        positive = square <= self._radius ** 2
        count = F.sum(positive, axis=(2, 3), keepdims=True)
        others = F.sum(1 - positive, axis=(2, 3), keepdims=True)
        chosen = F.broadcast_lesser(self._noise(F, maps, keys, px, py), self.cfg.loss.negatives * count / others)
        selected = F.maximum(positive, chosen)
        entropy = F.Activation(maps, act_type='softrelu') - maps * positive     # -log of sigmoid or of 1 - it
        return F.sum(selected * entropy, axis=(2, 3)) / F.maximum(F.sum(selected, axis=(2, 3)), 1)

    @staticmethod
    def _noise(F, maps, keys, px, py):
        """Uniform in [0, 1), (B, K, H, W): a hash of key, joint and cell (the fraction of a large sine)."""
        joint = F.contrib.arange_like(maps, axis=1).reshape((1, -1, 1, 1))
        phase = F.broadcast_add(keys.reshape((-1, 1, 1, 1)) * 977.0, joint * 12.9898)
        phase = F.broadcast_add(F.broadcast_add(phase, px * 37.719), py * 78.233)
        wave = F.sin(phase) * 1543.7
        return wave - F.floor(wave)
