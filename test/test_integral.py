"""The integral against its closed form, at its limits, and its gradient against finite differences."""
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from common import grid
from common.heatmaps import normalised
from common.nets.integral import Integral
from common.predict.decode import local_integral


def closed_form(heatmaps, stride, beta=1.0):
    """Eq. 4-7 in float64, written down as in the paper."""
    h = np.exp(beta * (heatmaps - heatmaps.max(axis=(2, 3), keepdims=True)).astype(np.float64))
    h /= h.sum(axis=(2, 3), keepdims=True)
    x = (h * np.arange(h.shape[3])).sum(axis=(2, 3))
    y = (h * np.arange(h.shape[2])[:, None]).sum(axis=(2, 3))
    return grid.to_pixels(np.stack([x, y], axis=2), stride)


def closed_form_debiased(heatmaps, stride, beta):
    """`closed_form` of exp(beta h) - 1 instead of exp(beta h)."""
    with np.errstate(divide='ignore'):
        return closed_form(np.log(np.maximum(np.expm1(beta * heatmaps.astype(np.float64)), 0)), stride)


@pytest.mark.parametrize('shape', [(2, 3, 16, 16), (1, 2, 7, 12), (1, 1, 1, 1), (2, 1, 64, 48)])
@pytest.mark.parametrize('beta', [1, 10])
def test_equals_the_closed_form(shape, beta):
    heatmaps = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for hybridize in (False, True):
        layer = Integral(8, beta)
        layer.hybridize(hybridize)
        np.testing.assert_allclose(layer(mx.nd.array(heatmaps)).asnumpy(), closed_form(heatmaps, 8, beta), atol=2e-3)


@pytest.mark.parametrize('shape', [(2, 3, 16, 16), (1, 2, 7, 12), (2, 1, 3, 64)])
@pytest.mark.parametrize('beta', [1, 10])
def test_debiased_it_weighs_what_a_cell_has_above_one_of_height_0(shape, beta):
    heatmaps = np.random.default_rng(0).normal(scale=0.4, size=shape).astype(np.float32)
    mass = np.maximum(np.expm1(beta * heatmaps.astype(np.float64)), 0)
    layer = Integral(8, beta, debiased=True)
    layer.hybridize()
    found = layer(mx.nd.array(heatmaps)).asnumpy()
    np.testing.assert_allclose(found, closed_form_debiased(heatmaps, 8, beta), atol=2e-3)
    np.testing.assert_allclose(normalised(heatmaps, beta, debiased=True), mass / mass.sum(axis=(2, 3), keepdims=True),
                               atol=1e-5)


def test_debiased_a_background_of_any_size_draws_no_joint_to_the_middle():
    heatmaps = np.zeros((1, 1, 64, 64), np.float32)
    heatmaps[0, 0, 4:7, 50:53] = np.outer([0.1, 0.2, 0.1], [0.5, 1, 0.5])
    found = Integral(4, 15, debiased=True)(mx.nd.array(heatmaps)).asnumpy()[0, 0]
    np.testing.assert_allclose(found, [51 * 4 + 1.5, 5 * 4 + 1.5], atol=0.01)
    assert np.hypot(*(Integral(4, 15)(mx.nd.array(heatmaps)).asnumpy()[0, 0] - found)) > 50


@pytest.mark.parametrize('height', [0, -1, -1e4])
def test_debiased_a_map_without_anything_gives_the_middle(height):
    joints = Integral(8, 15, debiased=True)(mx.nd.full((1, 2, 32, 24), height)).asnumpy()
    np.testing.assert_allclose(joints, np.broadcast_to([(24 * 8 - 1) / 2, (32 * 8 - 1) / 2], (1, 2, 2)), atol=1e-2)


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


@pytest.mark.parametrize('window, debiased', [(0, False), (1, False), (0, True)])
def test_gradient_equals_finite_differences(window, debiased):
    def reference(maps):
        if debiased:
            return closed_form_debiased(maps, 8, 3)
        return grid.to_pixels(local_integral(maps, 3, window), 8) if window else closed_form(maps, 8, 3)
    rng = np.random.default_rng(1)
    heatmaps, weights = rng.normal(size=(1, 2, 4, 5)).astype(np.float32), rng.normal(size=(1, 2, 2))
    data = mx.nd.array(heatmaps)
    data.attach_grad()
    with autograd.record():
        value = (Integral(8, 3, window, debiased)(data) * mx.nd.array(weights)).sum()
    value.backward()
    expected = np.zeros(heatmaps.shape)
    for index in np.ndindex(heatmaps.shape):
        step = np.zeros(heatmaps.shape)
        step[index] = 1e-5
        high, low = (reference(heatmaps.astype(np.float64) + sign * step) for sign in (1, -1))
        expected[index] = ((high - low) * weights).sum() / 2e-5
    np.testing.assert_allclose(data.grad.asnumpy(), expected, rtol=1e-3, atol=1e-4)
