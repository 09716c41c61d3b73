"""The networks: shapes, stages, what they start with."""
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from common import config
from common.nets import pose_net
from common.weights import checkpoint

CPU = [mx.cpu()]
H1 = 'experiments/cpu/mpii/table2/h1.yaml'


def configuration(root, *overrides):
    return config.load(root / H1, ['input.size=[64, 64]', *overrides])


@pytest.fixture(scope='module')
def images():
    return mx.nd.array(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)), dtype=np.uint8)


@pytest.mark.parametrize('backbone', ['resnet18', 'resnet50'])
@pytest.mark.parametrize('deconvolutions, cells', [(2, 8), (3, 16)])
def test_heatmap_network(root, images, backbone, deconvolutions, cells):
    cfg = configuration(root, f'network.backbone={backbone}', f'network.deconvolutions={deconvolutions}')
    net = pose_net.create(cfg, CPU)
    heatmaps, joints = net(images)
    assert [h.shape for h in heatmaps] == [(2, 16, cells, cells)]
    assert [j.shape for j in joints] == [(2, 16, 2)]
    assert net.stride == 64 // cells


def test_inputs_need_not_be_square(root):
    net = pose_net.create(configuration(root, 'input.size=[64, 96]'), CPU)
    net.heads[0].final.weight.set_data(mx.nd.zeros(net.heads[0].final.weight.shape))
    heatmaps, joints = net(mx.nd.zeros((1, 96, 64, 3), dtype=np.uint8))
    assert heatmaps[0].shape == (1, 16, 12, 8)
    np.testing.assert_allclose(joints[0].asnumpy(), np.broadcast_to([31.5, 47.5], (1, 16, 2)), atol=1e-4)


def test_regression_network_starts_at_the_centre(root, images):
    cfg = configuration(root, 'network.head=regression', 'loss.heatmap=none', 'loss.joint=l1', 'test.decode=regression',
                        'input.size=[64, 96]')
    net = pose_net.create(cfg, CPU)
    net.head.final.weight.set_data(mx.nd.zeros(net.head.final.weight.shape))
    heatmaps, joints = net(mx.nd.zeros((1, 96, 64, 3), dtype=np.uint8))
    assert heatmaps == []
    np.testing.assert_array_equal(joints[0].asnumpy(), np.broadcast_to([31.5, 47.5], (1, 16, 2)))


def test_stages_share_the_stem_and_each_sees_the_one_before(root, images):
    """A loss on the last stage alone reaches the parameters of every stage before it."""
    net = pose_net.build(configuration(root, 'network.stages=3'))
    net.initialize(mx.init.Xavier())
    with autograd.record():
        heatmaps, joints = net(images)
        value = joints[-1].sum()
    value.backward()
    assert len(heatmaps) == len(joints) == 3
    own = checkpoint.parameters(net)
    assert sum(name.startswith('stem.conv1') for name in own) == 1
    for stage in range(3):
        assert np.abs(own[f'heads.{stage}.final.weight'].grad().asnumpy()).max() > 0


def test_one_stage_network_has_the_names_of_a_single_network(root):
    one, two = (set(checkpoint.parameters(pose_net.build(configuration(root, f'network.stages={n}'))))
                for n in (1, 2))
    assert one < two
