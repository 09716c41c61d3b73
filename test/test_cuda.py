"""NVIDIA's GPUs, by stand-ins for the driver: the wheel that set-up chooses, and what MXNet then finds loaded."""
import ctypes
import os
import shutil
import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import checkout
import gpus
import pytest

from common import cuda

CPU, CUDA = 'mxnet==1.9.1', 'mxnet-cu117==1.9.1'
KNOWN = {'5.0': True, '5.2': True, '6.0': True, '6.1': True, '7.0': True, '7.5': True, '8.0': True, '8.6': True,
         '8.9': True, '3.7': False, '9.0': False, '10.0': False, '10.3': False, '12.0': False}


@pytest.fixture
def choose(root, tmp_path):
    """A function of an nvidia-smi's GPUs, or of its script: (the wheel, the sentence)."""
    def chosen(*known, script=gpus.NEW):
        gpus.nvidia_smi(tmp_path, known, script)
        run = subprocess.run([sys.executable, root / 'scripts/choose_wheel.py'], capture_output=True, text=True,
                             env={**os.environ, 'PATH': f'{tmp_path}:/usr/bin:/bin'}, check=True)
        assert run.stderr.count('\n') == 1 and run.stderr.startswith(run.stdout.strip())
        return run.stdout.strip(), run.stderr
    return chosen


@pytest.mark.parametrize('capability', KNOWN)
def test_the_wheel_with_cuda_where_it_has_code_for_the_gpu(choose, capability):
    wheel, said = choose(('535.104.05', capability, 'NVIDIA Something'))
    assert wheel == (CUDA if KNOWN[capability] else CPU)
    assert f'NVIDIA Something (compute capability {capability})' in said
    assert ('has no code' in said and 'onnxruntime-gpu' in said) == (not KNOWN[capability])


@pytest.mark.parametrize('version, wheel', [
    ('390.157', CPU), ('440.33.01', CPU), ('450.51.05', CPU), ('450.80.02', CUDA), ('450.119.03', CUDA),
    ('515.43.04', CUDA), ('580.95.05', CUDA)])
def test_a_driver_that_is_too_old_for_cuda_11_is_named(choose, version, wheel):
    chosen, said = choose((version, '7.0', 'Tesla V100-SXM2-16GB'))
    assert chosen == wheel and f'driver {version}' in said
    assert ('too old for CUDA 11, which needs 450.80.02' in said) == (wheel == CPU)


def test_a_driver_that_cannot_tell_the_compute_capability(choose):
    wheel, said = choose(('470.182.03', '7.0', 'Tesla V100-SXM2-16GB'), script=gpus.OLD)
    assert wheel == CUDA and 'Tesla V100-SXM2-16GB (compute capability unknown)' in said


def test_of_several_gpus_those_that_cannot_run_are_named(choose):
    able, unable = ('580.65.06', '8.0', 'NVIDIA A100, 40 GB'), ('580.65.06', '9.0', 'NVIDIA H100 PCIe')
    wheel, said = choose(able, unable, able)
    assert wheel == CUDA
    assert said.count('A100, 40 GB (compute capability 8.0)') == 1
    assert 'no code for NVIDIA H100 PCIe (compute capability 9.0), only for 5.0 to 8.9' in said and '--gpus' in said
    assert choose(unable, ('580.65.06', '12.0', 'RTX 5090'))[0] == CPU


@pytest.mark.parametrize('script', [
    'echo "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver"; exit 9',
    'echo "No devices were found"', 'exit 0', 'exit 1'])
def test_a_driver_that_does_not_work_is_the_cpu(choose, script):
    wheel, said = choose(script=script)
    assert wheel == CPU and 'finds no GPU' in said


def test_no_driver_is_the_cpu(root, tmp_path):
    run = subprocess.run([sys.executable, root / 'scripts/choose_wheel.py'], capture_output=True, text=True,
                         env={**os.environ, 'PATH': str(tmp_path)}, check=True)
    assert run.stdout == f'{CPU}\n' and 'no NVIDIA driver' in run.stderr


# --- what MXNet finds loaded ---------------------------------------------------------------------------------------

@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """The wheel with CUDA, its libraries and a driver of CUDA 12.2, all fakes: what is loaded, in its order."""
    names = []

    def load(name, mode):
        assert mode == ctypes.RTLD_GLOBAL
        names.append(name.replace(f'{tmp_path}/nvidia/', ''))
        return SimpleNamespace(cuDriverGetVersion=driver_version)

    def driver_version(pointer):
        pointer._obj.value = 12020
        return 0

    for name in cuda.LIBRARIES:
        (tmp_path / 'nvidia' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'nvidia' / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv('MXNET_USE_FUSION', raising=False)
    monkeypatch.setattr(ctypes, 'CDLL', load)
    return names


def test_the_driver_and_then_every_library_is_loaded(loaded):
    cuda.prepare()
    assert loaded == ['libcuda.so.1', *cuda.LIBRARIES]
    assert 'MXNET_USE_FUSION' not in os.environ


def test_what_is_not_there_is_left_to_mxnet(loaded, tmp_path):
    shutil.rmtree(tmp_path / 'nvidia/cudnn')
    cuda.prepare()
    assert loaded == ['libcuda.so.1', *(name for name in cuda.LIBRARIES if 'cudnn' not in name)]


@pytest.mark.parametrize('wheel', ['mxnet', 'mxnet_cu117'])
def test_only_for_the_wheel_for_cuda_is_anything_loaded(gcc, tmp_path, wheel):
    if wheel == 'mxnet' and any(metadata.distributions(name=cuda.WHEEL)):
        pytest.skip('the wheel for CUDA is installed')
    gpus.driver(tmp_path, 13000)
    (tmp_path / f'{wheel}-1.9.1.dist-info').mkdir()
    (tmp_path / f'{wheel}-1.9.1.dist-info' / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {wheel}\n')
    code = "import common; print('libcuda.so' in open('/proc/self/maps').read())"
    assert checkout.output(checkout.ROOT, sys.executable, '-c', code, LD_LIBRARY_PATH=str(tmp_path),
                           PYTHONPATH=str(tmp_path)) == f'{wheel == "mxnet_cu117"}\n'


@pytest.fixture
def gcc():
    if not shutil.which('gcc'):
        pytest.skip('gcc is not installed')


@pytest.mark.parametrize('known, fusion', [(11040, '0'), (11070, '0'), (11080, None), (13000, None)])
def test_for_an_old_driver_mxnet_compiles_nothing(loaded, monkeypatch, gcc, tmp_path, known, fusion):
    monkeypatch.undo()
    monkeypatch.delenv('MXNET_USE_FUSION', raising=False)
    gpus.driver(tmp_path, known)
    code = "import os; from common import cuda; cuda.prepare(); print(os.getenv('%s'))"
    assert checkout.output(checkout.ROOT, sys.executable, '-c', code % 'MXNET_USE_FUSION',
                           LD_LIBRARY_PATH=str(tmp_path)) == f'{fusion}\n'


def test_a_library_that_does_not_load_is_a_warning(tmp_path, capsys):
    broken = tmp_path / 'libcudnn.so.8'
    broken.write_text('half a download')
    cuda.load(broken)
    assert f'warning: {broken} does not load' in capsys.readouterr().err


# --- all of it -----------------------------------------------------------------------------------------------------

@pytest.fixture
def machine(gcc, tmp_path):
    """The environment of a machine with an A100, as far as there can be one; 6 GB are removed in the end."""
    gpus.nvidia_smi(tmp_path, [('535.104.05', '8.0', 'NVIDIA A100-SXM4-40GB')])
    gpus.driver(tmp_path, 12020)
    yield {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'LD_LIBRARY_PATH': str(tmp_path),
           'PIP_NO_CACHE_DIR': os.environ.get('PIP_NO_CACHE_DIR', '1')}
    shutil.rmtree(tmp_path / 'project', ignore_errors=True)


@pytest.mark.long
def test_the_wheel_with_cuda_is_set_up_and_trains_on_the_cpu(machine, tmp_path):
    project, python = checkout.copy(tmp_path / 'project'), '.venv/bin/python'
    setup = checkout.run(project, 'sh', 'scripts/setup.sh', **machine)
    assert setup.returncode == 0, setup.stderr
    assert f'{CUDA}: for NVIDIA A100-SXM4-40GB (compute capability 8.0), driver 535.104.05' in setup.stderr
    code = '''if 1:
        import ctypes
        import common
        import mxnet as mx
        features = mx.runtime.Features()
        print(*(features.is_enabled(name) for name in ('CUDA', 'CUDNN', 'NCCL')), len(common.runtime.contexts()),
              ctypes.CDLL('libcudnn.so.8').cudnnCnnTrainVersionCheck())        # which opens more of its files
        print(*sorted({line.split()[-1] for line in open('/proc/self/maps') if '/nvidia/' in line}))
    '''
    said, libraries = checkout.output(project, python, '-c', code, **machine).splitlines()
    assert said == 'True True True 1 0'
    assert {path.partition('/nvidia/')[2] for path in libraries.split()} >= set(cuda.LIBRARIES)
    checkout.output(project, python, 'pose_mpii/sample.py', '--out', 'data', '--train', '8', '--valid', '8', **machine)
    sets = ['input.size=[64, 64]', 'train.epochs=1', 'train.drops=[]', 'train.rates=[1e-3]', 'train.batch_size=8']
    checkout.output(project, python, 'pose_mpii/train.py', '--cfg', 'experiments/sample/table2/h1.yaml', '--data',
                    'data', *(option for value in sets for option in ('--set', value)), **machine)
    assert (project / 'output/sample/table2/h1/best.params').exists()
    without = checkout.run(project, python, 'pose_mpii/train.py', '--help', PATH=machine['PATH'])
    assert without.returncode == 2 and without.stderr.count('\n') == 1
    assert without.stderr.startswith('error: libcuda.so.1') and 'docker run --gpus all' in without.stderr
