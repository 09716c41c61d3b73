"""The losses of H1, H2, H3 (section 3) and of joints (sections 4 and 5).

A heat-map loss takes heat maps (B, K, H, W), joints (B, K, 2) in heat-map cells (`grid.to_cells`) and keys (B,), and
returns a loss for each joint (B, K). Targets are drawn here, on the device, as outer products of one-dimensional
profiles. `PoseLoss` adds up stages, leaves joints out that are not visible and divides by the constant number of
joints, so that the mean over a batch does not depend on how the batch is spread over devices.
"""
from mxnet import autograd, gluon

from common import grid
from common.nets.integral import Integral


def _positions(F, heatmaps):
    """Cell indices along x, shape (1, 1, 1, W), and along y, shape (1, 1, H, 1)."""
    return (F.contrib.arange_like(heatmaps, axis=3).reshape((1, 1, 1, -1)),
            F.contrib.arange_like(heatmaps, axis=2).reshape((1, 1, -1, 1)))


def _centres(F, cells):
    """x and y of joints in cells, each (B, K, 1, 1)."""
    x, y = F.split(cells, num_outputs=2, axis=2)                               # (B, K, 1) each
    return x.expand_dims(3), y.expand_dims(3)


class GaussianLoss(gluon.HybridBlock):
    """H1: square error against a Gaussian of standard deviation `sigma` cells and height 1 at the joint.

    Summed over the cells, not averaged: the Gaussian covers as many cells on a large map as on a small one, so that
    the loss, and its weight against that of the joints, is the same at every resolution.
    """

    def __init__(self, sigma, **kwargs):
        super().__init__(**kwargs)
        self._sigma = sigma

    def hybrid_forward(self, F, heatmaps, cells, keys):
        px, py = _positions(F, heatmaps)
        cx, cy = _centres(F, cells)
        along_x = F.exp(-0.5 * F.square(F.broadcast_sub(px, cx) / self._sigma))
        along_y = F.exp(-0.5 * F.square(F.broadcast_sub(py, cy) / self._sigma))
        return F.sum(F.square(heatmaps - F.broadcast_mul(along_x, along_y)), axis=(2, 3))


class SoftmaxLoss(gluon.HybridBlock):
    """H2: cross-entropy of the softmax over all H*W cells against the one cell that holds the joint."""

    def hybrid_forward(self, F, heatmaps, cells, keys):
        px, py = _positions(F, heatmaps)
        cx, cy = _centres(F, F.floor(cells + 0.5))
        one_hot = F.broadcast_mul(F.broadcast_equal(px, cx), F.broadcast_equal(py, cy))
        highest = F.BlockGrad(F.max(heatmaps, axis=(2, 3), keepdims=True))
        logits = F.broadcast_sub(heatmaps, highest)
        return F.log(F.sum(F.exp(logits), axis=(2, 3))) - F.sum(one_hot * logits, axis=(2, 3))


class BinaryLoss(gluon.HybridBlock):
    """H3: binary cross-entropy of each cell's sigmoid, mean over the positive cells and randomly drawn negatives.

    Cells whose centre lies within `radius` cells of the joint are positive; every other cell is drawn with the
    probability that makes `negatives` of them for each positive, in expectation. The draw depends only on the
    sample's key, so that neither the number of devices nor a resumed run changes it.
    """

    def __init__(self, radius, negatives, **kwargs):
        super().__init__(**kwargs)
        self._radius, self._negatives = radius, negatives

    def hybrid_forward(self, F, heatmaps, cells, keys):
        px, py = _positions(F, heatmaps)
        cx, cy = _centres(F, cells)
        square = F.broadcast_add(F.square(F.broadcast_sub(px, cx)), F.square(F.broadcast_sub(py, cy)))
        positive = square <= self._radius ** 2
        count = F.sum(positive, axis=(2, 3), keepdims=True)
        others = F.sum(1 - positive, axis=(2, 3), keepdims=True)
        drawn = F.broadcast_lesser(self._noise(F, heatmaps, keys, px, py), self._negatives * count / others)
        selected = F.maximum(positive, drawn)
        entropy = F.Activation(heatmaps, act_type='softrelu') - heatmaps * positive     # -log of sigmoid or of 1 - it
        return F.sum(selected * entropy, axis=(2, 3)) / F.maximum(F.sum(selected, axis=(2, 3)), 1)

    @staticmethod
    def _noise(F, heatmaps, keys, px, py):
        """Uniform in [0, 1), (B, K, H, W): a hash of key, joint and cell (the fraction of a large sine)."""
        joint = F.contrib.arange_like(heatmaps, axis=1).reshape((1, -1, 1, 1))
        phase = F.broadcast_add(keys.reshape((-1, 1, 1, 1)) * 977.0, joint * 12.9898)
        phase = F.broadcast_add(F.broadcast_add(phase, px * 37.719), py * 78.233)
        wave = F.sin(phase) * 1543.7
        return wave - F.floor(wave)


class PoseLoss(gluon.HybridBlock):
    """The configured losses of a batch, for `autograd`.

    Inputs: the network's lists of heat maps and joints, true joints (B, K, 2) in input pixels, visible (B, K) of 0
    and 1, keys (B,). Returns two arrays (B,), weighted: the heat-map loss and the joint loss, each summed over stages
    and averaged over the K joints, 0 where the method has none. The joint loss is the L1 (or squared L2) distance in
    widths of the input, with `loss.window` of the heat maps' local integrals instead of the network's joints.
    """

    def __init__(self, cfg, stride, **kwargs):
        super().__init__(**kwargs)
        loss, width = cfg.loss, cfg.input.size[0]
        self._loss, self._stride, self._width = loss, stride, width
        if loss.heatmap == 'mse':
            self.heatmap_loss = GaussianLoss(loss.sigma)
        elif loss.heatmap == 'softmax':
            self.heatmap_loss = SoftmaxLoss()
        elif loss.heatmap == 'binary':
            self.heatmap_loss = BinaryLoss(loss.radius * width / 256 / stride, loss.negatives)
        else:
            self.heatmap_loss = None
        self.integral = Integral(stride, cfg.network.beta, loss.window) if loss.window else None

    def hybrid_forward(self, F, heatmaps, joints, target, visible, keys):
        nothing = F.zeros_like(keys)
        heatmap_loss = joint_loss = nothing
        if self.heatmap_loss:
            cells = grid.to_cells(target, self._stride)
            heatmap_loss = sum((self._over_joints(F, self.heatmap_loss(h, cells, keys), visible)
                                for h in heatmaps), nothing)
        if self._loss.joint != 'none':
            if self.integral:
                joints = [self.integral(h) for h in heatmaps]
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
        heatmaps, predicted = self.net(images)
        return self.loss(heatmaps, predicted, joints, visible, keys)

    def backward(self, outputs):
        """The gradients of what was made of this graph's outputs under `autograd.record`, of each device."""
        autograd.backward(outputs)
