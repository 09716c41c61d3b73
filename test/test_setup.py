"""scripts/setup.sh: what is installed once is not installed again, with no network either; what a GPU brings."""
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import gpus
import pytest

STUB = '''#!/bin/sh
# Stands in for Python: makes environments of itself, and writes down what pip is to install.
case "$*" in
    *'-m venv'*) mkdir -p "$PROJECT/.venv/bin" && cp "$0" "$PROJECT/.venv/bin/python" ;;
    *'pip --version'*) [ -e "$PROJECT/.venv/bin/python" ] ;;
    *choose_wheel.py) exec "$REAL" "$@" ;;
    *libcuda*|*'import common, mxnet'*) [ -z "${DRIVERLESS:-}" ] ;;
    *'pip install'*) sleep "${SLOW:-0}"; echo "$MXNET_PACKAGE $*" >>"$PROJECT/installed" ;;
esac
'''


@pytest.fixture
def setup(root, tmp_path):
    """A function that runs setup.sh in a project of its own; returns how often pip has been asked to install."""
    (tmp_path / 'scripts').mkdir()
    for name in ('setup.sh', 'choose_wheel.py'):
        shutil.copy(root / 'scripts' / name, tmp_path / 'scripts')
    (tmp_path / 'setup.py').touch()
    os.utime(tmp_path / 'setup.py', (1, 1))
    python = tmp_path / 'python3.11'
    python.write_text(STUB)
    python.chmod(0o755)
    environment = {**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'PROJECT': str(tmp_path),
                   'REAL': sys.executable}
    for name in ('PYTHON', 'MXNET_PACKAGE'):
        environment.pop(name, None)

    def run(*extra, **more):
        subprocess.run(['sh', tmp_path / 'scripts/setup.sh', *extra], env={**environment, **more}, check=True,
                       capture_output=True)
        return len((tmp_path / 'installed').read_text().splitlines())
    return run


def test_an_extra_brings_the_rest_of_the_project(setup):
    assert setup('test') == 1
    assert setup() == setup('test') == setup('export') == 1    # the tests need what exports need
    assert setup('benchmark') == 2


def test_what_is_needed_more_is_installed(setup):
    assert (setup(), setup(), setup('export'), setup('export'), setup('test')) == (1, 1, 2, 2, 3)


def test_several_calls_at_once_set_up_once(setup):
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda _: setup(SLOW='1'), range(3))) == [1, 1, 1]


def test_a_gpu_brings_its_libraries_and_the_wheel_is_kept(setup, tmp_path):
    gpus.nvidia_smi(tmp_path, [('535.104.05', '8.0', 'NVIDIA A100-SXM4-40GB')])
    setup()
    gpus.nvidia_smi(tmp_path, [('535.104.05', '9.0', 'NVIDIA H100 PCIe')])
    setup('test')
    setup(MXNET_PACKAGE='mxnet==1.9.1')
    setup('benchmark')
    lines = (tmp_path / 'installed').read_text().splitlines()
    assert [(line.split()[0], line.partition(str(tmp_path))[2]) for line in lines] == [
        ('mxnet-cu117==1.9.1', '[cuda]'), ('mxnet-cu117==1.9.1', '[cuda,test]'), ('mxnet==1.9.1', ''),
        ('mxnet==1.9.1', '[benchmark]')]


def test_an_image_is_built_where_there_is_no_driver(setup, tmp_path):
    assert setup(MXNET_PACKAGE='mxnet-cu117==1.9.1', DRIVERLESS='yes') == 1
    assert (tmp_path / '.venv/complete').exists()
    assert setup(DRIVERLESS='yes') == 1                        # it is done


def test_an_mxnet_for_the_cpu_that_does_not_load_is_an_error(setup, tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as error:
        setup(DRIVERLESS='yes')
    assert error.value.returncode == 2 and b'MXNet does not load' in error.value.stderr
    assert not (tmp_path / '.venv/complete').exists()
