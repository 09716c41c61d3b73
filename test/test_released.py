"""Parameters from every kind of `.params` file: the right values in the right place, and what is refused."""
import re

import mxnet as mx
import numpy as np
import pytest
from gluoncv import model_zoo
from runs import SEVENTEEN

from common import config
from common.errors import InputError
from common.nets import pose_net
from common.train import phases
from common.weights import checkpoint

CPU = [mx.cpu()]
H1 = 'experiments/cpu/mpii/table2/h1.yaml'
R1 = ('network.head=regression', 'loss.heatmap=none', 'loss.joint=l1', 'test.decode=regression')
SIMPLE_POSE = ('network.deconvolutions=3', 'network.grid=corner')
MEAN, STD = (tuple(config.BEFORE[f'input.{key}']) for key in ('mean', 'std'))     # ImageNet's


@pytest.fixture(scope='module')
def images():
    return mx.nd.array(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)), dtype=np.uint8)


@pytest.fixture(scope='module')
def build(root, images):
    """A function that makes the network of H1 with overrides and random parameters."""
    def build(*overrides):
        cfg = config.load(root / H1, ['input.size=[64, 64]', *overrides])
        return with_parameters(pose_net.build(cfg), images)
    return build


def gluoncvs(name, images, **options):
    """A network of GluonCV's with random parameters."""
    return with_parameters(model_zoo.get_model(name, **options), normalised(images))


def normalised(images):
    return mx.nd.image.normalize(mx.nd.image.to_tensor(images), mean=MEAN, std=STD)


def with_parameters(net, images):
    """The network with random parameters, such that every batch normalisation changes what passes; run once."""
    net.initialize(mx.init.Xavier())
    net.hybridize()
    net(images)
    random = np.random.default_rng(1)
    for name, parameter in checkpoint.parameters(net).items():
        kind = name.rpartition('.')[2]
        if kind in ('gamma', 'running_var'):
            parameter.set_data(mx.nd.array(random.uniform(0.5, 1.5, parameter.shape)))
        elif kind in ('beta', 'running_mean'):
            parameter.set_data(mx.nd.array(random.normal(0, 0.1, parameter.shape)))
    return net


def simple_pose(images):
    net = gluoncvs('simple_pose_resnet18_v1b', images, pretrained_base=False)
    for parameter in net.final_layer.collect_params().values():                # as trained: not nearly zero
        parameter.set_data(mx.nd.random.normal(0, 0.1, parameter.shape))
    return net


def values(net):
    return {name: parameter.data().asnumpy() for name, parameter in checkpoint.parameters(net).items()}


def assert_same_outputs(net, other, images):
    for one, two in zip(net(images), other(images)):
        for a, b in zip(one, two):
            np.testing.assert_array_equal(a.asnumpy(), b.asnumpy())


def by_gluon(net, path, images):
    net.save_parameters(str(path))


def by_export(net, path, images):
    net.export(str(path.with_suffix('')))
    path.with_name(f'{path.stem}-0000.params').rename(path)


def by_module(net, path, images):
    """As the Module API saves a symbol and its parameters."""
    outputs = net(mx.sym.var('data', dtype=images.dtype))
    symbol = mx.sym.Group(sum(outputs, [])) if isinstance(outputs, tuple) else outputs
    module = mx.mod.Module(symbol, data_names=['data'], label_names=None)
    module.bind([mx.io.DataDesc('data', images.shape, dtype=images.dtype)], for_training=False)
    own = {parameter.name: parameter.data() for parameter in net.collect_params().values()}
    auxiliary = symbol.list_auxiliary_states()
    module.init_params(arg_params={name: own[name] for name in symbol.list_arguments() if name != 'data'},
                       aux_params={name: own[name] for name in auxiliary})
    module.save_params(str(path))


SAVED = pytest.mark.parametrize('save', [by_gluon, by_export, by_module])
SAVED_OR_EXPORTED = pytest.mark.parametrize('save', [by_gluon, by_export])


# --- our networks --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('save, overrides', [(by_gluon, ('network.stages=2',)), (by_export, ('network.stages=2',)),
                                             (by_module, ('network.stages=2',)), (by_export, ()), (by_module, R1)])
def test_our_networks_give_the_same_outputs(build, images, tmp_path, save, overrides):
    """The second network of its kind in a process, for counters in names would have gone on."""
    net, other = build(*overrides), build(*overrides)
    save(net, tmp_path / 'net.params', images)
    match = checkpoint.load_parameters(other, tmp_path / 'net.params', CPU)
    assert list(match.matched) == list(values(net)) and not match.missing and not match.left_over
    assert_same_outputs(net, other, images)


def test_the_names_of_exported_networks_do_not_depend_on_what_was_built_before(build):
    one, two = (list(build('network.stages=2').collect_params()) for _ in range(2))
    assert one == two
    assert {'stem_conv0_weight', 'stage1_layers4_conv0_weight', 'head0_conv1_weight', 'head1_final_bias'} <= set(one)


def test_half_precision(build, tmp_path):
    net, other = build(), build()
    save_in_half_precision(net, tmp_path / 'half.params')
    checkpoint.load_parameters(other, tmp_path / 'half.params', CPU)
    given = values(net)
    for name, value in values(other).items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, given[name].astype(np.float16))


def save_in_half_precision(net, path):
    mx.nd.save(str(path), {name: mx.nd.array(value, dtype=np.float16) for name, value in values(net).items()})


def test_several_devices(root, build, tmp_path):
    checkpoint.save_parameters(build(), tmp_path / 'net.params')
    contexts = [mx.cpu(0), mx.cpu(1)]
    other = pose_net.create(config.load(root / H1, ['input.size=[64, 64]', 'network.stages=2']), contexts)
    checkpoint.load_parameters(other, tmp_path / 'net.params', contexts, partly=True)
    for parameter in checkpoint.parameters(other).values():
        first, second = (data.asnumpy() for data in parameter.list_data())
        np.testing.assert_array_equal(first, second)


def test_idle_arrays_may_be_left_over_and_no_others(build, tmp_path):
    net = build()
    arrays = {name: mx.nd.array(value) for name, value in values(net).items()}
    idle = {'fc.weight': mx.nd.ones((1000, 512)), 'stem.bn1.num_batches_tracked': mx.nd.ones(1)}
    mx.nd.save(str(tmp_path / 'idle.params'), {**arrays, **idle})
    for partly in (False, True):
        assert checkpoint.load_parameters(net, tmp_path / 'idle.params', CPU, partly).left_over == list(idle)
    mx.nd.save(str(tmp_path / 'more.params'), {**arrays, 'heads.0.more.weight': mx.nd.ones(1)})
    with pytest.raises(InputError, match='more.params: has heads.0.more.weight, which this network lacks'):
        checkpoint.load_parameters(net, tmp_path / 'more.params', CPU)


@SAVED_OR_EXPORTED
def test_another_number_of_joints_names_both_shapes(build, images, tmp_path, save):
    net = build(SEVENTEEN)
    save(net, tmp_path / 'seventeen.params', images)
    with pytest.raises(InputError, match=r'seventeen.params: .*final.* has shape \(17, 256, 1, 1\).*\(16, 256, 1, 1\)'):
        checkpoint.load_parameters(build(), tmp_path / 'seventeen.params', CPU)


# --- our networks as a start ---------------------------------------------------------------------------------------

@SAVED_OR_EXPORTED
def test_other_joints_are_a_missing_last_layer_of_a_start(build, images, tmp_path, save):
    net, other = build(SEVENTEEN), build()
    save(net, tmp_path / 'net.params', images)
    before, given = values(other), values(net)
    match = checkpoint.load_parameters(other, tmp_path / 'net.params', CPU, partly=True)
    assert match.missing == ['heads.0.final.weight', 'heads.0.final.bias']
    assert len(match.left_over) == 2 and all('final' in name for name in match.left_over)
    for name, value in values(other).items():
        np.testing.assert_array_equal(value, (before if name in match.missing else given)[name])


@SAVED_OR_EXPORTED
@pytest.mark.parametrize('saved, wanted, left_over', [(2, 3, 2), (3, 2, 7)])
def test_a_last_layer_behind_another_number_of_deconvolutions_is_missing(build, images, tmp_path, save, saved, wanted,
                                                                         left_over):
    net, other = (build(f'network.deconvolutions={n}') for n in (saved, wanted))
    save(net, tmp_path / 'net.params', images)
    match = checkpoint.load_parameters(other, tmp_path / 'net.params', CPU, partly=True)
    last = ['heads.0.final.weight', 'heads.0.final.bias']
    assert [name for name in match.missing if 'deconvolutions' not in name] == last
    assert len(match.left_over) == left_over
    np.testing.assert_array_equal(values(other)['heads.0.deconvolutions.3.weight'],
                                  values(net)['heads.0.deconvolutions.3.weight'])


def test_one_stage_in_half_precision_starts_all_stages(build, tmp_path):
    """Each stage's conv4 has the file's filters for the features, its own for the heat maps of the stage before."""
    net, other = build(), build('network.stages=2')
    save_in_half_precision(net, tmp_path / 'half.params')
    before, given = values(other), values(net)
    match = checkpoint.load_parameters(other, tmp_path / 'half.params', CPU, partly=True)
    assert not match.missing and not match.left_over
    seen = 0
    for name, value in values(other).items():
        theirs = given[re.sub(r'^(trunks|heads)\.1', r'\1.0', name)].astype(np.float16)
        assert value.dtype == np.float32
        if value.shape != theirs.shape:
            seen += 1
            np.testing.assert_array_equal(value[:, -16:], before[name][:, -16:])
            value = value[:, :-16]
        np.testing.assert_array_equal(value, theirs)
    assert seen == 2                          # the first convolution and its shortcut


def test_two_stages_start_three_and_one(build, images, tmp_path):
    net, three, one = (build(f'network.stages={n}') for n in (2, 3, 1))
    checkpoint.save_parameters(net, tmp_path / 'two.params')
    assert not checkpoint.load_parameters(three, tmp_path / 'two.params', CPU, partly=True).missing
    given = values(net)
    for name, value in values(three).items():
        np.testing.assert_array_equal(value, given[re.sub(r'^(trunks|heads)\.2', r'\1.1', name)])
    match = checkpoint.load_parameters(one, tmp_path / 'two.params', CPU, partly=True)
    assert not match.missing and all(name.startswith(('trunks.1.', 'heads.1.')) for name in match.left_over)
    np.testing.assert_array_equal(one(images)[0][0].asnumpy(), net(images)[0][0].asnumpy())
    with pytest.raises(InputError, match='has trunks.1.layer3.0.conv1.weight, which this network lacks'):
        checkpoint.load_parameters(one, tmp_path / 'two.params', CPU)


def test_stages_of_other_joints_start_with_the_filters_for_the_features(build, tmp_path):
    net, other = build('network.stages=2', SEVENTEEN), build('network.stages=2')
    checkpoint.save_parameters(net, tmp_path / 'net.params')
    name = 'trunks.1.layer3.0.conv1.weight'
    before = values(other)[name]
    assert len(checkpoint.load_parameters(other, tmp_path / 'net.params', CPU, partly=True).missing) == 4
    np.testing.assert_array_equal(values(other)[name][:, :128], values(net)[name][:, :128])
    np.testing.assert_array_equal(values(other)[name][:, 128:], before[:, 128:])


@SAVED_OR_EXPORTED
@pytest.mark.parametrize('saved, wanted', [((), R1), (R1, ())])
def test_a_regression_and_a_heatmap_network_start_each_other(build, images, tmp_path, save, saved, wanted):
    net, other = build(*saved), build(*wanted)
    save(net, tmp_path / 'net.params', images)
    match = checkpoint.load_parameters(other, tmp_path / 'net.params', CPU, partly=True)
    assert all(name.startswith('head') for name in match.missing)
    trunk, other_trunk = (net.trunks[0] if hasattr(net, 'trunks') else net.trunk for net in (net, other))
    np.testing.assert_array_equal(trunk(net.stem(images)).asnumpy(), other_trunk(other.stem(images)).asnumpy())


# --- GluonCV's networks --------------------------------------------------------------------------------------------

@SAVED
def test_simple_pose_gives_gluoncvs_heatmaps(build, images, tmp_path, save):
    theirs, net = simple_pose(images), build(*SIMPLE_POSE, SEVENTEEN)
    save(theirs, tmp_path / 'simple_pose.params', normalised(images))
    match = checkpoint.load_parameters(net, tmp_path / 'simple_pose.params', CPU)
    assert len(match.matched) == len(values(net)) and not match.missing and not match.left_over
    expected = theirs(normalised(images)).asnumpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(net(images)[0][0].asnumpy(), expected, atol=1e-5)


@SAVED
def test_simple_pose_is_not_read_on_our_grid(build, images, tmp_path, save):
    theirs, net = simple_pose(images), build(*SIMPLE_POSE, 'network.grid=centre', SEVENTEEN)
    save(theirs, tmp_path / 'simple_pose.params', normalised(images))
    with pytest.raises(InputError, match='simple_pose.params: .*on another grid; --set network.grid=corner'):
        checkpoint.load_parameters(net, tmp_path / 'simple_pose.params', CPU)


@SAVED_OR_EXPORTED
def test_simple_pose_in_a_network_for_other_joints(build, images, tmp_path, save):
    theirs, net = simple_pose(images), build(*SIMPLE_POSE)
    save(theirs, tmp_path / 'simple_pose.params', normalised(images))
    with pytest.raises(InputError, match=r'simple_pose.params: .* has shape \(17, 256, 1, 1\), '
                                         r'the network\'s heads.0.final.weight needs \(16, 256, 1, 1\)'):
        checkpoint.load_parameters(net, tmp_path / 'simple_pose.params', CPU)
    match = checkpoint.load_parameters(net, tmp_path / 'simple_pose.params', CPU, partly=True)
    assert match.missing == ['heads.0.final.weight', 'heads.0.final.bias'] and len(match.left_over) == 2
    head = net.heads[0].deconvolutions(net.trunks[0](net.stem(images)))
    expected = theirs.deconv_layers(theirs.resnet(normalised(images)))
    np.testing.assert_allclose(head.asnumpy(), expected.asnumpy(), atol=1e-5)


def test_simple_pose_starts_every_stage(build, images, tmp_path):
    theirs, net = simple_pose(images), build('network.stages=2')
    theirs.save_parameters(str(tmp_path / 'simple_pose.params'))
    match = checkpoint.load_parameters(net, tmp_path / 'simple_pose.params', CPU, partly=True)
    assert match.missing == [f'heads.{stage}.final.{kind}' for stage in (0, 1) for kind in ('weight', 'bias')]
    assert match.left_over[0] == 'deconv_layers.6.weight'
    for stage in (0, 1):
        np.testing.assert_array_equal(net.trunks[stage].layer4[1].conv2.weight.data().asnumpy(),
                                      theirs.resnet[7][1].conv2.weight.data().asnumpy())


@pytest.mark.parametrize('save, overrides', [(by_gluon, ()), (by_export, ('network.stages=2',)), (by_module, R1)])
def test_imagenet_parameters_give_gluoncvs_features(build, images, tmp_path, save, overrides):
    theirs, net = gluoncvs('resnet18_v1b', images), build(*overrides)
    save(theirs, tmp_path / 'imagenet.params', normalised(images))
    match = checkpoint.load_parameters(net, tmp_path / 'imagenet.params', CPU, partly=True)
    assert len(match.left_over) == 2 and all('fc.' in name or 'dense' in name for name in match.left_over)
    assert match.missing == [name for name in values(net) if name.startswith('head')]
    x = normalised(images)
    for name in ('conv1', 'bn1', 'relu', 'maxpool', 'layer1', 'layer2', 'layer3', 'layer4'):
        x = getattr(theirs, name)(x)
    trunk = net.trunks[0] if hasattr(net, 'trunks') else net.trunk
    np.testing.assert_allclose(trunk(net.stem(images)).asnumpy(), x.asnumpy(), atol=1e-5)
    with pytest.raises(InputError, match='imagenet.params: has no '):
        checkpoint.load_parameters(net, tmp_path / 'imagenet.params', CPU)


@pytest.mark.parametrize('save, saved, wanted', [
    (by_gluon, 'resnet50', 'resnet18'), (by_gluon, 'resnet50', 'resnet101'), (by_gluon, 'resnet101', 'resnet50'),
    (by_export, 'resnet101', 'resnet50')])
def test_parameters_of_another_resnet(build, images, tmp_path, save, saved, wanted):
    """Every parameter of ResNet-50 is in ResNet-101, too, with the same shape."""
    save(gluoncvs(f'{saved}_v1b', images), tmp_path / 'imagenet.params', normalised(images))
    with pytest.raises(InputError, match='imagenet.params: .*(expected parameters of the same ResNet|has shape)'):
        checkpoint.load_parameters(build(f'network.backbone={wanted}'), tmp_path / 'imagenet.params', CPU, partly=True)


def test_a_start_is_told_in_one_line(root, images, tmp_path, capsys):
    simple_pose(images).save_parameters(str(tmp_path / 'simple_pose.params'))
    cfg = config.load(root / H1, ['input.size=[64, 64]', *SIMPLE_POSE,
                                  f'network.pretrained={tmp_path}/simple_pose.params'])
    net = pose_net.create(cfg, CPU)
    phases._initial_parameters(cfg, net, None, CPU)
    assert capsys.readouterr().out == (
        f'{tmp_path}/simple_pose.params: {len(values(net)) - 2} parameters matched, 2 missing (heads.0.final.weight, '
        'heads.0.final.bias), 2 left over (final_layer.weight, final_layer.bias)\n')
