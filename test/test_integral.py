"""The integral against its closed form, at its limits, and its gradient against finite differences."""
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from common import grid
from common.decode import local_integral
from common.nets.integral import Integral


def closed_form(heatmaps, stride, beta=1.0):
    """Eq. 4-7 in float64, written down as in the paper."""
    h = np.exp(beta * (heatmaps - heatmaps.max(axis=(2, 3), keepdims=True)).astype(np.float64))
    h /= h.sum(axis=(2, 3), keepdims=True)
    x = (h * np.arange(h.shape[3])).sum(axis=(2, 3))
    y = (h * np.arange(h.shape[2])[:, None]).sum(axis=(2, 3))
    return grid.to_pixels(np.stack([x, y], axis=2), stride)


@pytest.mark.parametrize('shape', [(2, 3, 16, 16), (1, 2, 7, 12), (1, 1, 1, 1), (2, 1, 64, 48)])
@pytest.mark.parametrize('beta', [1, 10])
def test_equals_the_closed_form(shape, beta):
    heatmaps = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for hybridize in (False, True):
        layer = Integral(8, beta)
        layer.hybridize(hybridize)
        np.testing.assert_allclose(layer(mx.nd.array(heatmaps)).asnumpy(), closed_form(heatmaps, 8, beta), atol=2e-3)


def test_a_saturated_map_gives_its_cell_exactly():
    heatmaps = np.full((1, 3, 64, 64), -1e4, np.float32)
    cells = [(0, 0), (63, 5), (31, 63)]
    for k, (x, y) in enumerate(cells):
        heatmaps[0, k, y, x] = 3e4
    joints = Integral(4)(mx.nd.array(heatmaps)).asnumpy()[0]
    np.testing.assert_array_equal(joints, [[x * 4 + 1.5, y * 4 + 1.5] for x, y in cells])


def test_a_flat_map_gives_the_centre_of_the_input():
    joints = Integral(8)(mx.nd.ones((1, 2, 32, 24)) * 1e4).asnumpy()
    np.testing.assert_allclose(joints, np.broadcast_to([(24 * 8 - 1) / 2, (32 * 8 - 1) / 2], (1, 2, 2)), atol=1e-4)


@pytest.mark.parametrize('shape', [(2, 3, 16, 16), (1, 2, 7, 12), (2, 1, 3, 64)])
def test_with_a_window_it_is_the_local_integral(shape):
    heatmaps = np.random.default_rng(0).normal(size=shape).astype(np.float32)   # many maxima are near a border
    layer = Integral(8, 3, window=2)
    layer.hybridize()
    expected = grid.to_pixels(local_integral(heatmaps, 3, 2), 8)
    np.testing.assert_allclose(layer(mx.nd.array(heatmaps)).asnumpy(), expected, atol=1e-3)


def test_the_window_holds_one_of_two_equal_maxima():
    heatmaps = np.full((1, 1, 16, 16), -1e3, np.float32)
    heatmaps[0, 0, 12, 3] = heatmaps[0, 0, 2, 10] = 0                          # at x 3, y 12 and at x 10, y 2
    joint = Integral(8, window=2)(mx.nd.array(heatmaps)).asnumpy()[0, 0]
    np.testing.assert_array_equal(joint, [10 * 8 + 3.5, 2 * 8 + 3.5])


@pytest.mark.parametrize('window', [0, 1])
def test_gradient_equals_finite_differences(window):
    def reference(maps):
        return grid.to_pixels(local_integral(maps, 3, window), 8) if window else closed_form(maps, 8, 3)
    rng = np.random.default_rng(1)
    heatmaps, weights = rng.normal(size=(1, 2, 4, 5)).astype(np.float32), rng.normal(size=(1, 2, 2))
    data = mx.nd.array(heatmaps)
    data.attach_grad()
    with autograd.record():
        value = (Integral(8, 3, window)(data) * mx.nd.array(weights)).sum()
    value.backward()
    expected = np.zeros(heatmaps.shape)
    for index in np.ndindex(heatmaps.shape):
        step = np.zeros(heatmaps.shape)
        step[index] = 1e-5
        high, low = (reference(heatmaps.astype(np.float64) + sign * step) for sign in (1, -1))
        expected[index] = ((high - low) * weights).sum() / 2e-5
    np.testing.assert_allclose(data.grad.asnumpy(), expected, rtol=1e-3, atol=1e-4)
