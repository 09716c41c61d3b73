"""scripts/download_models.sh against a store on this machine."""
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest


@pytest.fixture
def download(root, tmp_path):
    """A function that runs the script in a copy of the project, against `store` in place of GluonCV's.

    sha1: what GluonCV shall know as ResNet-18's.
    """
    project = tmp_path / 'project'
    for folder in ('scripts', 'common'):
        shutil.copytree(root / folder, project / folder)
    shutil.copy(root / 'setup.py', project)
    python = project / '.venv' / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    (tmp_path / 'run.py').write_text('import os, sys; sys.path.insert(0, "")\n'
                                     'from common.runtime import import_gluoncv; import_gluoncv()\n'
                                     'from gluoncv.model_zoo.model_store import _model_sha1\n'
                                     '_model_sha1["resnet18_v1b"] = os.environ["SHA1"]\n'
                                     'exec(sys.stdin.read())\n')
    python.write_text(f'#!/bin/sh\nshift\nexec "{sys.executable}" "{tmp_path}/run.py" resnet18_v1b\n')
    python.chmod(0o755)
    os.utime(project / 'setup.py', (0, 0))
    (project / '.venv' / 'complete').touch()          # setup.sh has nothing to do

    def download(store, sha1):
        process = subprocess.run(['sh', project / 'scripts' / 'download_models.sh', 'resnet18_v1b'], cwd=tmp_path,
                                 env={**os.environ, 'MXNET_GLUON_REPO': store, 'MXNET_HOME': 'elsewhere', 'SHA1': sha1},
                                 capture_output=True, text=True)
        left = sorted(path.name for path in (project / 'models').iterdir())
        return process.returncode, process.stdout, process.stderr, left
    return download


@pytest.fixture
def store(tmp_path):
    """The address of a model store that holds one file, and that file's SHA-1."""
    content = b'parameters'
    sha1 = hashlib.sha1(content).hexdigest()
    folder = tmp_path / 'store' / 'gluon' / 'models'
    folder.mkdir(parents=True)
    for known in (sha1, 'f' * 40):
        with zipfile.ZipFile(folder / f'resnet18_v1b-{known[:8]}.zip', 'w') as archive:
            archive.writestr(f'resnet18_v1b-{known[:8]}.params', content)
    server = HTTPServer(('127.0.0.1', 0), partial(SimpleHTTPRequestHandler, directory=tmp_path / 'store'))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/', sha1
    server.shutdown()


def test_download(download, store):
    address, sha1 = store
    file = f'resnet18_v1b-{sha1[:8]}.params'
    code, output, _, left = download(address, sha1)
    assert code == 0 and output.endswith(f'models/{file}\n') and left == [file]
    code, output, _, left = download('http://127.0.0.1:9/', sha1)              # it is there
    assert code == 0 and output == f'models/{file}\n' and left == [file]


def test_download_without_a_connection_of_another_file_or_of_none(download, store):
    address, sha1 = store
    for where, known, told in (('http://127.0.0.1:9/', sha1, 'does not answer (ConnectionError); are you online?'),
                               (address, 'f' * 40, 'Downloaded file has different hash'),
                               (address, 'e' * 40, 'Failed downloading url')):
        code, _, error, left = download(where, known)
        line = error.splitlines()[-1]          # a progress bar may have stood before it
        assert code == 2 and left == [] and 'Traceback' not in error
        assert line.startswith('error: resnet18_v1b: ') and told in line
