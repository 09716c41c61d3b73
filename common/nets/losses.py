"""The losses of H1 (section 3) and of joints (sections 4 and 5), and what a heat-map loss is.

H2's and H3's are in `cell_losses`. A heat-map loss is a class: it has its name in YAML, the keys it takes, what it
computes, its score of a joint and the map to look at. One that is defined elsewhere, before a program runs, is found by
its name as those here are. Targets are rendered here, on the device, as outer products of one-dimensional profiles.
`PoseLoss` adds up stages, leaves joints out that are not visible and divides by the constant number of joints, so that
the mean over a batch does not depend on how the batch is spread over devices.
"""
import os
import sys
from typing import Optional

import numpy as np
from mxnet import autograd, gluon

from common import grid, heatmaps
from common.guard import rules
from common.nets.integral import Integral


KINDS = {}                                    # {name in YAML: class} of every heat-map loss that is defined


class HeatmapLoss(gluon.HybridBlock):
    """A heat-map loss: subclass it, give it a `kind`, and `loss.heatmap: KIND` trains with it.

    Its `hybrid_forward(F, maps, cells, keys)` takes heat maps (B, K, H, W), joints (B, K, 2) in heat-map cells
    (`grid.to_cells`) and keys (B,), a random number for each crop, and returns a loss for each joint (B, K). This class
    itself is no loss at all, R1's and I*'s.

    kind: its name in YAML. keys: {name in the section `loss`: (what it may be, what it means)}, of this loss alone.
    """

    kind = 'none'
    keys = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if 'kind' not in cls.__dict__:        # it would take the place of the loss that it is made of
            raise TypeError(f'{cls.__name__} has no `kind`, its name in YAML')
        for kind, other in list(KINDS.items()):
            if _place(other) == _place(cls):  # defined anew, as in a notebook, or its file is run and imported, too
                del KINDS[kind]
        if cls.kind in KINDS:
            raise TypeError(f'{cls.__name__} has the `kind` of {KINDS[cls.kind].__name__}, {cls.kind}; give it another '
                            'one')
        KINDS[cls.kind] = cls

    def __init__(self, cfg, stride, **kwargs):
        """cfg: the configuration; stride: input pixels that a cell is wide."""
        super().__init__(**kwargs)
        self.cfg, self.stride = cfg, stride

    @classmethod
    def problem(cls, cfg) -> Optional[str]:
        """What is wrong with the values of its keys together with others, a text; None where nothing is."""

    @classmethod
    def score(cls, cfg, maps) -> np.ndarray:
        """The score of each joint (B, K) by its heat map (B, K, H, W)."""
        return heatmaps.confidence(maps, cfg.network.beta, cfg.test.window, cfg.network.debiased)

    @classmethod
    def pictured(cls, cfg, maps) -> np.ndarray:
        """The maps to look at of a network that was trained with this loss alone: by default the normalised ones."""
        return heatmaps.normalised(maps, cfg.network.beta, cfg.network.debiased)


KINDS[HeatmapLoss.kind] = HeatmapLoss


def _place(kind):
    """Where a class is defined: its file, or module where that has none, and its name there."""
    file = getattr(sys.modules.get(kind.__module__), '__file__', None)
    return os.path.realpath(file) if file else kind.__module__, kind.__qualname__


def positions(F, maps):
    """Cell indices along x, shape (1, 1, 1, W), and along y, shape (1, 1, H, 1)."""
    return (F.contrib.arange_like(maps, axis=3).reshape((1, 1, 1, -1)),
            F.contrib.arange_like(maps, axis=2).reshape((1, 1, -1, 1)))


def centres(F, cells):
    """x and y of joints in cells, each (B, K, 1, 1)."""
    x, y = F.split(cells, num_outputs=2, axis=2)                               # (B, K, 1) each
    return x.expand_dims(3), y.expand_dims(3)


class GaussianLoss(HeatmapLoss):
    """H1: square error against a Gaussian of standard deviation `loss.sigma` cells and height 1 at the joint.

    Summed over the cells, not averaged: the Gaussian covers as many cells on a large map as on a small one, so that
    the loss, and its weight against that of the joints, is the same at every resolution.
    """

    kind = 'mse'
    keys = {'sigma': (rules.number(0, above=True), "H1: the Gaussian's standard deviation in cells")}

    @classmethod
    def score(cls, cfg, maps) -> np.ndarray:
        """The field's: the maximum, 1 for a sure joint."""
        return heatmaps.argmax(maps)[1]

    @classmethod
    def pictured(cls, cfg, maps) -> np.ndarray:
        return maps

    def target(self, F, maps, cells):
        """The Gaussians (B, K, H, W)."""
        px, py = positions(F, maps)
        cx, cy = centres(F, cells)
        along_x = F.exp(-0.5 * F.square(F.broadcast_sub(px, cx) / self.cfg.loss.sigma))
        along_y = F.exp(-0.5 * F.square(F.broadcast_sub(py, cy) / self.cfg.loss.sigma))
        return F.broadcast_mul(along_x, along_y)

    def hybrid_forward(self, F, maps, cells, keys):
        return F.sum(F.square(maps - self.target(F, maps, cells)), axis=(2, 3))


class PoseLoss(gluon.HybridBlock):
    """The configured losses of a batch, for `autograd`.

    Inputs: the network's lists of heat maps and joints, true joints (B, K, 2) in input pixels, visible (B, K) of 0
    and 1, keys (B,). Returns two arrays (B,), weighted: the heat-map loss and the joint loss, each summed over stages
    and averaged over the K joints, 0 where the method has none. The joint loss is the L1 (or squared L2) distance in
    widths of the input, with `loss.window` of the heat maps' local integrals instead of the network's joints.
    """

    def __init__(self, cfg, stride, **kwargs):
        super().__init__(**kwargs)
        self._loss, self._stride, self._width, self._kind = cfg.loss, stride, cfg.input.size[0], cfg.network.grid
        self.heatmap_loss = None if cfg.loss.heatmap == 'none' else KINDS[cfg.loss.heatmap](cfg, stride)
        self.integral = None
        if cfg.loss.window:
            self.integral = Integral(stride, cfg.network.beta, cfg.loss.window, kind=self._kind)

    def hybrid_forward(self, F, maps, joints, target, visible, keys):
        nothing = F.zeros_like(keys)
        heatmap_loss = joint_loss = nothing
        if self.heatmap_loss:
            cells = grid.to_cells(target, self._stride, self._kind)
            heatmap_loss = sum((self._over_joints(F, self.heatmap_loss(h, cells, keys), visible)
                                for h in maps), nothing)
        if self._loss.joint != 'none':
            if self.integral:
                joints = [self.integral(h) for h in maps]
            joint_loss = sum((self._over_joints(F, self._distance(F, j, target), visible) for j in joints), nothing)
        return heatmap_loss * self._loss.heatmap_weight, joint_loss * self._loss.joint_weight

    def _distance(self, F, joints, target):
        error = (joints - target) / self._width
        return F.sum(F.abs(error) if self._loss.joint == 'l1' else F.square(error), axis=2)

    @staticmethod
    def _over_joints(F, losses, visible):
        return F.mean(losses * visible, axis=1)


class LossGraph(gluon.HybridBlock):
    """Network, targets and losses as one graph: images, true joints, visible, keys -> two losses (B,) (`PoseLoss`)."""

    def __init__(self, net, loss, **kwargs):
        super().__init__(**kwargs)
        self.net, self.loss = net, loss

    def hybrid_forward(self, F, images, joints, visible, keys):
        maps, predicted = self.net(images)
        return self.loss(maps, predicted, joints, visible, keys)

    def backward(self, outputs):
        """Compute the gradients of what was made of this graph's outputs under `autograd.record`, of each device."""
        autograd.backward(outputs)
