"""Every loss against a plain NumPy version, its gradient against finite differences, and what carries no loss."""
import mxnet as mx
import numpy as np
import pytest
from easydict import EasyDict
from mxnet import autograd

from common import grid
from common.nets.cell_losses import BinaryLoss, SoftmaxLoss
from common.nets.losses import GaussianLoss, PoseLoss
from common.predict.decode import local_integral

B, K, H, W, STRIDE = 2, 3, 6, 8, 8


def gaussian(heatmap, x, y):
    """H1 for one map and a joint at cell (x, y)."""
    target = np.array([[np.exp(-((i - x) ** 2 + (j - y) ** 2) / 2 / 1.5 ** 2) for i in range(W)] for j in range(H)])
    return ((heatmap - target) ** 2).sum()


def softmax(heatmap, x, y):
    """H2: minus the log of the probability of the cell that holds the joint."""
    p = np.exp(heatmap - heatmap.max())
    return -np.log(p[int(np.floor(y + 0.5)), int(np.floor(x + 0.5))] / p.sum())


def cell_entropies(heatmap, x, y, radius):
    """H3's positives, and the cross-entropy of every cell."""
    positive = np.array([[(i - x) ** 2 + (j - y) ** 2 <= radius ** 2 for i in range(W)] for j in range(H)])
    p = 1 / (1 + np.exp(-heatmap))
    return positive, -np.where(positive, np.log(p), np.log(1 - p))


def configuration(**loss):
    defaults = dict(heatmap='none', joint='none', heatmap_weight=1.0, joint_weight=1.0, sigma=1.5, radius=15.0,
                    negatives=3.0, window=0)
    return EasyDict(loss={**defaults, **loss}, network={'beta': 4.0, 'grid': 'centre'},
                    input={'size': [W * STRIDE, H * STRIDE]})


def binary_loss(cells, negatives):
    """H3 with a radius in cells; `loss.radius` is in pixels of an input 256 wide."""
    return BinaryLoss(configuration(radius=cells * 256 / W, negatives=negatives), STRIDE)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    heatmaps = rng.normal(size=(B, K, H, W)).astype(np.float32)
    cells = rng.uniform(-0.4, 5.4, (B, K, 2)).astype(np.float32)
    return heatmaps, cells, rng.random(B).astype(np.float32)


def value_and_gradient(loss, heatmaps, cells, keys):
    data = mx.nd.array(heatmaps)
    data.attach_grad()
    loss.hybridize()
    with autograd.record():
        value = loss(data, mx.nd.array(cells), mx.nd.array(keys))
    value.backward()
    return value.asnumpy(), data.grad.asnumpy()


@pytest.mark.parametrize('kind, reference', [(GaussianLoss, gaussian), (SoftmaxLoss, softmax)])
def test_heatmap_loss_and_gradient(batch, kind, reference):
    heatmaps, cells, keys = batch
    value, gradient = value_and_gradient(kind(configuration(), STRIDE), heatmaps, cells, keys)
    for b, k in np.ndindex(B, K):
        exact = heatmaps[b, k].astype(np.float64)
        assert value[b, k] == pytest.approx(reference(exact, *cells[b, k]), rel=1e-5)
        for j, i in np.ndindex(H, W):
            step = np.zeros((H, W))
            step[j, i] = 1e-5
            slope = (reference(exact + step, *cells[b, k]) - reference(exact - step, *cells[b, k])) / 2e-5
            assert gradient[b, k, j, i] == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_binary_loss_is_the_mean_over_positives_and_drawn_negatives(batch):
    """With so many negatives that every cell is drawn, the loss is the mean over all cells."""
    heatmaps, cells, keys = batch
    value, gradient = value_and_gradient(binary_loss(1.6, 1e6), heatmaps, cells, keys)
    for b, k in np.ndindex(B, K):
        positive, entropies = cell_entropies(heatmaps[b, k].astype(np.float64), *cells[b, k], 1.6)
        assert value[b, k] == pytest.approx(entropies.mean(), rel=1e-5)
        p = 1 / (1 + np.exp(-heatmaps[b, k]))
        np.testing.assert_allclose(gradient[b, k], (p - positive) / (H * W), atol=1e-6)


def test_binary_loss_draws_three_negatives_for_each_positive():
    """The gradient is not zero exactly where a cell was selected."""
    rng = np.random.default_rng(1)
    heatmaps = np.zeros((64, 16, 16, 16), np.float32)
    cells = rng.uniform(2, 13, (64, 16, 2)).astype(np.float32)
    _, gradient = value_and_gradient(binary_loss(1.9, 3), heatmaps, cells, rng.random(64).astype(np.float32))
    positives, negatives = (gradient < 0).sum(), (gradient > 0).sum()
    assert negatives / positives == pytest.approx(3, rel=0.03)
    drawn = (gradient > 0).mean(axis=(0, 1))                                   # every cell has the same chance
    assert drawn[3:-3, 3:-3].std() < 0.2 * drawn.mean()
    assert drawn.min() > 0


def test_binary_loss_draws_by_the_samples_key_alone(batch):
    heatmaps, cells, keys = batch
    loss = binary_loss(1.6, 3)
    _, together = value_and_gradient(loss, heatmaps, cells, keys)
    _, alone = value_and_gradient(loss, heatmaps[1:], cells[1:], keys[1:])
    _, other = value_and_gradient(loss, heatmaps, cells, keys[::-1])
    np.testing.assert_array_equal(together[1:], alone)
    assert not np.array_equal(together != 0, other != 0)


def pose_loss(cfg, heatmaps, joints, target, visible, keys):
    loss = PoseLoss(cfg, STRIDE)
    loss.hybridize()
    arrays = [[mx.nd.array(a) for a in heatmaps], [mx.nd.array(a) for a in joints]]
    return [a.asnumpy() for a in loss(*arrays, *(mx.nd.array(a) for a in (target, visible, keys)))]


@pytest.mark.parametrize('kind, distance', [('l1', lambda d: np.abs(d).sum(axis=2)),
                                            ('l2', lambda d: (d ** 2).sum(axis=2))])
def test_joint_loss(batch, kind, distance):
    rng = np.random.default_rng(2)
    target, joints = rng.uniform(0, 40, (2, B, K, 2)).astype(np.float32)
    visible = np.array([[1, 0, 1], [0, 1, 1]], np.float32)
    heatmap_loss, joint_loss = pose_loss(configuration(joint=kind, joint_weight=2.5), [], [joints], target, visible,
                                         batch[2])
    expected = 2.5 * (distance((joints - target) / (W * STRIDE)) * visible).mean(axis=1)
    np.testing.assert_allclose(joint_loss, expected, rtol=1e-5)
    np.testing.assert_array_equal(heatmap_loss, 0)


def test_joint_loss_of_the_local_integrals(batch):
    heatmaps, cells, keys = batch
    target, visible = grid.to_pixels(cells, STRIDE), np.ones((B, K), np.float32)
    elsewhere = np.full((B, K, 2), 1e3, np.float32)                            # the network's own joints, unused then
    _, joint_loss = pose_loss(configuration(joint='l1', window=1), [heatmaps, -heatmaps], [elsewhere] * 2, target,
                              visible, keys)
    found = [grid.to_pixels(local_integral(maps, 4.0, 1), STRIDE) for maps in (heatmaps, -heatmaps)]
    expected = sum(np.abs(joints - target).sum(axis=2).mean(axis=1) for joints in found) / (W * STRIDE)
    np.testing.assert_allclose(joint_loss, expected, rtol=1e-4)


def test_stages_add_up_and_targets_are_drawn_at_the_joints_place(batch):
    heatmaps, cells, keys = batch
    target, visible = (cells + 0.5) * STRIDE - 0.5, np.ones((B, K), np.float32)
    joints = target + 3
    losses = pose_loss(configuration(heatmap='mse', heatmap_weight=0.5, joint='l1'), [heatmaps, -heatmaps],
                       [joints, joints], target, visible, keys)
    for b in range(B):
        each = [gaussian(sign * heatmaps[b, k], *cells[b, k]) for k in range(K) for sign in (1, -1)]
        assert losses[0][b] == pytest.approx(0.5 * sum(each) / K, rel=1e-5)
    np.testing.assert_allclose(losses[1], 2 * 6 / (W * STRIDE), rtol=1e-5)


@pytest.mark.parametrize('kind, reference', [
    ('mse', gaussian), ('softmax', softmax),
    ('binary', lambda heatmap, x, y: cell_entropies(heatmap, x, y, 1.6)[1].mean())])
def test_the_configuration_names_the_heatmap_loss(batch, kind, reference):
    """H3's radius is in pixels of an input 256 wide: 51.2 there are 12.8 of these 64, which are 1.6 cells of 8."""
    heatmaps, cells, keys = batch
    cfg = configuration(heatmap=kind, radius=51.2, negatives=1e6)
    found, _ = pose_loss(cfg, [heatmaps], [], grid.to_pixels(cells, STRIDE), np.ones((B, K), np.float32), keys)
    expected = [np.mean([reference(heatmaps[b, k].astype(np.float64), *cells[b, k]) for k in range(K)])
                for b in range(B)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize('kind', ['mse', 'softmax', 'binary'])
def test_on_the_other_grid_a_cell_is_at_a_multiple_of_the_stride(batch, kind):
    heatmaps, cells, keys = batch
    here, there = configuration(heatmap=kind, joint='l1', window=2), configuration(heatmap=kind, joint='l1', window=2)
    there.network.grid, visible = 'corner', np.ones((B, K), np.float32)
    for one, other in zip(pose_loss(here, [heatmaps], [], grid.to_pixels(cells, STRIDE), visible, keys),
                          pose_loss(there, [heatmaps], [], cells * STRIDE, visible, keys)):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_a_joint_beyond_the_last_cells_of_the_other_grid_belongs_to_them(batch):
    heatmaps, _, keys = batch
    edge, last = np.full((B, K, 2), [W - 0.2, H - 0.2], np.float32), np.full((B, K, 2), [W - 1, H - 1], np.float32)
    for one, other in zip(*(value_and_gradient(SoftmaxLoss(configuration(), STRIDE), heatmaps, cells, keys)
                            for cells in (edge, last))):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('kind', ['mse', 'softmax', 'binary'])
def test_invisible_joints_carry_no_loss_wherever_they_are(batch, kind):
    heatmaps, cells, keys = batch
    target, visible = (cells + 0.5) * STRIDE - 0.5, np.ones((B, K), np.float32)
    visible[0, 1] = 0
    moved = target.copy()
    moved[0, 1] = -3e4, 5e3
    cfg = configuration(heatmap=kind, joint='l1')
    here, there = (pose_loss(cfg, [heatmaps], [joints], joints, visible, keys) for joints in (target, moved))
    np.testing.assert_array_equal(here[0], there[0])
    visible[:] = 0
    assert not np.any(pose_loss(cfg, [heatmaps], [moved + 5], target, visible, keys))
