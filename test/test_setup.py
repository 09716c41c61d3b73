"""scripts/setup.sh: what is installed once is not installed again, with no network either."""
import os
import shutil
import subprocess

import pytest

STUB = '''#!/bin/sh
# Stands in for Python: makes environments of itself, and writes down what pip is to install.
case "$*" in
    *'-m venv'*) mkdir -p "$PROJECT/.venv/bin" && cp "$0" "$PROJECT/.venv/bin/python" ;;
    *'pip --version'*) [ -e "$PROJECT/.venv/bin/python" ] ;;
    *'pip install'*) echo "$*" >>"$PROJECT/installed" ;;
esac
'''


@pytest.fixture
def setup(root, tmp_path):
    """A function that runs setup.sh in a project of its own; returns how often pip has been asked to install."""
    (tmp_path / 'scripts').mkdir()
    shutil.copy(root / 'scripts/setup.sh', tmp_path / 'scripts')
    (tmp_path / 'setup.py').touch()
    os.utime(tmp_path / 'setup.py', (1, 1))
    python = tmp_path / 'python3.11'
    python.write_text(STUB)
    python.chmod(0o755)
    environment = {**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'PROJECT': str(tmp_path)}
    for name in ('PYTHON', 'MXNET_PACKAGE'):
        environment.pop(name, None)

    def run(*extra):
        subprocess.run(['sh', tmp_path / 'scripts/setup.sh', *extra], env=environment, check=True, capture_output=True)
        return len((tmp_path / 'installed').read_text().splitlines())
    return run


def test_an_extra_brings_the_rest_of_the_project(setup):
    assert setup('test') == 1
    assert setup() == setup('test') == setup('export') == 1    # the tests need what exports need
    assert setup('benchmark') == 2


def test_what_is_needed_more_is_installed(setup):
    assert (setup(), setup(), setup('export'), setup('export'), setup('test')) == (1, 1, 2, 2, 3)
