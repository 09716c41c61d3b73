"""Networks of PyTorch's files, and ours for PyTorch. What needs PyTorch itself is skipped where it is not installed."""
import importlib.util
import re
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
import yaml
from runs import SEVENTEEN

from common import config, torch_weights
from common.errors import InputError
from common.guard import torch_file
from common.nets import pose_net
from common.predict import inference
from common.train import phases
from common.weights import checkpoint, torch_names
from pose_mpii.dataset import MPII

CPU = [mx.cpu()]
H1 = 'experiments/cpu/mpii/table2/h1.yaml'
HEAD = ('network.deconvolutions=3', 'network.grid=corner')
WHY = 'PyTorch is not installed (sh scripts/setup.sh torch)'


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)


def network(root, *overrides):
    """A configuration and its network with random parameters, such that each of them shows in what it puts out."""
    cfg = config.load(root / H1, ['input.size=[64, 64]', *overrides])
    net = pose_net.create(cfg, CPU)
    random = np.random.default_rng(1)
    for name, parameter in checkpoint.parameters(net).items():
        if name.endswith(('gamma', 'running_var')):
            parameter.set_data(mx.nd.array(random.uniform(0.5, 1.5, parameter.shape)))
        elif name.endswith(('beta', 'running_mean')) or '.final.' in name:
            parameter.set_data(mx.nd.array(random.normal(0, 0.1, parameter.shape)))
    return cfg, net


def theirs(net, title):
    """The parameters of a one-stage network as the code of that title names them."""
    arrays = {name: parameter.data().asnumpy() for name, parameter in checkpoint.parameters(net).items()}
    last = len(net.heads[0].deconvolutions)   # the number of the layer after them
    rows = {'torchvision': [(r'heads\..*', 'fc.weight')],
            'Simple Baselines': [(r'heads\.0\.deconvolutions', 'deconv_layers'), (r'heads\.0\.final', 'final_layer')],
            'authors': [(r'heads\.0\.deconvolutions', 'head.features'), (r'heads\.0\.final', f'head.features.{last}'),
                        (r'(?=conv1|bn1|layer)', 'backbone.')]}[title]
    state = OrderedDict()
    for name, array in torch_names.state_dict(arrays).items():
        name = re.sub(r'^(stem|trunks\.0)\.', '', name)
        for ours, other in rows:
            name, found = re.subn(f'^{ours}', other, name)
            if found:
                break
        state[name] = array
        if name.endswith('running_mean'):
            state[name.replace('running_mean', 'num_batches_tracked')] = np.array(7)
    return state


@pytest.fixture
def read(root, tmp_path, monkeypatch):
    """A function that reads a state dict as if it stood in a file of PyTorch's; returns the folder written to."""
    def read(state, *options, name='pose_resnet_18.pth.tar'):
        monkeypatch.setattr(torch_file, 'read', lambda path: state)
        torch_weights.main(['--torch', str(tmp_path / name), '--cfg', str(root / H1), '--out', str(tmp_path / 'out'),
                            *options])
        return tmp_path / 'out'
    return read


def outputs(cfg, net, images):
    maps, joints = inference.infer(cfg, net, images, CPU)
    return maps, inference.locate(cfg, net, maps, joints, cfg.test.decode, [np.eye(2, 3)] * len(images))


def assert_equal_outputs(one, other):
    for a, b in zip(one, other):
        np.testing.assert_allclose(a, b, atol=2e-5 * np.abs(b).max())


# --- names, colours and grid: without PyTorch ------------------------------------------------------------------------

@pytest.mark.parametrize('head', ['head', 'keypoint_head'])
def test_mmposes_networks_are_those_of_simple_baselines_on_rgb(root, read, images, capsys, head):
    cfg, net = network(root, *HEAD, 'test.decode=quarter')
    state = {f'{head}.{name}' if name.startswith(('deconv_layers', 'final_layer')) else f'backbone.{name}': array
             for name, array in theirs(net, 'Simple Baselines').items()}
    out = read(state, '--set', 'input.size=[64, 64]')
    told = capsys.readouterr().out
    assert 'MMPose, resnet18, RGB' in told and '0 missing' in told and '0 left over' in told
    loaded = config.load(out / 'pose_resnet_18.yaml')
    assert (loaded.network.grid, loaded.test.decode) == ('corner', 'quarter')
    assert_equal_outputs(outputs(loaded, inference.load_network(loaded, out / 'pose_resnet_18.params', CPU), images),
                         outputs(cfg, net, images))


def test_simple_baselines_networks_are_run_as_they_were_trained(root, read, images, capsys):
    """On BGR, by red's mean for blue; without its last 32 pixels in each direction the file's name has no size."""
    cfg, net = network(root, *HEAD, 'test.decode=quarter')
    state = {f'module.{name}': array for name, array in theirs(net, 'Simple Baselines').items()}
    out = read(state, '--set', 'input.size=[64, 64]')
    told = capsys.readouterr().out
    assert 'Simple Baselines, resnet18, BGR' in told and '0 missing' in told and '0 left over' in told
    loaded = config.load(out / 'pose_resnet_18.yaml')
    assert loaded.name == 'pose_resnet_18'
    assert (loaded.network.grid, loaded.network.deconvolutions, loaded.test.decode) == ('corner', 3, 'quarter')
    assert (loaded.input.mean, loaded.network.pretrained) == ([0.406, 0.456, 0.485], '')
    found = outputs(loaded, inference.load_network(loaded, out / 'pose_resnet_18.params', CPU), images)
    assert_equal_outputs(found, outputs(cfg, net, images[..., ::-1]))
    assert np.abs(outputs(cfg, net, images)[0] - found[0]).max() > 0.05 * np.abs(found[0]).max(), 'colours can be told'
    out = read(state, '--set', 'input.size=[64, 64]', '--colours', 'rgb')
    loaded = config.load(out / 'pose_resnet_18.yaml')
    found = outputs(loaded, inference.load_network(loaded, out / 'pose_resnet_18.params', CPU), images)
    assert_equal_outputs(found, outputs(cfg, net, images))


def test_the_authors_networks_are_run_as_they_were_trained(root, read, images):
    cfg, net = network(root, *HEAD, 'network.beta=1', 'test.decode=integral')
    out = read(theirs(net, 'authors'), '--set', 'input.size=[64, 64]')
    loaded = config.load(out / 'pose_resnet_18.yaml')
    assert (loaded.loss.joint, loaded.loss.heatmap, loaded.input.mean[0]) == ('l1', 'none', 0.485)
    found = outputs(loaded, inference.load_network(loaded, out / 'pose_resnet_18.params', CPU), images)
    assert_equal_outputs(found, outputs(cfg, net, images))


def test_a_network_in_space_gives_all_but_its_last_layer(root, read, capsys):
    """The authors' own: 18 joints in 64 planes."""
    _, net = network(root, *HEAD)
    state = theirs(net, 'authors')
    last = [name for name in state if re.fullmatch(r'head\.features\.9\..*', name)]
    state.update({name: np.repeat(state[name], 72, axis=0) for name in last})
    out = read(state, name='model_chall.pth.tar')
    told = capsys.readouterr().out
    assert '2 missing (heads.0.final' in told and 'network.pretrained=' in told
    assert not (out / 'model_chall.yaml').exists()
    _, other = network(root, *HEAD)
    match = checkpoint.load_parameters(other, out / 'model_chall.params', CPU, partly=True)
    assert match.missing == ['heads.0.final.weight', 'heads.0.final.bias'] and not match.left_over


@pytest.mark.parametrize('backbone', ['resnet18', 'resnet34', 'resnet50'])
def test_torchvisions_resnets_start_a_training(root, read, capsys, backbone):
    _, net = network(root, f'network.backbone={backbone}')
    out = read(theirs(net, 'torchvision'), name=f'{backbone}-0676ba61.pth')
    file = out / f'{backbone}-0676ba61.params'
    assert f'to start a training from: --set network.pretrained={file}\n' in capsys.readouterr().out
    cfg, other = network(root, f'network.backbone={backbone}', f'network.pretrained={file}')
    phases._initial_parameters(cfg, other, None, CPU)
    mine, given = (checkpoint.parameters(which) for which in (other, net))
    for name in mine:
        if not name.startswith('heads.'):
            np.testing.assert_array_equal(mine[name].data().asnumpy(), given[name].data().asnumpy())


@pytest.mark.parametrize('name, size', [
    ('pose_resnet_50_256x192.pth.tar', [192, 256]), ('256x192_d256x3_adam_lr1e-3.pth', [192, 256]),
    ('pose_resnet_18.pth', [128, 128])])
def test_the_size_of_the_input_is_in_the_files_name(root, read, name, size):
    _, net = network(root, *HEAD)
    out = read(theirs(net, 'Simple Baselines'), name=name)
    assert yaml.safe_load(next(out.glob('*.yaml')).read_text())['input']['size'] == size


def test_what_is_set_wins(root, read):
    _, net = network(root, *HEAD)
    read(theirs(net, 'Simple Baselines'), '--set', 'input.size=[64, 96]', '--set', 'test.decode=local',
         name='x_256x192.pth')
    loaded = config.load(read(theirs(net, 'Simple Baselines'), name='y.pth') / 'x_256x192.yaml')
    assert (loaded.input.size, loaded.test.decode) == ([64, 96], 'local')


def test_what_does_not_fit_is_named(root, read):
    _, net = network(root, *HEAD)
    state = theirs(net, 'Simple Baselines')
    _, of_coco = network(root, *HEAD, SEVENTEEN)
    refused = [(theirs(of_coco, 'Simple Baselines'), {}, r'finds 17 joints, and .*h1.yaml is for 16'),
               (state, {'name': 'pose_resnet_50_caffe_256x192.pth'}, 'strides in other convolutions'),
               ({'a.weight': np.zeros(3)}, {}, 'has no network that is known here: resnet18, .*resnet152'),
               ({**state, 'deconv_layers.3.weight': np.zeros((256, 256, 3, 3))}, {}, r'shape \(256, 256, 3, 3\)'),
               ({**state, 'final_layer.weight': np.array(3.)}, {}, 'finds 0 joints'),
               ({**state, 'neck.weight': np.zeros(3)}, {}, 'has neck.weight'),
               ({name: state[name] for name in state if name != 'conv1.weight'}, {}, 'has no stem.conv1.weight')]
    for wrong, options, told in refused:
        with pytest.raises(InputError, match=told):
            read(wrong, **options)


def test_without_pytorch_it_says_what_installs_it(root, tmp_path, params):
    if importlib.util.find_spec('torch'):
        pytest.skip('PyTorch is installed')
    for given in (['--torch', tmp_path / 'x.pth'], ['--params', params['h1'], '--set', 'input.size=[64, 64]']):
        with pytest.raises(InputError, match='need the package torch: sh scripts/setup.sh torch'):
            torch_weights.main([str(word) for word in (*given, '--cfg', root / H1, '--out', tmp_path)])


# --- PyTorch's files -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('new_format', [True, False])
@pytest.mark.parametrize('wrap', [lambda state: state, lambda state: {
    'epoch': 140, 'model': 'pose_resnet', 'state_dict': state, 'perf': 0.7,
    'optimizer': {'param_groups': [{'lr': 1}]}}])
def test_both_formats_and_checkpoints_are_read(root, tmp_path, new_format, wrap):
    torch = pytest.importorskip('torch', reason=WHY)
    _, net = network(root, *HEAD)
    state = theirs(net, 'Simple Baselines')
    tensors = OrderedDict((f'module.{name}', torch.tensor(array)) for name, array in state.items())
    torch.save(wrap(tensors), tmp_path / 'x.pth.tar', _use_new_zipfile_serialization=new_format)
    found = torch_file.read(tmp_path / 'x.pth.tar')
    assert found.keys() == tensors.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(found[f'module.{name}'], array)
    torch_weights.main(['--torch', str(tmp_path / 'x.pth.tar'), '--cfg', str(root / H1), '--out', str(tmp_path)])
    assert checkpoint.read_arrays(tmp_path / 'x.params').keys() == checkpoint.parameters(net).keys()


class Program:
    """What would run a command if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def test_files_that_are_no_state_dicts_are_refused(tmp_path):
    torch = pytest.importorskip('torch', reason=WHY)
    wide = torch.zeros(1).expand(10 ** 6, 10 ** 6)
    refused = {'program': ({'a': torch.zeros(3), 'x': Program(tmp_path / 'ran')}, 'holds .*open beside tensors'),
               'numpy': ({'state_dict': {'a': torch.zeros(3)}, 'perf': np.float64(1)}, 'holds numpy.*scalar beside'),
               'list': ([torch.zeros(3)], 'expected the parameters of a network'),
               'text': ({'a': 'b'}, "'a' is no tensor"), 'key': ({3: torch.zeros(3)}, "'3' is no tensor"),
               'wide': ({'a': wide}, 'a is not a dense tensor'), 'empty': ({}, 'expected the parameters'),
               'sparse': ({'a': torch.eye(3).to_sparse()}, 'a is not a dense tensor')}
    for new_format in (True, False):
        for name, (value, told) in refused.items():
            torch.save(value, tmp_path / name, _use_new_zipfile_serialization=new_format)
            with pytest.raises(InputError, match=f'{name}: .*{told}'):
                torch_file.read(tmp_path / name)
    assert not (tmp_path / 'ran').exists()


def test_damaged_files_are_refused(tmp_path):
    torch = pytest.importorskip('torch', reason=WHY)
    for new_format in (True, False):
        torch.save({'a': torch.ones(1000)}, tmp_path / 'whole', _use_new_zipfile_serialization=new_format)
        content = (tmp_path / 'whole').read_bytes()
        for length in (0, 1, 30, 300, len(content) // 2, len(content) - 100):
            (tmp_path / 'part').write_bytes(content[:length])
            with pytest.raises(InputError, match='part: (damaged|holds|expected)'):
                torch_file.read(tmp_path / 'part')
    with zipfile.ZipFile(tmp_path / 'bomb', 'w', zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr('archive/data.pkl', bytes(10 ** 7))
    with pytest.raises(InputError, match='bomb: damaged'):
        torch_file.read(tmp_path / 'bomb')
    with pytest.raises(InputError, match='gone.pth: cannot be read'):
        torch_file.read(tmp_path / 'gone.pth')


# --- ours for PyTorch ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('overrides', [
    ('network.deconvolutions=3', 'network.grid=corner', 'input.mean=[0.1, 0.5, 0.3]', 'input.std=[0.2, 0.3, 0.25]'),
    ('network.stages=2', 'network.debiased=true', 'input.size=[64, 96]'),
    ('network.backbone=resnet50', 'network.stages=2'),
    ('network.head=regression', 'loss.heatmap=none', 'loss.joint=l1', 'test.decode=regression', 'input.size=[96, 64]')])
def test_our_networks_give_the_same_in_pytorch(root, tmp_path, overrides):
    torch = pytest.importorskip('torch', reason=WHY)
    cfg, net = network(root, *overrides)
    checkpoint.save_parameters(net, tmp_path / 'net.params')
    config.save(cfg, tmp_path / 'net.yaml')
    argv = ['--cfg', str(tmp_path / 'net.yaml'), '--out', str(tmp_path / 'out')]
    torch_weights.main(['--params', str(tmp_path / 'net.params'), *argv])
    module = imported(tmp_path / 'out/net.py')
    images = np.random.default_rng(2).integers(0, 256, (2, *cfg.input.size[::-1], 3), np.uint8)
    with torch.no_grad():
        found = module.load(tmp_path / 'out/net.pth')(torch.from_numpy(images))
    for ours, other in zip(net(mx.nd.array(images, dtype=np.uint8)), found):
        assert len(ours) == len(other)
        for a, b in zip(ours, other):
            np.testing.assert_allclose(b.numpy(), a.asnumpy(), atol=1e-4 * np.abs(a.asnumpy()).max())
    torch_weights.main(['--torch', str(tmp_path / 'out/net.pth'), *argv])
    back, given = checkpoint.read_arrays(tmp_path / 'out/net.params'), checkpoint.read_arrays(tmp_path / 'net.params')
    assert back.keys() == given.keys() and all((back[name] == given[name]).asnumpy().all() for name in given)
    assert config.differences(config.load(tmp_path / 'out/net.yaml'), cfg) == {}


def imported(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_for_pytorch_are_named_as_the_parameters_are_or_a_trainings_best_as_its_experiment(
        tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(torch_weights.torch_export, 'write', lambda cfg, params, base: written.append(base) or [])
    argv = ['--cfg', str(MPII.released.with_suffix('.yaml')), '--out', str(tmp_path)]
    for params in (str(MPII.released), 'output/mpii/i1/best.params'):
        torch_weights.main(['--params', params, *argv])
    assert written == [tmp_path / 'i1_resnet18', tmp_path / 'i1_256_last']


def test_colours_of_our_networks_cannot_be_chosen(root, tmp_path, params):
    with pytest.raises(InputError, match='--colours goes with --torch'):
        torch_weights.main(['--params', str(params['h1']), '--cfg', str(root / H1), '--out', str(tmp_path),
                            '--colours', 'rgb'])


@pytest.mark.long
def test_with_pytorch_in_an_environment_of_its_own(root, tmp_path):
    """What is skipped above: beside the packages of this environment, without the libraries for GPUs."""
    if importlib.util.find_spec('torch'):
        pytest.skip('PyTorch is installed: nothing above was skipped')
    python = tmp_path / 'venv/bin/python'
    subprocess.run([sys.executable, '-m', 'venv', tmp_path / 'venv'], check=True)
    subprocess.run([python, '-m', 'pip', 'install', '--quiet', '--no-deps', 'torch==2.13.*', 'filelock', 'fsspec',
                    'jinja2', 'markupsafe', 'mpmath', 'networkx', 'sympy', 'typing-extensions'], check=True)
    packages = next((tmp_path / 'venv').glob('lib*/python*/site-packages'))
    (packages / 'more.pth').write_text(f'{Path(pytest.__file__).parents[1]}\n')
    if subprocess.run([python, '-c', 'import torch'], capture_output=True).returncode:
        pytest.skip("this PyTorch is one for GPUs, and needs NVIDIA's libraries")
    done = subprocess.run([python, '-m', 'pytest', '-q', __file__, '-k', 'format or dicts or damaged or in_pytorch'],
                          cwd=root, capture_output=True, text=True)
    assert done.returncode == 0 and ' 10 passed' in f' {done.stdout}', done.stdout
