"""Hostile and broken files: each ends in a result or one clear error, never a crash, a hang or a gigabyte of memory."""
import ast
import json
import select
import subprocess
import sys

import hostile
import hostile_files
import pytest
from refused import fails

from common import config

SHORT, LONG = 20, 200                         # mutations of each kind
SECONDS = 60                                  # for one of them, on a machine that does other things too
MEMORY = hostile.MEMORY


class Worker:
    """A process that may crash; it is started again when it has."""

    def __init__(self, folder):
        self.folder, self.process = folder, None

    def start(self):
        with open(self.folder / 'stderr', 'wb') as stderr:
            self.process = subprocess.Popen([sys.executable, hostile.__file__, 'serve'], text=True, stderr=stderr,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.answer(10 * SECONDS) == 'ready\n'

    def stop(self):
        self.process.kill()
        self.process.communicate()
        self.process = None

    def answer(self, seconds):
        """The next line of the process; '' if it ended, None if it hangs."""
        return self.process.stdout.readline() if select.select([self.process.stdout], [], [], seconds)[0] else None

    def outcome(self, kind, number):
        """What `hostile.outcome` says of a mutation, or how the process failed."""
        if not self.process:
            self.start()
        path = self.folder / 'files' / hostile.KINDS[kind][0]
        whole = path.read_bytes()
        print(json.dumps([str(self.folder / 'files'), kind, number]), file=self.process.stdin, flush=True)
        line = self.answer(SECONDS)
        if line:
            told, grown = json.loads(line)
            return told if grown <= MEMORY else f'{grown >> 20} MB of memory'
        failure = 'hangs' if line is None else f'crashes: {(self.folder / "stderr").read_text()[-500:]}'
        self.stop()
        path.write_bytes(whole)
        return failure


@pytest.fixture(scope='module')
def worker(tmp_path_factory):
    folder = tmp_path_factory.mktemp('hostile')
    hostile_files.make(folder / 'files')
    worker = Worker(folder)
    yield worker
    if worker.process:
        worker.stop()


@pytest.mark.parametrize('numbers', [range(SHORT), pytest.param(range(SHORT, LONG), marks=pytest.mark.long)],
                         ids=['short', 'long'])
@pytest.mark.parametrize('kind', hostile.KINDS)
def test_damage_of_any_kind_ends_well(worker, kind, numbers):
    outcomes = {f'python test/hostile.py FOLDER "{kind}" {number}': worker.outcome(kind, number) for number in numbers}
    assert not {job: outcome for job, outcome in outcomes.items() if outcome not in ('result', 'error')}
    assert 'error' in outcomes.values(), 'a mutation that damages nothing tests nothing'


@pytest.mark.parametrize('kind', hostile.KINDS)
def test_the_whole_files_are_read(worker, kind):
    assert hostile.outcome(kind, worker.folder / 'files' / hostile.KINDS[kind][0]) == 'result'


# --- YAML ----------------------------------------------------------------------------------------------------------

def test_aliases_are_refused(tmp_path):
    path = tmp_path / 'x.yaml'
    path.write_text('loss: &a\n  sigma: 1\ntest: *a\n')
    assert fails(config.load, path) == f'{path}: not valid YAML (line 3: an alias)'


def test_bases_of_bases_are_read_once(tmp_path):
    for number in range(60):
        (tmp_path / f'{number}.yaml').write_text(f'base: [{number + 1}.yaml, {number + 1}.yaml]')
    (tmp_path / '60.yaml').write_text('loss: {sigma: 0}')
    assert fails(config.load, tmp_path / '0.yaml').startswith(str(tmp_path))


@pytest.mark.parametrize('name', ['../x', '/x', 'a/../../x', 'a\nb', ''])
def test_results_cannot_leave_the_folder_of_outputs(tmp_path, name):
    path = tmp_path / 'x.yaml'
    path.write_text(f'base: {hostile_files.common_experiment()}\nname: {json.dumps(name)}')
    assert fails(config.load, path).startswith(f'{path}: name is ')
    path.write_text(f'base: {hostile_files.common_experiment()}\ndata: {{train: {json.dumps(name)}}}')
    assert fails(config.load, path).startswith(f'{path}: data.train is ')


# --- no pickle -----------------------------------------------------------------------------------------------------

def test_nothing_unpickles_or_evaluates(root):
    forbidden = {'pickle', 'cPickle', 'dill', 'marshal', 'shelve', 'joblib', 'eval', 'exec', 'allow_pickle',
                 'unsafe_load', 'full_load', 'load_frombuffer', 'tarfile', 'zipfile', 'unpack_archive'}
    allowed = {'torch_file.py': {'zipfile'}}                 # to look at sizes; nothing is unpacked
    sources = [path for folder in ('common', 'pose_mpii', 'pose_coco', 'scripts')
               for path in (root / folder).rglob('*.py')]
    assert len(sources) > 40
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text())):
            names = {getattr(node, field, None) for field in ('id', 'attr', 'arg', 'module')}
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names |= {alias.name for alias in node.names}
            found = forbidden & {str(name).partition('.')[0] for name in names}
            assert not found - allowed.get(path.name, set()), f'{path}:{node.lineno}'
            loads = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == 'load' \
                and getattr(node.func.value, 'id', '')
            assert loads not in ('np', 'yaml'), f'{path}:{node.lineno}'
            assert loads != 'torch' or any(given.arg == 'weights_only' and getattr(given.value, 'value', None) is True
                                           for given in node.keywords), f'{path}:{node.lineno}'
