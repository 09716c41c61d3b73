"""Exports: that they are what the network is, that the programs run them, and what is refused."""
import json
import random
import re

import cv2
import mxnet as mx
import numpy as np
import onnx
import onnxruntime
import pytest

from common import config, runtime
from common import export as program
from common.data.crop import crop_matrix, invert
from common.data.images import read_crop
from common.deploy import onnx_graph
from common.deploy.export import export
from common.deploy.quantize import shown, shown_whole, spread
from common.errors import InputError
from common.guard import graph
from common.nets import pose_net
from common.predict import inference, onnx_net
from common.programs.cli import run
from common.weights import checkpoint
from pose_coco import test as coco_test
from pose_mpii import demo
from pose_mpii import test as mpii_test

CPU = [mx.cpu()]
TINY = 'input.size=[64, 64]'
PEAKED = 'network.beta=20'                     # with 1, the integral of random maps is always near the centre
NETWORKS = {
    'two deconvolutions, not square': ('mpii/table2/h1', ['input.size=[64, 96]']),
    'three deconvolutions, COCO': ('coco/table8/i1', ['network.deconvolutions=3']),
    'regression, not square': ('mpii/table2/r1', ['input.size=[64, 96]']),
    'two stages': ('mpii/table5/stages2/i1', []),
}
LARGER = {
    'one deconvolution': ('mpii/table2/i1', ['network.deconvolutions=1']),
    'H2 as the paper has it': ('mpii/table2/h2', [PEAKED, 'network.backbone=resnet50', 'input.size=[256, 256]']),
    'H3': ('mpii/table2/h3', [PEAKED]),
    'I*': ('mpii/table2/istar', [PEAKED]),
    'ResNet-101': ('mpii/table2/r1', ['network.backbone=resnet101']),
    'four stages, ResNet-50': ('mpii/table5/stages4/i1', ['network.backbone=resnet50']),
}


@pytest.fixture(scope='module')
def i1(root):
    """The configuration of I1 for 64 x 64 pixels."""
    return config.load(root / 'experiments/cpu/mpii/table2/i1.yaml', [TINY])


@pytest.fixture(scope='module')
def build(root):
    """A function that makes a network of experiments/cpu, as if it were trained: of every layer something passes."""
    def build(experiment_file, *overrides):
        cfg = config.load(root / f'experiments/cpu/{experiment_file}.yaml', [TINY, *overrides])
        runtime.seed_everything(0)
        net = pose_net.create(cfg, CPU)
        rng = np.random.default_rng(1)
        for name, parameter in checkpoint.parameters(net).items():
            kind, shape = name.rpartition('.')[2], parameter.shape
            if kind == 'gamma':               # small, or else the maps grow with every residual block
                parameter.set_data(mx.nd.array(rng.uniform(0.1, 0.5, shape)))
            elif kind == 'running_var':
                parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, shape)))
            elif kind in ('beta', 'running_mean', 'bias'):
                parameter.set_data(mx.nd.array(rng.normal(0, 0.1, shape)))
            elif '.final.' in name:
                parameter.set_data(mx.nd.array(rng.normal(0, 0.05, shape)))
        return cfg, net
    return build


@pytest.fixture(scope='module')
def network(build):
    """The I1 network with random parameters."""
    return build('mpii/table2/i1')[1]


@pytest.fixture(scope='module')
def exported(i1, network, tiny_data, tmp_path_factory):
    """It in every form: a folder with i1.params and what the program writes."""
    folder = tmp_path_factory.mktemp('exported')
    checkpoint.save_parameters(network, folder / 'i1.params')
    program.main(['--cfg', i1.path, '--set', TINY, '--params', str(folder / 'i1.params'), '--out', str(folder),
                 '--onnx', '--float16', '--int8', '--images', str(tiny_data / 'images')])
    return folder


def photographs(folder, size, number=3):
    """Crops (number, H, W, 3) of real images, or of generated ones, below a folder."""
    return np.stack([read_crop(path, invert(crop_matrix((48, 48, 96, 96), size)), size)
                     for path in sorted(folder.rglob('*.jpg'))[:number]])


def outputs(net, images):
    """Heat maps and joints of all stages as arrays."""
    return [[output.asnumpy() for output in stages] for stages in net(mx.nd.array(images, dtype=np.uint8))]


def assert_onnx_equals_network(cfg, net, images, folder):
    checkpoint.save_parameters(net, folder / 'x.params')
    *_, path = export(cfg, folder / 'x.params', folder / 'x', onnx=True)
    heatmaps, found = outputs(net, images)
    others, other = outputs(onnx_net.OnnxNet(path, cfg), images)
    assert len(others) == len(heatmaps) and len(other) == len(found)
    for one, two in zip(heatmaps, others):
        assert one.std() > 0.01               # or else equality would say nothing
        np.testing.assert_allclose(two, one, atol=1e-4)
    for one, two in zip(found, other):
        assert one.std(axis=0).max() > 1e-3
        np.testing.assert_allclose(two, one, atol=1e-2)


# --- the same results ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize('kind', NETWORKS)
def test_onnx_is_the_network(build, tiny_data, tmp_path, kind):
    experiment_file, overrides = NETWORKS[kind]
    cfg, net = build(experiment_file, *overrides)
    assert_onnx_equals_network(cfg, net, photographs(tiny_data, cfg.input.size), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize('kind', LARGER)
def test_onnx_is_the_network_on_photographs(build, shared, tmp_path, kind):
    experiment_file, overrides = LARGER[kind]
    cfg, net = build(experiment_file, *overrides)
    assert_onnx_equals_network(cfg, net, photographs(shared / 'mpii_valid', cfg.input.size), tmp_path)


def test_mxnets_files_are_those_of_hybrid_export(i1, network, exported, tiny_data, tmp_path):
    images = photographs(tiny_data, i1.input.size)
    expected = outputs(network, images)       # MXNet exports what has been run
    network.export(str(tmp_path / 'x'))
    ours, theirs = (checkpoint.read_arrays(path) for path in (exported / 'i1-0000.params', tmp_path / 'x-0000.params'))
    assert ours.keys() == theirs.keys()
    block = mx.gluon.SymbolBlock.imports(str(exported / 'i1-symbol.json'), ['data'], str(exported / 'i1-0000.params'))
    heatmaps, joints = block(mx.nd.array(images, dtype=np.uint8))
    np.testing.assert_array_equal(heatmaps.asnumpy(), expected[0][0])
    np.testing.assert_array_equal(joints.asnumpy(), expected[1][0])


def test_half_precision_is_half_as_large_and_runs_as_the_network(i1, network, exported, tiny_data):
    cfg = config.load(exported / 'i1.yaml')
    assert config.differences(cfg, i1) == {} and cfg.name == i1.name
    half = exported / 'i1-float16.params'
    assert half.stat().st_size < 0.52 * (exported / 'i1.params').stat().st_size
    images = photographs(tiny_data, cfg.input.size)
    (expected, _), (found, _) = (outputs(one, images) for one in (
        network, inference.load_network(cfg, half, CPU)))
    assert expected[0].std() > 0.01
    np.testing.assert_allclose(found[0], expected[0], atol=0.01 * np.abs(expected[0]).max())


def test_what_half_precision_cannot_hold_is_named(i1, network, tmp_path):
    arrays = {name: parameter.data().copy() for name, parameter in checkpoint.parameters(network).items()}
    arrays['stem.bn1.running_var'][:] = 1e5
    checkpoint.write_arrays(tmp_path / 'x.params', arrays)
    with pytest.raises(InputError, match='stem.bn1.running_var: has values beyond those of half precision'):
        export(i1, tmp_path / 'x.params', tmp_path / 'x', float16=True)
    assert not (tmp_path / 'x-float16.params').exists()


def test_onnx_names_its_inputs_and_outputs(exported):
    session = onnxruntime.InferenceSession(str(exported / 'i1.onnx'), providers=['CPUExecutionProvider'])
    assert [(x.name, x.type, x.shape) for x in session.get_inputs()] == [('images', 'tensor(uint8)', ['N', 64, 64, 3])]
    outputs = {output.name: output.shape for output in session.get_outputs()}
    assert outputs == {'heatmaps': ['N', 16, 8, 8], 'joints': ['N', 16, 2]}


# --- integers ------------------------------------------------------------------------------------------------------

def test_integers_differ_little_from_floats(i1, network, exported, tiny_data):
    images = photographs(tiny_data, i1.input.size, 24)
    maps, joints = (found[0] for found in outputs(network, images))
    others, other = (found[0] for found in outputs(onnx_net.OnnxNet(exported / 'i1-int8.onnx', i1), images))
    assert 0 < np.abs(others - maps).mean() < 0.1 * np.abs(maps - maps.mean(axis=(2, 3), keepdims=True)).mean()
    assert np.abs(other - joints).mean() < 1


def test_layers_are_integers_except_the_last(exported):
    graph = onnx.load(str(exported / 'i1-int8.onnx')).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    layers = [node for node in graph.node if node.op_type == 'Conv']
    whole = [node for node in layers if node.output[0] != 'heatmaps']
    assert len(layers) - len(whole) == 1
    for node in whole:
        weight = makers[node.input[1]]
        assert makers[node.input[0]].op_type == weight.op_type == 'DequantizeLinear'
        values = onnx.numpy_helper.to_array(constants[weight.input[0]])
        assert values.dtype == np.int8 and np.abs(values.astype(int)).max() <= 64          # 7 bits
        assert len(onnx.numpy_helper.to_array(constants[weight.input[1]])) == len(values)  # a scale a channel
    sizes = [(exported / name).stat().st_size for name in ('i1.onnx', 'i1-int8.onnx')]
    assert sizes[1] == pytest.approx(sizes[0] / 4, rel=0.05)


def test_photographs_are_shown_whole(tmp_path):
    """At half their size, in the middle, where the input has other proportions."""
    cv2.imwrite(str(tmp_path / 'x.png'), np.full((100, 200, 3), (10, 20, 30), np.uint8))
    image = shown_whole(tmp_path / 'x.png', (100, 100))
    assert (image[25:75] == (30, 20, 10)).all() and not image[:24].any() and not image[76:].any()


def test_photographs_are_spread_over_the_folder():
    assert spread(list('abc'), 200) == list('abc')
    assert spread(list(range(1001)), 3) == [0, 500, 1000]


# --- programs ------------------------------------------------------------------------------------------------------

def test_the_test_program_runs_every_export(i1, exported, tiny_data, tmp_path):
    found = []
    for name in ('i1.params', 'i1-0000.params', 'i1.onnx', 'i1-int8.onnx'):
        mpii_test.main(['--cfg', i1.path, '--set', TINY, '--params', str(exported / name), '--data', str(tiny_data),
                        '--save', str(tmp_path / 'x.json')])
        found.append(np.array(json.loads((tmp_path / 'x.json').read_text())['preds']))
    trained, mxnet, floats, integers = found
    np.testing.assert_array_equal(mxnet, trained)
    np.testing.assert_allclose(floats, trained, atol=0.01)
    assert 0.01 < np.abs(integers - trained).max() < 5


def test_the_demo_runs_an_export(i1, exported, tiny_data, tmp_path):
    found = []
    for name in ('i1.params', 'i1.onnx'):
        demo.main(['--cfg', i1.path, '--set', TINY, '--params', str(exported / name), '--flip-test',
                   '--out', str(tmp_path / f'{name}.png'), '--json', str(tmp_path / 'x.json'),
                   str(tiny_data / 'images' / 'valid_000002.jpg')])
        found.append([(joint['x'], joint['y']) for joint in json.loads((tmp_path / 'x.json').read_text())[0]['joints']])
    np.testing.assert_allclose(found[1], found[0], atol=0.02)
    assert (tmp_path / 'i1.onnx.png').exists()


def test_regression_networks_and_cocos_test_run_exports(build, tiny_data, tiny_coco, tmp_path, capsys):
    images = photographs(tiny_data, (64, 64))
    cfg, net = build('mpii/table2/r1')
    checkpoint.save_parameters(net, tmp_path / 'r1.params')
    *_, path = export(cfg, tmp_path / 'r1.params', tmp_path / 'r1', onnx=True)
    assert inference.load_network(cfg, path, CPU)(mx.nd.array(images, dtype=np.uint8))[0] == []
    mpii_test.main(['--cfg', cfg.path, '--set', TINY, '--params', str(path), '--data', str(tiny_data)])
    assert 'regression: PCKh@0.5' in capsys.readouterr().out
    cfg, net = build('coco/table8/i1')
    checkpoint.save_parameters(net, tmp_path / 'i1.params')
    *_, path = export(cfg, tmp_path / 'i1.params', tmp_path / 'i1', onnx=True)
    coco_test.main(['--cfg', cfg.path, '--set', TINY, '--params', str(path), '--data', str(tiny_coco)])
    assert 'integral: AP' in capsys.readouterr().out


def test_several_contexts_run_an_export(i1, network, exported, tiny_data):
    images = photographs(tiny_data, i1.input.size, 5)
    found = inference.forward(inference.load_network(i1, exported / 'i1.onnx', CPU), images,
                              [mx.cpu(0), mx.cpu(1)])
    np.testing.assert_allclose(found[0], outputs(network, images)[0][0], atol=1e-4)


# --- what is refused -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize('override, message', [
    ('network.beta=1', 'i1.onnx: exported with network.beta 30.0; .* has 1.0'),
    ('input.size=[96, 64]', r'i1.onnx: exported with input.size \[64, 64\]; .* has \[96, 64\]'),
    ('network.deconvolutions=3', 'exported with network.deconvolutions 2; .* has 3'),
    ('network.stages=2', 'exported with network.stages 1; .* has 2')])
def test_an_export_of_another_network(i1, exported, override, message):
    cfg = config.load(i1.path, [TINY, override])
    with pytest.raises(InputError, match=message):
        inference.load_network(cfg, exported / 'i1.onnx', CPU)


def test_an_export_of_other_joints(root, exported):
    cfg = config.load(root / 'experiments/cpu/coco/table8/i1.yaml', [TINY])
    with pytest.raises(InputError, match='i1.onnx: exported with joints 16; .* has 17'):
        inference.load_network(cfg, exported / 'i1.onnx', CPU)


def foreign(path, **options):
    """A model that doubles a number, with an export's metadata if any are given."""
    helper = onnx.helper
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph([helper.make_node('Add', ['images', 'images'], ['joints'])], 'x',
                              [helper.make_tensor_value_info('images', kind, [1])],
                              [helper.make_tensor_value_info('joints', kind, [1])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=7)
    helper.set_model_props(model, options)
    onnx.save(model, str(path))


def test_files_that_are_no_exports(i1, exported, tmp_path):
    whole, path = (exported / 'i1.onnx').read_bytes(), tmp_path / 'x.onnx'
    cases = [(whole[:-1000], 'not an ONNX model'), (b'', 'not an ONNX model'), (b'x' * 1000, 'not an ONNX model'),
             ((exported / 'i1.params').read_bytes(), 'not an ONNX model')]
    for content, message in cases:
        path.write_bytes(content)
        with pytest.raises(InputError, match=f'x.onnx: {message}'):
            inference.load_network(i1, path, CPU)
    foreign(path)
    with pytest.raises(InputError, match='x.onnx: not an export of a network'):
        inference.load_network(i1, path, CPU)
    foreign(path, **onnx_net.metadata(i1, np.ones(16, bool)))
    with pytest.raises(InputError, match='x.onnx: cannot be run'):
        inference.load_network(i1, path, CPU)
    with pytest.raises(InputError, match='absent.onnx: cannot be read'):
        inference.load_network(i1, tmp_path / 'absent.onnx', CPU)


def graph_of(*nodes, constants=()):
    """A model from images, 1 x 4 floats, to joints."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, shape) for name, shape in (('images', [1, 4]), ('joints', None))]
    graph = helper.make_graph(list(nodes), 'x', ends[:1], ends[1:], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=7)


def loop():
    """A model of few bytes that goes round for ever."""
    helper, tensor = onnx.helper, onnx.TensorProto
    values = [helper.make_tensor_value_info(*value) for value in (
        ('i', tensor.INT64, []), ('go', tensor.BOOL, []), ('x', tensor.FLOAT, [1, 4]))]
    outputs = [helper.make_tensor_value_info(*value) for value in (
        ('on', tensor.BOOL, []), ('y', tensor.FLOAT, [1, 4]))]
    body = helper.make_graph([helper.make_node('Identity', ['go'], ['on']), helper.make_node('Identity', ['x'], ['y'])],
                             'body', values, outputs)
    return graph_of(helper.make_node('Loop', ['times', 'true', 'images'], ['joints'], body=body), constants=[
        helper.make_tensor('times', tensor.INT64, [], [2 ** 62]), helper.make_tensor('true', tensor.BOOL, [], [True])])


def outside(path):
    """A model whose constant is in another file."""
    tensor = onnx.helper.make_tensor('one', onnx.TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField('float_data')
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value=path.name)
    return graph_of(onnx.helper.make_node('Add', ['images', 'one'], ['joints']), constants=[tensor])


def test_graphs_that_no_export_has_do_not_come_to_onnxruntime(i1, tmp_path, monkeypatch):
    add = onnx.helper.make_node('Add', ['images', 'images'], ['joints'])
    doubling = [onnx.helper.make_node('Concat', [f'x{i}' if i else 'images'] * 2, [f'x{i + 1}' if i < 39 else 'joints'],
                                      axis=1) for i in range(40)]
    function = onnx.helper.make_function('', 'Add', ['a', 'b'], ['c'], [], [onnx.helper.make_opsetid('', 13)])
    with_function, other_domain, with_tensor = graph_of(add), graph_of(add), graph_of(add)
    with_function.functions.append(function)
    other_domain.graph.node[0].domain = 'com.microsoft'
    with_tensor.graph.node[0].attribute.append(onnx.helper.make_attribute('value', loop().graph.initializer[0]))
    (tmp_path / 'one.bin').write_bytes(np.ones(1, np.float32).tobytes())
    cases = [(loop(), "not an export of a network: 'Loop' is no operator"), (other_domain, "'Add' is no operator"),
             (with_tensor, "'Add' is no operator"), (outside(tmp_path / 'one.bin'), 'refers to other files'),
             (graph_of(*doubling), 'it has tensors without a size, or of more than'),
             (with_function, 'not an export of a network')]
    monkeypatch.setattr(onnx_net.onnxruntime, 'InferenceSession', None)
    for model, message in cases:
        onnx.save(model, str(tmp_path / 'x.onnx'))
        assert (tmp_path / 'x.onnx').stat().st_size < 2000
        with pytest.raises(InputError, match=f'x.onnx: .*{message}'):
            inference.load_network(i1, tmp_path / 'x.onnx', CPU)


def test_every_operator_that_is_written_may_be_read(root):
    source = (root / 'common/deploy/onnx_graph.py').read_text(encoding='utf-8')
    written = set(re.findall(r"(?:add|layer|_plain|_scalar|make_node)\(\s*'(\w+)'", source))
    assert {'Conv', 'Neg', 'Split', 'Gemm'} < written
    assert graph.OPERATORS == written | {'QuantizeLinear', 'DequantizeLinear'}


def test_damaged_exports_end_in_one_error_or_run(i1, exported, tmp_path):
    """What the graph says is changed at random, not the weights, of which nobody can tell."""
    model = onnx.load(str(exported / 'i1.onnx'))
    rng, refused = random.Random(0), 0
    content = model.SerializeToString()
    named = [content.find(node.name.encode()) for node in model.graph.node]
    path = tmp_path / 'x.onnx'
    for _ in range(12):
        damaged = bytearray(content)
        for _ in range(3):
            damaged[rng.choice(named) + rng.randrange(-20, 40)] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            inference.load_network(i1, path, CPU)
        except InputError as error:
            refused += 1
            assert str(error).startswith(f'{path}: ') and '\n' not in str(error)
    assert refused > 5


def export_with(exported, i1, *options):
    program.main(['--cfg', i1.path, '--set', TINY, '--params', str(exported / 'i1.params'), *map(str, options)])


def test_what_the_program_refuses(i1, exported, tmp_path):
    (tmp_path / 'empty').mkdir()
    cases = [(['--int8'], '--int8 and --images go together'), (['--images', tmp_path], '--int8 and --images'),
             (['--int8', '--images', tmp_path / 'absent'], 'absent: no such folder'),
             (['--int8', '--images', tmp_path / 'empty'], 'empty: no image in this folder')]
    for options, message in cases:
        with pytest.raises(InputError, match=message):
            export_with(exported, i1, '--out', tmp_path / 'out', *options)
    mine = tmp_path / 'i1.yaml'
    mine.write_text(f'base: {i1.path}\nname: i1\n')
    with pytest.raises(InputError, match='i1.yaml: would overwrite what is read'):
        program.main(['--cfg', str(mine), '--set', TINY, '--params', str(exported / 'i1.params'), '--float16', '--out',
                     str(tmp_path)])
    assert 'base' in mine.read_text()
    (tmp_path / 'x.jpg').write_bytes(b'no image')
    with pytest.raises(InputError, match='x.jpg: not an image'):
        shown_whole(tmp_path / 'x.jpg', (64, 64))
    assert not list((tmp_path / 'out').glob('*.onnx'))


def test_without_the_packages(i1, exported, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx_net, 'onnxruntime', None)
    with pytest.raises(InputError, match='onnxruntime: sh scripts/setup.sh export'):
        inference.load_network(i1, exported / 'i1.onnx', CPU)
    monkeypatch.undo()
    monkeypatch.setattr(graph, 'onnx', None)
    with pytest.raises(InputError, match='packages onnx and onnxruntime: sh scripts/setup.sh export'):
        inference.load_network(i1, exported / 'i1.onnx', CPU)
    monkeypatch.setattr(onnx_graph, 'onnx', None)
    with pytest.raises(SystemExit) as ended:
        run(lambda: export_with(exported, i1, '--out', tmp_path, '--onnx'))
    assert ended.value.code == 2
    assert 'error: writing ONNX needs the package onnx: sh scripts/setup.sh export' in capsys.readouterr().err
    export_with(exported, i1, '--out', tmp_path)                            # MXNet's own files need neither
    assert (tmp_path / 'i1-symbol.json').exists()


def test_photographs_that_cannot_be_read_are_left_out(tiny_data, tmp_path, capsys):
    good = next((tiny_data / 'images').glob('*.jpg'))
    (tmp_path / 'empty.jpg').touch()
    (tmp_path / 'text.jpg').write_text('no picture')
    images = list(shown([tmp_path / 'empty.jpg', good, tmp_path / 'text.jpg'], (32, 32)))
    assert len(images) == 1 and images[0].shape == (32, 32, 3)
    assert [line.split(':')[1] for line in capsys.readouterr().err.splitlines()] == [' left out'] * 2
    with pytest.raises(InputError, match='none of the 1 photographs'):
        list(shown([tmp_path / 'text.jpg'], (32, 32)))
