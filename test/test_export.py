"""Exports that run: they answer as the demo and the tests do, and the programs take them without a --cfg."""
import json

import cv2
import mxnet as mx
import numpy as np
import onnx
import onnxruntime
import pytest
from exports import CPU, TINY, experiment, network, photographs
from PIL import Image

from common import config
from common import export as program
from common.deploy.export import export
from common.data.images import read_rgb
from common.deploy.quantize import shown_whole
from common.errors import InputError
from common.predict import inference, onnx_net
from common.weights import checkpoint
from pose_coco import test as coco_test
from pose_mpii import demo
from pose_mpii import test as mpii_test
from pose_mpii.dataset import MPII

PEAKED = 'network.beta=20'                     # with 1, the integral of random maps is always near the centre
FLIP, LOCAL = 'test.flip=true', 'test.decode=local'
NETWORKS = {
    'maximum, not square': ('mpii/table2/h1', ['input.size=[64, 96]']),
    'maximum of image and mirror': ('mpii/table2/h1', [FLIP]),
    'quarter': ('mpii/table2/h1', ['test.decode=quarter', FLIP, 'network.deconvolutions=1']),
    'integral, three deconvolutions, COCO': ('coco/table8/i1', ['network.deconvolutions=3']),
    'integral of image and mirror': ('mpii/table2/i1', [FLIP, 'network.debiased=true']),
    'local': ('mpii/table2/i1', [LOCAL, 'test.window=1', 'network.debiased=true']),
    'local, of image and mirror': ('mpii/table2/i1', [LOCAL, FLIP, 'input.size=[64, 96]']),
    'integral of image and mirror on the other grid': ('mpii/table2/i1', [FLIP, 'network.grid=corner']),
    'local, of image and mirror on the other grid': ('mpii/table2/i1', [LOCAL, FLIP, 'network.grid=corner']),
    'regression of image and mirror, not square': ('mpii/table2/r1', ['input.size=[64, 96]', FLIP]),
    'the first of two stages': ('mpii/table5/stages2/i1', ['test.stage=1', LOCAL]),
    'the last of two stages': ('mpii/table5/stages2/i1', [FLIP]),
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
    """The configuration of I1 for 64 x 64 pixels, with the flip test, by the local integral."""
    return experiment(root, 'mpii/table2/i1', FLIP, LOCAL)


@pytest.fixture(scope='module')
def trained(i1):
    """Its network."""
    return network(i1)


@pytest.fixture(scope='module')
def exported(i1, trained, tiny_data, tmp_path_factory):
    """It in every form: a folder with i1.params and what the program writes."""
    folder = tmp_path_factory.mktemp('exported')
    checkpoint.save_parameters(trained, folder / 'i1.params')
    program.main(['--cfg', i1.path, '--set', TINY, '--set', FLIP, '--set', LOCAL, '--params', str(folder / 'i1.params'),
                  '--out', str(folder), '--onnx', '--float16', '--int8', '--images', str(tiny_data / 'images')])
    return folder


def outputs(net, images):
    """Heat maps and joints of all stages as arrays."""
    return [[output.asnumpy() for output in stages] for stages in net(mx.nd.array(images, dtype=np.uint8))]


def written(cfg, net, folder):
    """The .onnx of a network."""
    checkpoint.save_parameters(net, folder / 'x.params')
    return export(cfg, folder / 'x.params', folder / 'x', onnx=True)[-1]


def assert_same_answer(found, expected):
    """Two `decode.Found`s: the joints to a thousandth of a pixel."""
    assert expected.joints.std(axis=0).max() > 1e-3                           # or else equality would say nothing
    np.testing.assert_allclose(found.joints, expected.joints, atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    assert (found.heatmaps is None) == (expected.heatmaps is None)
    if expected.heatmaps is not None:
        assert expected.heatmaps.std() > 0.01
        np.testing.assert_allclose(found.heatmaps, expected.heatmaps, atol=1e-4)


# --- the same results ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize('kind', NETWORKS)
def test_onnx_answers_as_the_programs_do(root, tiny_data, tmp_path, kind):
    cfg = experiment(root, NETWORKS[kind][0], *NETWORKS[kind][1])
    net, images = network(cfg), photographs(tiny_data, cfg.input.size)
    found = inference.load_network(cfg, written(cfg, net, tmp_path), CPU).find(images)
    assert_same_answer(found, inference.find(cfg, net, images, CPU))


@pytest.mark.long
@pytest.mark.parametrize('kind', LARGER)
def test_onnx_answers_as_the_programs_do_on_photographs(root, shared, tmp_path, kind):
    cfg = experiment(root, LARGER[kind][0], *LARGER[kind][1])
    net, images = network(cfg), photographs(shared / 'mpii_valid', cfg.input.size)
    found = inference.load_network(cfg, written(cfg, net, tmp_path), CPU).find(images)
    assert_same_answer(found, inference.find(cfg, net, images, CPU))


def test_the_released_network_on_real_photographs(root, shared, tmp_path):
    """By the local integral with the flip test, as its configuration has it; joints in pixels of the photographs."""
    cfg = config.load(root / 'models/i1_resnet18.yaml')
    *_, path = export(cfg, MPII.released, tmp_path / 'x', onnx=True)
    data = tmp_path / 'lspet'
    (data / 'annot').mkdir(parents=True)
    (data / 'images').symlink_to(shared / 'lspet_mpii/images')
    records = json.loads((shared / 'lspet_mpii/annot/valid.json').read_text())[:4]
    (data / 'annot/test.json').write_text(json.dumps(records))
    found = [predictions(params, data, tmp_path / 'x.json', *given) for params, given in (
        (path, []), (MPII.released, ['--cfg', cfg.path]))]
    assert np.ptp(found[1]) > 100
    np.testing.assert_allclose(*found, atol=1e-3)


def predictions(params, data, path, *options, split='test'):
    """What the test program writes of a network."""
    mpii_test.main(['--params', str(params), '--data', str(data), '--split', split, '--save', str(path), *options])
    return np.array(json.loads(path.read_text())['preds'])


def test_height_and_width_are_open_where_the_network_allows_it(i1, exported, trained, tiny_data):
    cfg = config.load(exported / 'i1.yaml', ['input.size=[128, 96]'])
    images = photographs(tiny_data, cfg.input.size, 5)
    found = inference.load_network(cfg, exported / 'i1.onnx', CPU).find(images)
    assert found.heatmaps.shape == (5, 16, 12, 16)
    assert_same_answer(found, inference.find(cfg, trained, images, CPU))
    session = onnxruntime.InferenceSession(str(exported / 'i1.onnx'), providers=['CPUExecutionProvider'])
    assert [(x.name, x.type, x.shape) for x in session.get_inputs()] == [
        ('images', 'tensor(uint8)', ['N', 'H', 'W', 3])]
    assert {output.name: output.shape for output in session.get_outputs()} == {
        'joints': ['N', 16, 2], 'scores': ['N', 16], 'heatmaps': ['N', 16, 'H/8', 'W/8']}


def test_openvino_answers_alike(i1, exported, trained, tiny_data):
    """Also of other sizes; in integers it rounds otherwise than onnxruntime does."""
    openvino = pytest.importorskip('openvino')
    for size in (i1.input.size, (128, 96)):
        images = photographs(tiny_data, size)
        expected = inference.find(i1, trained, images, CPU)
        floats, integers = (
            openvino.Core().compile_model(str(exported / name), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})([images])
            for name in ('i1.onnx', 'i1-int8.onnx'))
        np.testing.assert_allclose(floats['joints'], expected.joints, atol=1e-3)
        np.testing.assert_allclose(floats['scores'], expected.scores, atol=1e-4)
        assert 1e-3 < np.median(np.abs(integers['joints'] - expected.joints)) < 1


def test_an_export_says_what_it_is(i1, exported):
    for name in ('i1.onnx', 'i1-int8.onnx'):
        session = onnxruntime.InferenceSession(str(exported / name), providers=['CPUExecutionProvider'])
        about = session.get_modelmeta().custom_metadata_map
        assert json.loads(about['skeleton'])['joints'] == list(MPII.skeleton.joints)
        assert (about['input_size'], about['box_padding'], about['decoding'], about['flip_test']) == (
            '[64, 64]', '1.25', 'local', 'true')
        cfg = onnx_net.configuration(exported / name)
        assert config.differences(cfg, i1) == {} and cfg.name == i1.name


def test_an_export_is_named_as_the_network_is(i1, exported, tmp_path):
    assert (exported / 'i1.onnx').exists()
    for name, expected in (('mine', 'mine'), ('best', 'i1')):
        (tmp_path / f'{name}.params').write_bytes((exported / 'i1.params').read_bytes())
        program.main(['--cfg', i1.path, '--set', TINY, '--params', str(tmp_path / f'{name}.params'),
                      '--out', str(tmp_path / name)])
        assert {path.name for path in (tmp_path / name).iterdir()} == {
            f'{expected}-symbol.json', f'{expected}-0000.params'}


def test_mxnets_files_are_those_of_hybrid_export(i1, trained, exported, tiny_data, tmp_path):
    images = photographs(tiny_data, i1.input.size)
    expected = outputs(trained, images)       # MXNet exports what has been run
    trained.export(str(tmp_path / 'x'))
    ours, theirs = (checkpoint.read_arrays(path) for path in (exported / 'i1-0000.params', tmp_path / 'x-0000.params'))
    assert ours.keys() == theirs.keys()
    block = mx.gluon.SymbolBlock.imports(str(exported / 'i1-symbol.json'), ['data'], str(exported / 'i1-0000.params'))
    heatmaps, joints = block(mx.nd.array(images, dtype=np.uint8))
    np.testing.assert_array_equal(heatmaps.asnumpy(), expected[0][0])
    np.testing.assert_array_equal(joints.asnumpy(), expected[1][0])


def test_half_precision_is_half_as_large_and_runs_as_the_network(i1, trained, exported, tiny_data):
    cfg = config.load(exported / 'i1.yaml')
    assert config.differences(cfg, i1) == {} and cfg.name == i1.name
    half = exported / 'i1-float16.params'
    assert half.stat().st_size < 0.52 * (exported / 'i1.params').stat().st_size
    images = photographs(tiny_data, cfg.input.size)
    (expected, _), (found, _) = (outputs(one, images) for one in (
        trained, inference.load_network(cfg, half, CPU)))
    assert expected[0].std() > 0.01
    np.testing.assert_allclose(found[0], expected[0], atol=0.01 * np.abs(expected[0]).max())


def test_what_half_precision_cannot_hold_is_named(i1, trained, tmp_path):
    arrays = {name: parameter.data().copy() for name, parameter in checkpoint.parameters(trained).items()}
    arrays['stem.bn1.running_var'][:] = 1e5
    checkpoint.write_arrays(tmp_path / 'x.params', arrays)
    with pytest.raises(InputError, match='stem.bn1.running_var: has values beyond those of half precision'):
        export(i1, tmp_path / 'x.params', tmp_path / 'x', float16=True)
    assert not (tmp_path / 'x-float16.params').exists()


# --- integers ------------------------------------------------------------------------------------------------------

def test_integers_differ_little_from_floats(i1, trained, exported, tiny_data):
    images = photographs(tiny_data, i1.input.size, 24)
    expected = inference.find(i1, trained, images, CPU)
    found = inference.load_network(i1, exported / 'i1-int8.onnx', CPU).find(images)
    spread = np.abs(expected.heatmaps - expected.heatmaps.mean(axis=(2, 3), keepdims=True)).mean()
    assert 0 < np.abs(found.heatmaps - expected.heatmaps).mean() < 0.1 * spread
    assert np.median(np.abs(found.joints - expected.joints)) < 1


def test_layers_are_integers_except_the_last(exported):
    graph = onnx.load(str(exported / 'i1-int8.onnx')).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    layers = [node for node in graph.node if node.op_type == 'Conv']
    whole = [node for node in layers if '_final_' not in node.name]
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
    image = shown_whole(read_rgb(tmp_path / 'x.png'), (100, 100))
    assert (image[25:75] == (30, 20, 10)).all() and not image[:24].any() and not image[76:].any()


def test_photographs_are_calibrated_on_upright(tmp_path):
    """As the demo reads them: a phone's are often stored on their side."""
    stored = np.full((40, 80, 3), 200, np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / 'x.jpg', exif=exif)
    image = shown_whole(next(program.to_calibrate_on([tmp_path / 'x.jpg'], 'x', (80, 80))), (80, 80))
    assert image[:, 25:55].all() and not image[:, :15].any() and not image[:, 65:].any()


def test_photographs_are_spread_over_the_folder():
    assert program.spread(list('abc'), 200) == list('abc')
    assert program.spread(list(range(1001)), 3) == [0, 500, 1000]


# --- programs ------------------------------------------------------------------------------------------------------

def test_the_test_program_runs_every_export(i1, exported, tiny_data, tmp_path, capsys):
    """Those in ONNX without a configuration, by their own decoding alone."""
    given = ['--cfg', str(exported / 'i1.yaml')]
    trained, mxnet, floats, integers = (
        predictions(exported / name, tiny_data, tmp_path / 'x.json', *options, split='valid')
        for name, options in (('i1.params', given), ('i1-0000.params', given), ('i1.onnx', []), ('i1-int8.onnx', [])))
    np.testing.assert_array_equal(mxnet, trained)
    np.testing.assert_allclose(floats, trained, atol=0.01)                    # as much as the file has decimals
    assert 0.01 < np.median(np.abs(integers - trained)) < 5
    shown = capsys.readouterr().out.split('\n\n')[-1]
    assert 'local: PCKh@0.5' in shown and 'argmax' not in shown


def test_the_demo_runs_an_export(i1, exported, tiny_data, tmp_path):
    found = []
    for name, options in (('i1.params', ['--cfg', str(exported / 'i1.yaml')]), ('i1.onnx', [])):
        demo.main([*options, '--params', str(exported / name), '--out', str(tmp_path / f'{name}.png'), '--json',
                   str(tmp_path / 'x.json'), str(tiny_data / 'images' / 'valid_000002.jpg')])
        found.append([(joint['x'], joint['y'], joint['score'])
                      for joint in json.loads((tmp_path / 'x.json').read_text())[0]['joints']])
    np.testing.assert_allclose(found[1], found[0], atol=0.011)
    assert (tmp_path / 'i1.onnx.png').exists()


def test_regression_networks_and_cocos_test_run_exports(root, tiny_data, tiny_coco, tmp_path, capsys):
    cfg = experiment(root, 'mpii/table2/r1')
    mpii_test.main(['--params', str(written(cfg, network(cfg), tmp_path)), '--data', str(tiny_data)])
    assert 'regression: PCKh@0.5' in capsys.readouterr().out
    cfg = experiment(root, 'coco/table8/i1')
    coco_test.main(['--params', str(written(cfg, network(cfg), tmp_path)), '--data', str(tiny_coco)])
    assert 'integral: AP' in capsys.readouterr().out


# --- a GPU (there was none where this was written) -----------------------------------------------------------------

class Cuda:
    """onnxruntime with CUDA, as far as the project uses it; its sessions compute on the CPU."""

    def __init__(self, works=True):
        self.works, self.asked = works, []

    def __getattr__(self, name):
        return getattr(onnxruntime, name)

    def get_available_providers(self):
        return [onnx_net.CUDA, 'CPUExecutionProvider']

    def InferenceSession(self, content, options, providers, **more):
        self.asked.append(providers)
        session = onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'], **more)
        if self.works:
            session.get_providers = self.get_available_providers
        return session


def draw(exported, tiny_data, out, *options):
    demo.main(['--params', str(exported / 'i1.onnx'), '--out', str(out), *options,
               str(tiny_data / 'images' / 'valid_000002.jpg')])


def test_a_gpu_runs_an_export_where_onnxruntime_has_cuda(exported, tiny_data, tmp_path, monkeypatch):
    for options, driver, number in ((['--gpus', '1'], None, 1), ([], 'libcuda.so.1', 0), ([], None, None),
                                    (['--cpus', '1'], 'libcuda.so.1', None)):
        monkeypatch.setattr(onnx_net, 'onnxruntime', cuda := Cuda())
        monkeypatch.setattr(onnx_net, 'find_library', lambda _, driver=driver: driver)
        draw(exported, tiny_data, tmp_path / 'x.png', *options)
        gpu = [] if number is None else [(onnx_net.CUDA, {'device_id': number})]
        assert cuda.asked == [[*gpu, 'CPUExecutionProvider']]


def test_what_is_said_where_there_is_no_gpu(exported, tiny_data, tmp_path, monkeypatch):
    with pytest.raises(InputError, match='--gpus 0: this onnxruntime has no CUDA .*onnxruntime-gpu'):
        draw(exported, tiny_data, tmp_path / 'x.png', '--gpus', '0')
    monkeypatch.setattr(onnx_net, 'onnxruntime', Cuda(works=False))
    with pytest.raises(InputError, match='--gpus 0: onnxruntime cannot use it'):
        draw(exported, tiny_data, tmp_path / 'x.png', '--gpus', '0')
    with pytest.raises(InputError, match='--gpus 0,1: an export runs on one GPU'):
        draw(exported, tiny_data, tmp_path / 'x.png', '--gpus', '0,1')
