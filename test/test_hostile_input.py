"""Hostile and broken files: each ends in a result or one clear error, never a crash, a hang or a gigabyte of memory."""
import ast
import json
import select
import struct
import subprocess
import sys
import time
import zlib

import cv2
import hostile
import hostile_damage
import hostile_files
import mxnet as mx
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from common import config
from common.data import images
from common.errors import InputError
from common.guard import params
from common.train import trainer
from common.weights import checkpoint
from pose_mpii import layout

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


def fails(function, *arguments):
    """The message of the InputError."""
    with pytest.raises(InputError) as caught:
        function(*arguments)
    return str(caught.value)


# --- .params -------------------------------------------------------------------------------------------------------

def as_list(arrays):
    """The bytes of a .params file of {name: bytes of an array}."""
    head = np.array([0x112, 0, len(arrays)], '<u8').tobytes() + b''.join(arrays.values())
    names = b''.join(np.uint64(len(name)).tobytes() + name.encode() for name in arrays)
    return head + np.uint64(len(arrays)).tobytes() + names


def words(*values):
    return np.array(values, '<u4').tobytes()


DATA = np.arange(6, dtype='<f4').tobytes()
ON_CPU = words(1, 0, 0)                       # device, its number, float32
V2, V3, V1 = 0xF993FAC9, 0xF993FACA, 0xF993FAC8


@pytest.mark.parametrize('head', [words(V2, 0, 2, 2, 0, 3, 0), words(V1, 2, 2, 0, 3, 0), words(2, 2, 3)],
                         ids=['today', 'before 1.0', 'before 0.11'])
def test_params_of_every_age_are_read_as_mxnet_reads_them(tmp_path, head):
    path = tmp_path / 'x.params'
    path.write_bytes(as_list({'a': head + ON_CPU + DATA, 'b': head + words(2, 7, 0) + DATA}))
    ours, theirs = params.read(path), mx.nd.load(str(path))
    assert list(ours) == list(theirs) == ['a', 'b']
    np.testing.assert_array_equal(ours['a'], theirs['a'].asnumpy())
    np.testing.assert_array_equal(ours['b'], np.arange(6).reshape(2, 3))       # whatever GPU it was on


@pytest.mark.parametrize('array', [
    words(V2, 0, 2, 2 ** 31, 2 ** 31, 2 ** 31, 2 ** 31) + ON_CPU, words(V2, 0, 1, 2 ** 31, 0) + ON_CPU,
    words(V2, 0, 2 ** 31 - 1), words(V2, 0, 33, *(66 * [1])) + ON_CPU + DATA,
    words(V2, 1, 2, 2, 0, 3, 0) + ON_CPU + DATA,
    words(V2, 0, 1, 2 ** 32 - 1, 2 ** 32 - 1) + ON_CPU, words(V2, 0, 1, 6, 0, 1, 0, 8) + DATA, words(V3, 0, 0),
    words(V1, 2 ** 32 - 1), words(2 ** 32 - 1), words(0), words(V2, 0, 1, 6, 0, 1, 0, 2 ** 32 - 1) + DATA])
def test_forged_params_are_named(tmp_path, array):
    path = tmp_path / 'x.params'
    path.write_bytes(as_list({'a': array}))
    assert fails(params.read, path) == f'{path}: damaged, not a complete MXNet .params file'


@pytest.mark.parametrize('name', ['a\n', 'a\0', '\x1b[2J'])
def test_names_of_params_that_would_spoil_a_message(tmp_path, name):
    path = tmp_path / 'x.params'
    path.write_bytes(as_list({name: words(V2, 0, 1, 6, 0) + ON_CPU + DATA}))
    assert 'damaged' in fails(params.read, path)


@pytest.fixture
def state(tmp_path):
    """A small network, its trainer, and a function that writes a state of them, of which some is another."""
    net = mx.gluon.nn.Dense(2, in_units=3)
    net.initialize()
    adam = trainer.optimizer(net)
    history, begun = [{'epoch': 1, 'score': 5.5}], {'steps': 1, 'images': 6, 'sums': [0.5, 1e12]}

    def write(arrays=(), **others):
        path = tmp_path / 'last.state'
        checkpoint.save_state(path, net, adam, history, begun)
        whole = checkpoint.read_arrays(path)
        text = json.dumps({'history': history, 'begun': begun, 'updates': 7, **others}).encode()
        whole.update(arrays, json=mx.nd.array(np.frombuffer(text, np.uint8), dtype='uint8'))
        checkpoint.write_arrays(path, whole)
        return path, net, adam, [mx.cpu()], ('score',)
    return write


def test_a_state_is_what_was_saved(state):
    moments = {f'{kind}:weight': mx.nd.ones((2, 3)) for kind in ('mean', 'variance')}
    history, begun = checkpoint.load_state(*state(moments))
    assert history == [{'epoch': 1, 'score': 5.5}] and begun == {'steps': 1, 'images': 6, 'sums': [0.5, 1e12]}
    assert checkpoint.load_state(*state(begun=None, history=[])) == ([], None)


@pytest.mark.parametrize('key, value', [
    ('history', {}), ('history', 5), ('history', None), ('history', [5]), ('history', [{}]),
    ('history', [{'score': 'x'}]), ('history', [{'score': 1, 'validation_loss': 'x'}]),
    ('history', [{'score': float('nan')}]), ('begun', 5), ('begun', []), ('begun', {}),
    ('begun', {'steps': 1.5, 'images': 1, 'sums': [0.0, 0.0]}),
    ('begun', {'steps': 1, 'images': -1, 'sums': [0.0, 0.0]}),
    ('begun', {'steps': 1, 'images': 1, 'sums': [0.0]}),
    ('begun', {'steps': 1, 'images': 1, 'sums': [0.0, 10 ** 400]}), ('updates', None),
    ('updates', 1.5), ('updates', -1), ('updates', 10 ** 400), ('updates', '7'), ('updates', True)])
def test_a_state_with_wrong_kinds_in_its_json(state, key, value):
    given = state(**{key: value})
    assert fails(checkpoint.load_state, *given) == \
        f'{given[0]}: not the state of a run: its "{key}" is not what a training writes'


@pytest.mark.parametrize('arrays', [
    {'mean:weight': mx.nd.ones((2, 3))}, {'variance:weight': mx.nd.ones((2, 3))},
    {'mean:weight': mx.nd.ones((2, 3)), 'variance:weight': mx.nd.ones((3, 2))}, {'devices:bias': mx.nd.ones((1, 3))},
    {f'{kind}:bias': mx.nd.ones((2,), dtype='float16') for kind in ('mean', 'variance')}])
def test_a_state_whose_arrays_do_not_fit_the_network(state, arrays):
    given = state(arrays)
    assert fails(checkpoint.load_state, *given).startswith(f'{given[0]}: not the state of a run of this network: ')


# --- .mat ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('compressed', [False, True])
def test_what_scipy_writes_is_read(tmp_path, compressed):
    values = {'numbers': np.arange(6.0).reshape(1, 2, 3), 'complex': np.array([[1 + 2j, 3]]), 'empty': np.zeros((0, 5)),
              'text': 'a text', 'unicode': 'äö\u20ac', 'none': '', 'texts': np.array(['a', 'bcd']),
              'struct': {'a': {'b': [1]}}, 'flag': True,
              'cell': np.array([['x', 5.5, np.zeros((0, 0))]], object), 'structs': hostile_files.release()['annolist'],
              **{kind: np.array([[1, 0]], kind) for kind in 'u1 i1 u2 i2 u4 i4 u8 i8 f4'.split()}}
    savemat(tmp_path / 'x.mat', values, do_compression=compressed)
    ours, theirs = layout.read_mat(tmp_path / 'x.mat'), loadmat(tmp_path / 'x.mat')
    assert repr(ours) == repr(theirs) and set(values) < set(ours)


def element(kind, data):
    """An element of a MATLAB file."""
    return struct.pack('<2I', kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind, shape, name, *rest):
    """The element of a variable, or of a member of one."""
    return element(14, b''.join([element(6, struct.pack('<2I', kind, 0)), element(5, struct.pack('<2i', *shape)),
                                 element(1, name), *rest]))


def number(name):
    return matrix(6, (1, 1), name, element(9, struct.pack('<d', 5)))


def struct_of(names, width):
    return matrix(2, (0, 0), b'', element(5, struct.pack('<i', width)),
                  element(1, b''.join(field.ljust(width, b'\0') for field in names)))


LETTERS = [bytes([97 + i // 26, 97 + i % 26]) for i in range(256)]
HARMFUL = {
    # Several times what a reader may take: a process with free memory of its own needs less from the system.
    'gigabytes of empty structs': lambda: [matrix(1, (1, 45000), b'x', 45000 * struct_of(LETTERS, 3))],
    'a variable without its values': lambda: [matrix(6, (2 ** 15, 2 ** 15), b'x')],
    'more cells than numbers': lambda: [matrix(1, (2 ** 31 - 1, 2 ** 31 - 1), b'x')],
    'an unknown type': lambda: [matrix(6, (1, 1), b'x', element(2 ** 31, bytes(8)))],
    'one name twice': lambda: [number(b'a'), number(b'a')],
}


@pytest.mark.parametrize('kind', HARMFUL)
def test_a_mat_of_little_that_would_crash_or_fill_memory_is_named(tmp_path, kind):
    path = tmp_path / 'x.mat'
    packed = [zlib.compress(variable) for variable in HARMFUL[kind]()]
    path.write_bytes(124 * b'x' + b'\0\1IM' + b''.join(struct.pack('<2I', 15, len(p)) + p for p in packed))
    assert path.stat().st_size < 200000
    assert fails(layout.read_mat, path).startswith(f'{path}: not a MATLAB file')


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


# --- images --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('side', [8300, 30000, 65500])
def test_an_image_that_claims_to_be_huge_is_not_decoded(tmp_path, side):
    cv2.imwrite(str(tmp_path / 'small.jpg'), np.zeros((64, 64, 3), np.uint8))
    jpeg, picture = tmp_path / 'x.jpg', tmp_path / 'png.jpg'
    jpeg.write_bytes(hostile_damage.jpeg_of_size((tmp_path / 'small.jpg').read_bytes(), side, side))
    picture.write_bytes(hostile_damage.png(side, side))
    for path in (jpeg, picture):
        assert fails(images.read_image, path, 8.0).startswith(f'{path}: an image of {side} x {side} pixels; at most ')


def test_a_side_that_opencv_cannot_warp_is_not_decoded(tmp_path):
    cv2.imwrite(str(tmp_path / 'long.png'), np.zeros((2, 40000, 3), np.uint8))
    assert fails(images.read_image, tmp_path / 'long.png', 8.0).endswith('and 32766 of a side')


def with_scans(jpeg, count, behind=b''):
    """A JPEG with so many more scans, copies of its second."""
    places = [place for place in range(len(jpeg)) if jpeg[place:place + 2] == b'\xff\xda']
    return jpeg[:-2] + count * jpeg[places[1]:places[2]] + b'\xff\xd9' + behind


@pytest.fixture
def progressive():
    _, jpeg = cv2.imencode('.jpg', np.full((1500, 1500, 3), 9, np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    return jpeg.tobytes()


def test_a_jpeg_of_thousands_of_scans_is_not_decoded(tmp_path, progressive):
    path = tmp_path / 'x.jpg'
    for count in (95, 20000):
        path.write_bytes(with_scans(progressive, count))
        start = time.time()
        assert fails(images.read_image, path) == \
            f'{path}: this JPEG has {count + 10} scans, which take minutes to decode; save it anew'
    assert path.stat().st_size < 1 << 20 and time.time() - start < 5
    # A false marker, that seems to be the begin of a segment, hides none of them.
    path.write_bytes(with_scans(progressive, 1)[:-2] + b'\xff\x02\xff\xff' + with_scans(progressive, 200)[2:])
    assert 'scans' in fails(images.read_image, path)


def test_scans_are_those_of_the_picture_alone(tmp_path, progressive):
    """Not of a thumbnail in its head, nor what looks like one in a video behind it."""
    path, thumbnail = tmp_path / 'x.jpg', b'\xff\xe1' + struct.pack('>H', 2 + 400) + 200 * b'\xff\xda'
    for jpeg in (with_scans(progressive, 80), with_scans(progressive, 5, behind=2000 * b'\xff\xda'),
                 progressive[:2] + thumbnail + progressive[2:]):
        path.write_bytes(jpeg)
        assert images.read_image(path)[0].shape == (1500, 1500, 3)


def test_the_larger_a_jpeg_the_fewer_its_scans(tmp_path, progressive):
    path, jpeg = tmp_path / 'x.jpg', with_scans(progressive, 30)
    path.write_bytes(hostile_damage.jpeg_of_size(jpeg, 8192, 8192))
    assert '40 scans' in fails(images.read_image, path)


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
            assert not (isinstance(node, ast.Attribute) and node.attr == 'load' and isinstance(node.value, ast.Name)
                        and node.value.id == 'np'), f'{path}:{node.lineno}'
