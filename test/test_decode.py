"""Heat maps to joints and back: cells, sub-cell places, borders, two modes and mirror images."""
from itertools import product

import numpy as np
import pytest

from common import grid
from common.predict import decode

METHODS = decode.HEATMAP_DECODINGS
PAIRS = ((0, 3), (1, 2))                       # of five joints
WIDTH, HEIGHT = 12, 9


@pytest.fixture
def noise():
    """Heat maps (2, 5, HEIGHT, WIDTH) without ties."""
    return np.random.default_rng(0).normal(size=(2, 5, HEIGHT, WIDTH)).astype(np.float32)


def peak(*cells, size=(WIDTH, HEIGHT), sigma=1):
    """A heat map (1, 1, H, W): at each (x, y, height) of `cells` a Gaussian of standard deviation `sigma` cells."""
    rows, columns = np.ogrid[:size[1], :size[0]]
    return sum(h * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / sigma ** 2) for x, y, h in cells)[None, None]


def spot(*cells, size=(5, 4)):
    """A heat map (1, 1, H, W) of zeros with the values {(x, y): value} given as (x, y, value)."""
    heatmap = np.zeros((1, 1, size[1], size[0]))
    for x, y, value in cells:
        heatmap[0, 0, y, x] = value
    return heatmap


def integral(heatmaps, beta, centre=None, window=10 ** 6):
    """Eq. 6 by loops: the expectation over the cells of one map within `window` of `centre`."""
    height, width = heatmaps.shape
    cells = [(x, y) for x, y in product(range(width), range(height))
             if centre is None or max(abs(x - centre[0]), abs(y - centre[1])) <= window]
    mass = [np.exp(beta * float(heatmaps[y, x])) for x, y in cells]
    return np.array([sum(m * cell[axis] for m, cell in zip(mass, cells)) / sum(mass) for axis in (0, 1)])


def joints_of(heatmaps, method, stride=4, beta=2.0):
    """What a network with these heat maps decodes to, its own joints being the loops' integral."""
    own = np.array([[integral(h, beta) for h in maps] for maps in heatmaps])
    return decode.decode(heatmaps, grid.to_pixels(own, stride), method, stride, beta, 2)


# --- the grid ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('stride', [1, 4, 8])
def test_a_cell_covers_stride_pixels_and_its_centre_is_theirs(stride):
    pixels = np.arange(6 * stride)
    np.testing.assert_array_equal(np.round(grid.to_cells(pixels, stride)), np.repeat(np.arange(6), stride))
    np.testing.assert_allclose(grid.to_pixels(np.arange(6), stride), pixels.reshape(6, stride).mean(axis=1))
    assert grid.to_cells(-0.5, stride) == -0.5 and grid.to_cells(6 * stride - 0.5, stride) == 5.5, 'edge to edge'


@pytest.mark.parametrize('stride', [1, 4, 8, 16])
def test_pixels_to_cells_and_back(stride):
    pixels = np.random.default_rng(0).uniform(-50, 300, (100, 2))
    np.testing.assert_allclose(grid.to_pixels(grid.to_cells(pixels, stride), stride), pixels, atol=1e-9)
    np.testing.assert_allclose(grid.mirror(grid.to_pixels(pixels, stride), 7 * stride),
                               grid.to_pixels(grid.mirror(pixels, 7), stride), atol=1e-9)


@pytest.mark.parametrize('stride', [4, 8])
def test_on_the_other_grid_a_pixel_belongs_to_the_nearest_multiple_of_the_stride(stride):
    pixels = np.random.default_rng(0).uniform(0, 300, (100, 2))
    nearest = (pixels / stride + 0.5).astype(int)
    np.testing.assert_array_equal(np.round(grid.to_cells(pixels, stride, 'corner')), nearest)
    np.testing.assert_allclose(grid.to_pixels(grid.to_cells(pixels, stride, 'corner'), stride, 'corner'), pixels)


# --- networks trained elsewhere --------------------------------------------------------------------------------------

def simple_baselines_target(joints, size, stride=4):
    """Targets (1, K, H, W) by Simple Baselines' rule: a Gaussian of 2 cells about cell int(joint / stride + 0.5)."""
    cells = (joints / stride + 0.5).astype(int)
    return np.concatenate([peak((*cell, 1), size=size, sigma=2) for cell in cells], axis=1)


def errors_of_simple_baselines(method, flip, kind):
    """Mean errors in pixels, along x and y, of a network that knows its targets, over joints all over their cells."""
    width, height, offsets = 64, 48, np.arange(-1.9, 2, 0.2)
    joints = np.array([[4 * 9 + dx, 4 * 5 + dy] for dx in offsets for dy in offsets])
    mirrored = np.stack([grid.mirror(joints[:, 0], width), joints[:, 1]], axis=1)
    targets = [simple_baselines_target(points, (width // 4, height // 4)) for points in (joints, mirrored)]
    maps = (targets[0] + decode.unflip(targets[1], mirrored[None], width, (), kind)[0]) / 2 if flip else targets[0]
    return (decode.decode(maps, None, method, 4, 10, 2, kind)[0] - joints).mean(axis=0)


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('method', ['argmax', 'quarter', 'local'])
def test_simple_baselines_targets_are_read_without_bias_on_their_grid(method, flip):
    x, y = errors_of_simple_baselines(method, flip, 'corner')
    # A quarter is a whole quarter towards the mirrored map's cell, which is a quarter of a cell away or three.
    assert abs(x) < (0.51 if (method, flip) == ('quarter', True) else 0.05) and abs(y) < 0.05
    np.testing.assert_allclose(errors_of_simple_baselines(method, False, 'centre'), 1.5, atol=0.05)


def test_a_mirrored_map_of_the_other_grid_is_moved_by_less_than_a_cell():
    """By 3/4 of it: a joint at pixel x is in the mirrored image at the cell (63 - x) / 4, which is 16 - 1/4 - x / 4."""
    assert grid.mirror_shift(4) == 0 and grid.mirror_shift(4, 'corner') == 0.75
    assert grid.mirror_shift(8, 'corner') == 0.875
    maps, mirrored = (peak((x, 5, 1), size=(16, 12), sigma=2) for x in (6.5, 16 - 0.25 - 6.5))
    found, _ = decode.unflip(mirrored, np.zeros((1, 1, 2)), 64, (), 'corner')
    np.testing.assert_allclose(found, maps, atol=0.03)
    assert np.abs(maps - peak((6.75, 5, 1), size=(16, 12), sigma=2)).max() > 0.07, 'a quarter of a cell can be told'


# --- round trips ---------------------------------------------------------------------------------------------------

def test_argmax_finds_every_cell_exactly():
    for x, y in product(range(WIDTH), range(HEIGHT)):
        cells, scores = decode.argmax(peak((x, y, 0.75)))
        assert cells.tolist() == [[[x, y]]] and scores.tolist() == [[0.75]]
        found = decode.decode(peak((x, y, 1)), None, 'argmax', 8)
        assert found.tolist() == [[[8 * x + 3.5, 8 * y + 3.5]]]


@pytest.mark.parametrize('method, error', [('argmax', 0.5), ('quarter', 0.25), ('local', 0.11)])
def test_a_gaussian_between_cells_is_found_as_closely_as_the_method_allows(method, error):
    """In cells; the local integral as H1 and I1 are decoded, with beta 15 on a Gaussian of 1.5 cells."""
    rng, errors = np.random.default_rng(0), []
    for _ in range(200):
        joint = rng.uniform(16, 4 * np.array([WIDTH, HEIGHT]) - 16, 2)         # pixels, the window inside of the map
        x, y = grid.to_cells(joint, 4)
        errors.append(np.abs(decode.decode(peak((x, y, 1), sigma=1.5), None, method, 4, 15, 2) - joint).max() / 4)
    assert 0.6 * error < max(errors) < error + 1e-6


def test_the_local_integral_of_a_softmax_that_is_a_gaussian_is_its_mean():
    for x, y in np.random.default_rng(0).uniform(5, 10, (20, 2)):
        logits = np.log(peak((x, y, 1), size=(16, 17)) + 1e-30)
        np.testing.assert_allclose(decode.local_integral(logits, 1, 5)[0, 0], [x, y], atol=1e-3)


# --- quarter shift -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('cells, expected', [
    ([(2, 1, 9), (3, 1, 2), (1, 1, 1), (2, 0, 3)], (2.25, 0.75)),
    ([(2, 1, 9), (1, 1, 2), (2, 2, 1)], (1.75, 1.25)),
    ([(2, 1, 9)], (2, 1)),                                             # equal neighbours
    ([(2, 1, 9), (3, 2, 5), (1, 0, 4)], (2, 1)),                       # diagonal ones do not count
    ([(0, 1, 9), (1, 1, 2), (0, 2, 2)], (0, 1.25)),                    # left border: no shift along x
    ([(4, 1, 9), (3, 1, 2)], (4, 1)),
    ([(2, 0, 9), (2, 1, 2), (3, 0, 1)], (2.25, 0)),
    ([(2, 3, 9), (2, 2, 2)], (2, 3)),
    ([(0, 0, 9), (1, 0, 2), (0, 1, 2)], (0, 0)),
    ([(4, 3, 9), (3, 3, 2), (4, 2, 2)], (4, 3))])
def test_quarter_shifts_worked_by_hand(cells, expected):
    assert decode.quarter(spot(*cells)).tolist() == [[list(expected)]]


# --- local integral ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('beta, window', [(1, 1), (2.5, 2), (0.5, 3), (1, 20)])
def test_the_local_integral_is_that_of_loops(noise, beta, window):
    found = decode.local_integral(noise, beta, window)
    for b, k in product(range(2), range(5)):
        y, x = np.unravel_index(noise[b, k].argmax(), noise[b, k].shape)
        np.testing.assert_allclose(found[b, k], integral(noise[b, k], beta, (x, y), window), rtol=1e-5, atol=1e-5)


def test_of_two_modes_the_local_integral_takes_the_higher_and_the_integral_neither():
    heatmap = peak((2, 2, 1), (9, 6, 0.9))
    np.testing.assert_allclose(decode.local_integral(heatmap, 20, 2)[0, 0], [2, 2], atol=0.05)
    x, y = decode.local_integral(heatmap, 20, WIDTH)[0, 0]             # the window holds the whole map
    assert 2.2 < x < 8.8 and 2.2 < y < 5.8


def test_large_values_do_not_overflow():
    heatmap = spot((2, 1, 1e6), (3, 1, 1e6)).astype(np.float32)
    assert decode.local_integral(heatmap, 10, 2).tolist() == [[[2.5, 1]]]


@pytest.mark.parametrize('x, y', product((0, 4), (0, 3)))
def test_at_corners_every_decoding_stays_in_the_map(x, y):
    heatmap = spot((x, y, 50))
    for method in ('argmax', 'quarter', 'local'):
        np.testing.assert_allclose(decode.decode(heatmap, None, method, 8), [[[8 * x + 3.5, 8 * y + 3.5]]], atol=1e-6)
    inside = decode.local_integral(spot((x, y, 1)), 1, 2)[0, 0]
    assert (0 < inside).all() and (inside < (4, 3)).all(), 'nothing lies beyond the border to pull it out'


# --- methods and mirrors -------------------------------------------------------------------------------------------

@pytest.mark.parametrize('method', ['integral', 'regression'])
def test_the_networks_own_joints_pass_unchanged(noise, method):
    joints = np.random.default_rng(1).uniform(size=(2, 5, 2))
    np.testing.assert_array_equal(decode.decode(noise, joints, method, 4), joints)


def test_unflip_worked_by_hand():
    heatmaps = np.arange(5 * 6.).reshape(1, 5, 2, 3)
    joints = np.array([[[0, 1], [2, 3], [4, 5], [6, 7], [8, 9.]]])
    unflipped, back = decode.unflip(heatmaps, joints, 10, PAIRS)
    assert back.tolist() == [[[3, 7], [5, 5], [7, 3], [9, 1], [1, 9]]]
    assert unflipped[0, 0].tolist() == [[20, 19, 18], [23, 22, 21]] and unflipped[0, 4, 0].tolist() == [26, 25, 24]
    assert joints[0, 0].tolist() == [0, 1], 'the arguments are not changed'


def test_unflipped_twice_is_unchanged(noise):
    joints = np.random.default_rng(1).uniform(0, 48, (2, 5, 2))
    maps, points = decode.unflip(*decode.unflip(noise, joints, 48, PAIRS), 48, PAIRS)
    np.testing.assert_array_equal(maps, noise)
    np.testing.assert_allclose(points, joints, atol=1e-12)
    assert decode.unflip(None, joints, 48, PAIRS)[0] is None, 'a regression network has no heat maps'


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('stride', [4, 8])
def test_the_heat_map_of_a_mirrored_image_gives_the_same_joints(noise, method, stride):
    mirrored = noise[:, [3, 2, 1, 0, 4], :, ::-1]
    maps, found = decode.unflip(mirrored, joints_of(mirrored, method, stride), WIDTH * stride, PAIRS)
    np.testing.assert_array_equal(maps, noise)
    np.testing.assert_allclose(found, joints_of(noise, method, stride), atol=1e-4)
