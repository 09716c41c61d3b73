"""The integral (Eq. 4-7): the expectation of a joint's location under its normalised heat map."""
from mxnet import gluon

from common import grid
from common.heatmaps import TINY


class Integral(gluon.HybridBlock):
    """Heat maps (B, K, H, W), any H and W -> joints (B, K, 2), x and y in input pixels.

    Softmax (Eq. 5) of `beta` times the heat map, then the expectation (Eq. 6). Only the marginal sums over rows and
    columns meet the coordinates, so no H x W x 2 products are made and not even the normalised map is written. The
    maximum is subtracted first: a map saturated at one cell gives exactly that cell's centre.

    window: leave out the cells further than this from the maximum's row or column, as `decode.local_integral` does; 0
    for none (the paper's).

    debiased: weigh a cell of height h by exp(beta h) - 1, and not at all below 0, instead of exp(beta h): cells without
    a joint, whose height is 0 in a map trained on Gaussians, then draw no joint to the middle of the map. Softmax's
    weights less the background's is the idea of Gu et al., "Removing the Bias of Integral Pose Regression" (ICCV 2021).
    A map that is nowhere above 0 gives its middle.

    kind: of the grid (`common.grid`).
    """

    def __init__(self, stride, beta=1.0, window=0, debiased=False, kind='centre', **kwargs):
        super().__init__(**kwargs)
        self._stride, self._beta, self._window, self._debiased = stride, beta, window, debiased
        self.kind = kind

    def hybrid_forward(self, F, heatmaps):
        mass = self.mass(F, heatmaps)
        if self._window:
            for axis in (3, 2):               # a window of rows, then of columns
                profile = F.max(mass, axis=axis)
                mass = F.broadcast_mul(mass, near(F, profile, F.argmax(profile, axis=2, keepdims=True),
                                                  self._window).expand_dims(axis))
        columns, rows = F.sum(mass, axis=2), F.sum(mass, axis=3)               # (B, K, W), (B, K, H)
        total = F.sum(columns, axis=2)                                         # (B, K)
        x = F.dot(columns, F.contrib.arange_like(columns, axis=2)) / total
        y = F.dot(rows, F.contrib.arange_like(rows, axis=2)) / total
        return grid.to_pixels(F.stack(x, y, axis=2), self._stride, self.kind)

    def mass(self, F, heatmaps):
        """The normalised map (Eq. 5) but for its sum, (B, K, H, W), all cells: the highest cell has the mass 1."""
        logits = heatmaps * self._beta
        highest = F.BlockGrad(F.max(logits, axis=(2, 3), keepdims=True))       # softmax does not depend on a shift
        mass = F.exp(F.broadcast_sub(logits, highest))
        if self._debiased:
            background = F.exp(-F.relu(highest))                               # of a cell of height 0
            mass = F.relu(F.broadcast_sub(mass, background)) + TINY
        return mass


def near(F, profile, centre, window):
    """1 within `window` of `centre` (B, K, 1) along the last axis, 0 elsewhere, in the shape (B, K, n) of `profile`."""
    positions = F.contrib.arange_like(profile, axis=2).reshape((1, 1, -1))
    return F.abs(F.broadcast_sub(positions, centre)) <= window
