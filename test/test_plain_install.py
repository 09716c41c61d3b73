"""Every command of the pages in what `sh scripts/setup.sh` alone installs: no extra, nothing of this environment."""
from pathlib import Path

import checkout
import pytest
from checkout import output

SMALL = ['--set', 'input.size=[64, 64]', '--set', 'train.epochs=1', '--set', 'train.drops=[]',
         '--set', 'train.rates=[1e-3]', '--set', 'train.batch_size=8']
CFG = 'experiments/sample/table2/h1.yaml'
PARAMS = 'output/sample/table2/h1/best.params'


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    """A copy of what git has of the project, set up without an extra."""
    folder = checkout.copy(tmp_path_factory.mktemp('plain') / 'project')
    output(folder, 'sh', 'scripts/setup.sh')
    output(folder, '.venv/bin/python', 'pose_mpii/sample.py', '--out', 'data/sample', '--train', '16', '--valid', '8')
    return folder


@pytest.mark.long
def test_every_command_runs_in_the_plain_install(project):
    python, photograph = '.venv/bin/python', 'data/sample/images/valid_000000.jpg'
    packages = {line.split()[0] for line in output(project, python, '-m', 'pip', 'list').splitlines()}
    assert 'mxnet' in packages and not packages & {'onnx', 'onnxruntime', 'pytest'}
    dtypes = ['float32'] + ['bfloat16'] * ('avx512bw' in Path('/proc/cpuinfo').read_text())
    for dtype in dtypes:
        output(project, python, 'pose_mpii/train.py', '--cfg', CFG, '--data', 'data/sample', '--set',
               f'train.dtype={dtype}', '--out', 'output' if dtype == 'float32' else f'output_{dtype}', *SMALL)
    given = ['--cfg', 'output/sample/table2/h1/config.yaml', '--params', PARAMS]
    output(project, python, 'pose_mpii/test.py', *given, '--data', 'data/sample', '--flip-test', '--save', 'pred.mat')
    assert '@0.5' in output(project, python, 'pose_mpii/evaluate.py', '--pred', 'pred.mat', '--data', 'data/sample')
    output(project, python, 'pose_mpii/demo.py', photograph, '--out', 'pose.png', '--json', 'pose.json')
    output(project, python, 'pose_mpii/heatmaps.py', '--data', 'data/sample', '--out', 'maps.png', '--network',
           *given[1::2])
    output(project, python, 'pose_mpii/decodings.py', *given, '--data', 'data/sample')
    output(project, python, '-m', 'common.complexity', '--cfg', CFG)
    output(project, python, '-m', 'common.config', '--cfg', CFG)
    output(project, python, '-m', 'common.export', *given, '--out', 'export', '--float16')
    assert '-0000.params' in ' '.join(path.name for path in (project / 'export').iterdir())
    output(project, 'sh', 'scripts/paper_tables.sh', '--results', 'output', '--out', 'tables')


@pytest.mark.long
def test_onnx_without_its_packages_says_what_installs_them(project):
    process = checkout.run(project, '.venv/bin/python', '-m', 'common.export', '--cfg', CFG, '--params', 'none',
                           '--out', 'x', '--onnx')
    assert process.returncode == 2 and 'sh scripts/setup.sh export' in process.stderr
