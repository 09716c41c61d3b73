"""The networks: shapes, stages, GluonCV's parameters, normalisation, export."""
import mxnet as mx
import numpy as np
import pytest
from gluoncv import model_zoo
from mxnet import autograd
from runs import SEVENTEEN

from common import config
from common.errors import InputError
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


@pytest.mark.parametrize('stages', [1, 2])
def test_imagenet_parameters_give_gluoncvs_features(root, images, tmp_path, stages):
    resnet = model_zoo.get_model('resnet18_v1b')
    resnet.initialize(mx.init.Xavier(magnitude=3))
    normalised = mx.nd.image.normalize(mx.nd.image.to_tensor(images), mean=(0.485, 0.456, 0.406),
                                       std=(0.229, 0.224, 0.225))
    x = normalised
    for name in ('conv1', 'bn1', 'relu', 'maxpool', 'layer1', 'layer2', 'layer3', 'layer4'):
        x = getattr(resnet, name)(x)
    resnet(normalised)
    resnet.save_parameters(str(tmp_path / 'imagenet.params'))
    net = pose_net.create(configuration(root, f'network.stages={stages}'), CPU)
    checkpoint.load_parameters(net, tmp_path / 'imagenet.params', CPU, partly=True)
    np.testing.assert_allclose(net.trunks[0](net.stem(images)).asnumpy(), x.asnumpy(), atol=1e-5)


def test_another_resnets_parameters_are_refused(root, tmp_path):
    resnet = model_zoo.get_model('resnet50_v1b')
    resnet.initialize()
    resnet(mx.nd.zeros((1, 3, 64, 64)))
    resnet.save_parameters(str(tmp_path / 'resnet50.params'))
    net = pose_net.create(configuration(root), CPU)
    with pytest.raises(InputError, match=r'resnet50.params: .*'):
        checkpoint.load_parameters(net, tmp_path / 'resnet50.params', CPU, partly=True)


def test_a_checkpoint_of_another_network_is_refused_naming_both_shapes(root, tmp_path):
    net = pose_net.create(configuration(root), CPU)
    checkpoint.save_parameters(net, tmp_path / 'h1.params')
    other = pose_net.create(configuration(root, SEVENTEEN), CPU)
    with pytest.raises(InputError, match=r'heads.0.final.weight has shape \(16, 256, 1, 1\).*\(17, 256, 1, 1\)'):
        checkpoint.load_parameters(other, tmp_path / 'h1.params', CPU)
    deeper = pose_net.create(configuration(root, 'network.deconvolutions=3'), CPU)
    with pytest.raises(InputError, match='has no heads.0.deconvolutions'):
        checkpoint.load_parameters(deeper, tmp_path / 'h1.params', CPU)


def test_export_gives_the_same_outputs(root, images, tmp_path):
    net = pose_net.create(configuration(root), CPU)
    expected = net(images)
    net.export(str(tmp_path / 'net'))
    outputs = mx.gluon.SymbolBlock.imports(str(tmp_path / 'net-symbol.json'), ['data'],
                                           str(tmp_path / 'net-0000.params'))(images)
    np.testing.assert_allclose(outputs[0].asnumpy(), expected[0][0].asnumpy(), atol=1e-6)
    np.testing.assert_allclose(outputs[1].asnumpy(), expected[1][0].asnumpy(), atol=1e-4)
