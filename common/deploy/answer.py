"""A network as one graph with the flip test, the decoding and the scores that the programs have in NumPy."""
import numpy as np
from mxnet import gluon

from common import grid, skeleton
from common.data.crop import mirrored_order
from common.errors import InputError
from common.nets.integral import Integral, near

STEPS = {'argmax': 0, 'quarter': 0.25}        # cells from the maximum towards its larger neighbours


class Answer(gluon.HybridBlock):
    """A network that answers as `predict.inference.find` does: images uint8 (B, H, W, 3) -> a list of arrays.

    joints (B, K, 2) in input pixels by `test.decode`, of the heat maps of `test.stage`, and of image and mirror with
    `test.flip`: both are one batch. scores (B, K): `heatmaps.confidence`. heatmaps (B, K, H/s, W/s), averaged with the
    mirror's; a regression network has none, and all its scores are 1.
    """

    def __init__(self, cfg, net, **kwargs):
        super().__init__(**kwargs)
        if cfg.test.decode not in (*STEPS, 'integral', 'local', 'regression'):
            raise InputError(f'test.decode is {cfg.test.decode}, which cannot be exported')
        self.net, self._cfg, self._grid = net, cfg, cfg.network.grid
        self._shift = grid.mirror_shift(net.stride, self._grid) if net.stride else 0
        self.local = None
        if cfg.test.decode == 'local':
            self.local = Integral(net.stride, cfg.network.beta, cfg.test.window, kind=self._grid)
        person = skeleton.of(cfg)
        order = mirrored_order(person.flip_pairs, len(person.joints))
        self.order = self.params.get_constant('order', np.float32(order))

    def hybrid_forward(self, F, images, order):
        test = self._cfg.test
        both = F.concat(images, F.flip(images, axis=2), dim=0) if test.flip else images
        maps, joints = (stages[test.stage - 1:][:1] for stages in self.net(both))
        if not maps:
            found = self._mean(self._views(F, joints[0], order, self._mirrored_points))
            return [found, F.ones_like(F.max(found, axis=2))]
        views = self._views(F, maps[0], order, lambda F, maps: F.flip(maps, axis=3))
        averaged = self._mean([*views[:1], *(self._shifted(F, view) for view in views[1:])])
        if test.decode == 'integral':
            plain, *others = (self.net.integral(view) for view in views)
            found = self._mean([plain, *(self._moved(F, other) for other in others)])
        elif test.decode == 'local':
            found = self.local(averaged)
        else:
            found = grid.to_pixels(maximum(F, averaged, STEPS[test.decode]), self.net.stride, self._grid)
        return [found, self._confidence(F, averaged), averaged]

    def _views(self, F, outputs, order, mirrored):
        """What the network put out for the images, and where they are mirrored, too, that for the mirror, set right."""
        if not self._cfg.test.flip:
            return [outputs]
        plain, other = F.split(outputs, num_outputs=2, axis=0)
        return [plain, mirrored(F, F.take(other, order, axis=1))]

    def _mirrored_points(self, F, joints):
        x, y = F.split(joints, num_outputs=2, axis=2)
        return F.concat(grid.mirror(x, self._cfg.input.size[0]), y, dim=2)

    def _shifted(self, F, maps):
        """Mirrored maps moved to the cells of the image: see `decode.unflip`."""
        if not self._shift:
            return maps
        left = F.concat(F.slice_axis(maps, axis=3, begin=0, end=1), F.slice_axis(maps, axis=3, begin=0, end=-1), dim=3)
        return (1 - self._shift) * maps + self._shift * left

    def _moved(self, F, joints):
        """Joints (B, K, 2) of mirrored maps, in pixels, moved as these are."""
        if not self._shift:
            return joints
        x, y = F.split(joints, num_outputs=2, axis=2)
        return F.concat(x + self._shift * self.net.stride, y, dim=2)

    @staticmethod
    def _mean(views):
        return views[0] if len(views) == 1 else (views[0] + views[1]) / 2

    def _confidence(self, F, maps):
        """The largest share of the normalised map in a window: `heatmaps.confidence`."""
        window = self._cfg.test.window
        mass = self.net.integral.mass(F, maps)
        shares = F.Pooling(mass, kernel=(2 * window + 1,) * 2, pad=(window,) * 2, stride=(1, 1), pool_type='avg',
                           count_include_pad=True)
        return F.max(shares, axis=(2, 3)) * (2 * window + 1) ** 2 / F.sum(mass, axis=(2, 3))


def maximum(F, maps, step):
    """The cells (B, K, 2) of the maxima, moved by `step` cells to the larger neighbours, see `STEPS`."""
    along_x, along_y = F.max(maps, axis=2), F.max(maps, axis=3)                # (B, K, W), (B, K, H)
    x, y = (F.argmax(profile, axis=2, keepdims=True) for profile in (along_x, along_y))
    if step:
        row = F.sum(F.broadcast_mul(maps, near(F, along_y, y, 0).expand_dims(3)), axis=2)
        column = F.sum(F.broadcast_mul(maps, near(F, along_x, x, 0).expand_dims(2)), axis=3)
        x, y = x + step * _towards(F, row, x), y + step * _towards(F, column, y)
    return F.concat(x, y, dim=2)


def _towards(F, line, at):
    """-1 or 1, where the larger neighbour of the cell `at` (B, K, 1) of a line (B, K, n) is; 0 where one is missing."""
    before, after = (near(F, line, at + step, 0) for step in (-1, 1))
    both = F.sum(before + after, axis=2, keepdims=True) - 1
    return F.sign(F.sum(line * (after - before), axis=2, keepdims=True)) * both
