"""Files that are no exports, or others than they are taken for, and exports that cannot be written."""
import copy
import random
import re
import shutil

import mxnet as mx
import numpy as np
import onnx
import pytest
import yaml
from exports import CPU, TINY, experiment, network

from common import export as program
from common.deploy import answer
from common.errors import InputError
from common.guard import graph
from common.nets import pose_net
from common.predict import inference, onnx_net
from common.programs.cli import run
from common.weights import checkpoint
from pose_coco import test as coco_test
from pose_mpii import decodings
from pose_mpii import test as mpii_test


@pytest.fixture(scope='module')
def i1(root):
    """The configuration of I1 for 64 x 64 pixels."""
    return experiment(root, 'mpii/table2/i1')


@pytest.fixture(scope='module')
def exported(i1, tmp_path_factory):
    """A folder with i1.params and what the program writes of it."""
    folder = tmp_path_factory.mktemp('exported')
    checkpoint.save_parameters(network(i1), folder / 'i1.params')
    export_with(folder, i1, '--out', folder, '--onnx')
    return folder


@pytest.mark.parametrize('override, message', [
    ('network.beta=1', 'i1.onnx: exported with network.beta 30.0, not 1.0'),
    ('network.deconvolutions=3', 'exported with network.deconvolutions 2, not 3'),
    ('network.stages=2', 'exported with network.stages 1, not 2'),
    ('test.decode=local', "exported with test.decode 'integral', not 'local'"),
    ('test.flip=true', 'exported with test.flip False, not True')])
def test_an_export_of_another_network(root, exported, override, message):
    cfg = experiment(root, 'mpii/table2/i1', override)
    with pytest.raises(InputError, match=message):
        inference.load_network(cfg, exported / 'i1.onnx', CPU)


@pytest.mark.parametrize('layer, told', [
    (lambda: mx.gluon.nn.Activation('tanh'), 'Activation with act_type tanh cannot be written as ONNX'),
    (lambda: mx.gluon.nn.Conv2D(64, 1, groups=2, in_channels=64),
     'Convolution with num_group 2 cannot be written as ONNX'),
    (lambda: mx.gluon.nn.LeakyReLU(0.1), 'LeakyReLU cannot be written as ONNX')],
    ids=['tanh', 'groups', 'leaky'])
def test_a_layer_that_onnx_would_have_otherwise_is_refused(i1, tmp_path, monkeypatch, layer, told):
    create = pose_net.create

    def with_layer(*args):
        net = create(*args)
        added = layer()
        added.initialize()
        net.stem.layer1.add(added)
        return net
    monkeypatch.setattr(pose_net, 'create', with_layer)
    checkpoint.save_parameters(network(i1), tmp_path / 'i1.params')
    with pytest.raises(InputError, match=told):
        export_with(tmp_path, i1, '--out', tmp_path, '--onnx')
    assert not (tmp_path / 'i1.onnx').exists()


def test_a_decoding_that_is_not_written_as_a_graph_is_refused(i1, tmp_path):
    cfg = copy.deepcopy(i1)
    cfg.test.decode = 'dark'
    with pytest.raises(InputError, match='test.decode is dark, which cannot be exported'):
        answer.Answer(cfg, network(i1))


def test_an_export_of_other_joints_or_another_size(root, exported, tmp_path):
    cfg = experiment(root, 'coco/table8/i1')
    with pytest.raises(InputError, match=r"i1.onnx: exported with joints \['right ankle.*, not \['nose"):
        inference.load_network(cfg, exported / 'i1.onnx', CPU)
    cfg = experiment(root, 'mpii/table2/r1')
    checkpoint.save_parameters(network(cfg), tmp_path / 'r1.params')
    export_with(tmp_path, cfg, '--out', tmp_path, '--onnx', name='r1')
    cfg = experiment(root, 'mpii/table2/r1', 'input.size=[96, 64]')
    with pytest.raises(InputError, match=r'exported with input.size \[64, 64\], not \[96, 64\]'):
        inference.load_network(cfg, tmp_path / 'r1.onnx', CPU)


def test_options_that_an_export_does_not_take(i1, exported, tiny_data, tmp_path):
    given = ['--params', str(exported / 'i1.onnx'), '--data', str(tiny_data)]
    with pytest.raises(InputError, match='i1.onnx: exported with test.flip False, not True'):
        mpii_test.main([*given, '--flip-test'])
    with pytest.raises(InputError, match='i1.onnx: data.set is mpii; this program is for coco'):
        coco_test.main([*given])
    with pytest.raises(InputError, match='i1.onnx: an export has one decoding'):
        decodings.main([*given, '--cfg', i1.path])
    with pytest.raises(InputError, match='--cfg is needed'):
        mpii_test.main(['--params', str(exported / 'i1.params'), '--data', str(tiny_data)])


def test_a_configuration_in_an_export_is_checked_as_a_file_of_its_own(exported, tmp_path):
    model = onnx.load(str(exported / 'i1.onnx'))
    [about] = [entry for entry in model.metadata_props if entry.key == 'configuration']
    whole, cases = about.value, {
        'base: /etc/hostname\n': 'unknown key base', 'backdoor: 1\n': 'unknown key backdoor',
        '- 1\n': 'not valid YAML', ' ' * 70000: 'not an export of a network'}
    for more, message in cases.items():
        about.value = whole + more
        onnx.save(model, str(tmp_path / 'x.onnx'))
        with pytest.raises(InputError, match=f'x.onnx: {message}'):
            onnx_net.configuration(tmp_path / 'x.onnx')
    tree = yaml.safe_load(whole)
    tree['data']['skeleton'] = '/etc/hostname'
    about.value = yaml.safe_dump(tree)
    onnx.save(model, str(tmp_path / 'x.onnx'))
    with pytest.raises(InputError, match='x.onnx: data.skeleton names a file'):
        onnx_net.configuration(tmp_path / 'x.onnx')


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
    for content in (whole[:-1000], b'', b'x' * 1000, (exported / 'i1.params').read_bytes()):
        path.write_bytes(content)
        with pytest.raises(InputError, match='x.onnx: not an (ONNX model|export of a network)'):
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
    source = (root / 'common/deploy/onnx_operators.py').read_text(encoding='utf-8')
    written = set(re.findall(r"(?:add|layer|_plain|_scalar|_scalar_first|make_node)\(\s*'(\w+)'", source))
    assert {'Conv', 'Abs', 'Split', 'Gemm'} < written
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


def export_with(folder, cfg, *options, name='i1'):
    program.main(['--cfg', cfg.path, '--set', TINY, '--params', str(folder / f'{name}.params'), *map(str, options)])


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
    with pytest.raises(InputError, match='none of its 1 photographs can be used'):
        export_with(exported, i1, '--out', tmp_path / 'out', '--int8', '--images', tmp_path)
    assert not list((tmp_path / 'out').glob('*.onnx'))


def test_without_the_packages(i1, exported, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx_net, 'onnxruntime', None)
    with pytest.raises(InputError, match='onnxruntime: sh scripts/setup.sh export'):
        inference.load_network(i1, exported / 'i1.onnx', CPU)
    monkeypatch.undo()
    monkeypatch.setattr(graph, 'onnx', None)
    with pytest.raises(InputError, match='packages onnx and onnxruntime: sh scripts/setup.sh export'):
        inference.load_network(i1, exported / 'i1.onnx', CPU)
    with pytest.raises(SystemExit) as ended:
        run(lambda: export_with(exported, i1, '--out', tmp_path, '--onnx'))
    assert ended.value.code == 2
    assert 'packages onnx and onnxruntime: sh scripts/setup.sh export' in capsys.readouterr().err
    export_with(exported, i1, '--out', tmp_path)                            # MXNet's own files need neither
    assert (tmp_path / 'i1-symbol.json').exists()


def test_photographs_that_cannot_be_read_are_left_out(tiny_data, tmp_path, capsys):
    good = next((tiny_data / 'images').glob('*.jpg'))
    (tmp_path / 'empty.jpg').touch()
    (tmp_path / 'text.jpg').write_text('no picture')
    shutil.copy(good, tmp_path / 'good.jpg')
    paths = [tmp_path / f'{name}.jpg' for name in ('empty', 'good', 'text')]
    assert len(list(program.to_calibrate_on(paths, 'mine', (32, 32)))) == 1
    assert [line.split(':')[1] for line in capsys.readouterr().err.splitlines()] == [' left out'] * 2
    with pytest.raises(InputError, match='mine: none of its 1 photographs can be used'):
        list(program.to_calibrate_on(paths[:1], 'mine', (32, 32)))
