"""Files are replaced whole or not at all, and what cannot be read or written is named."""
import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from refused import fails
from runs import full_disk

from common.errors import InputError
from common.files import check_outputs, locked, make_folder, read_json, replacing, write_json, write_text

ROOT = Path(__file__).resolve().parents[1]


def test_a_file_and_its_folders_appear_and_nothing_else(tmp_path):
    path = tmp_path / 'new' / 'folder' / 'result.json'
    write_json(path, {'a': [1, 2.5, None]})
    write_json(path, {'a': 'é'})
    assert read_json(path) == {'a': 'é'} and os.listdir(path.parent) == ['result.json']


def test_a_folder_whose_name_mxnet_cannot_take_is_refused_at_once(tmp_path):
    name = os.fsdecode(b'caf\xe9')                                    # Latin-1
    with pytest.raises(InputError, match='the name of this folder is not UTF-8'):
        make_folder(tmp_path / name)
    assert not os.listdir(tmp_path)


IN_A_LOCALE = """
import os, sys
sys.path[0] = {root!r}
import common
import mxnet as mx
from common import files
from common.errors import InputError
from common.weights import checkpoint

assert sys.getfilesystemencoding() == {encoding!r}, sys.getfilesystemencoding()
folder = files.make_folder(sys.argv[1])
files.write_json(folder / 'x.json', 'caf\u00e9')
files.write_text(folder / 'x.txt', 'caf\u00e9 \u20ac')
checkpoint.write_arrays(folder / 'x.params', {{'a': mx.nd.ones(2)}})
assert checkpoint.read_arrays(folder / 'x.params')['a'].shape == (2,)
for function, path in ((files.make_folder, sys.argv[2]), (files.make_folder, os.path.join(sys.argv[2], 'x')),
                       (files.read_bytes, '\u20ac.jpg')):
    try:
        function(path)
    except InputError as error:
        print(ascii(str(error)))
"""


@pytest.fixture(scope='session')
def latin1(tmp_path_factory):
    """The environment of a Latin-1 locale, made for the test."""
    folder = tmp_path_factory.mktemp('locales')
    made = subprocess.run(['localedef', '-f', 'ISO-8859-1', '-i', 'en_US', str(folder / 'en_US.ISO-8859-1')],
                          capture_output=True)
    return {'LOCPATH': str(folder), 'LC_ALL': 'en_US.ISO-8859-1'} if made.returncode == 0 else None


@pytest.mark.parametrize('encoding', ['ascii', 'iso8859-1'])
def test_files_are_utf8_in_every_locale(root, tmp_path, latin1, encoding):
    """As are their names for MXNet; a folder whose name is not is refused before anything is computed."""
    locale = {'LC_ALL': 'C'} if encoding == 'ascii' else latin1
    if not locale:
        pytest.skip('localedef does not make a Latin-1 locale here')
    good, bad = os.fsencode(tmp_path) + b'/caf\xc3\xa9', os.fsencode(tmp_path) + b'/caf\xe9'
    program = tmp_path.with_name(f'{tmp_path.name}.py')
    program.write_text(IN_A_LOCALE.format(root=str(root), encoding=encoding), encoding='utf-8')
    process = subprocess.run([sys.executable, str(program), good, bad],
                             env={**os.environ, **locale, 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'},
                             capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    told = process.stdout.splitlines()
    assert 'the name of this folder is not UTF-8' in told[0] and 'the name of this folder is not UTF-8' in told[1]
    assert 'cannot be read (this locale has no such name' in told[2] and len(told) == 3
    assert sorted(os.listdir(tmp_path)) == ['caf\xe9']
    folder = tmp_path / 'caf\xe9'
    assert sorted(os.listdir(folder)) == ['x.json', 'x.params', 'x.txt']
    assert (folder / 'x.txt').read_bytes() == 'caf\xe9 \u20ac'.encode() and read_json(folder / 'x.json') == 'caf\xe9'


def test_no_text_file_is_opened_in_the_locales_encoding(root):
    sources = [path for folder in ('common', 'pose_mpii', 'pose_coco', 'scripts')
               for path in (root / folder).rglob('*.py')]
    assert len(sources) > 40
    for path in sources:
        for call in ast.walk(ast.parse(path.read_bytes())):
            name = isinstance(call, ast.Call) and getattr(call.func, 'id', getattr(call.func, 'attr', None))
            if name in ('read_text', 'write_text') and getattr(getattr(call.func, 'value', None), 'id', '') != 'files' \
                    or name == 'open' and isinstance(call.func, ast.Name):
                binary = any(isinstance(word, ast.Constant) and 'b' in str(word.value) for word in call.args[1:2])
                named = any(keyword.arg == 'encoding' for keyword in call.keywords)
                assert binary or named or isinstance(call.func, ast.Name) and name == 'write_text', \
                    f'{path}:{call.lineno}'


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt, InputError])
def test_a_writer_that_fails_leaves_the_old_file(tmp_path, error):
    path = tmp_path / 'result.txt'
    write_text(path, 'old')
    with pytest.raises(error):
        with replacing(path) as temporary:
            temporary.write_text('half of the n')
            raise error
    assert path.read_text() == 'old' and os.listdir(tmp_path) == ['result.txt']


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / 'result.txt'
    write_text(path, 'old')
    with replacing(path) as temporary:
        temporary.write_text('new')
        assert path.read_text() == 'old' and temporary.parent == tmp_path
        assert temporary.suffix == '.txt', 'some writers choose the format by it'
    assert path.read_text() == 'new'


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / 'result.txt'
    write_text(path, 'old')
    with full_disk(1000):
        message = fails(write_text, path, 2000 * 'x')
    assert message.startswith(f'{path}: cannot be written (') and 'unchanged' in message
    assert path.read_text() == 'old' and os.listdir(tmp_path) == ['result.txt']


@pytest.mark.parametrize('lacking', [100000, 3000, 1])
def test_a_full_disk_leaves_the_old_network(tmp_path, lacking):
    from mxnet.gluon import nn

    from common.weights.checkpoint import save_parameters
    path, net = tmp_path / 'best.params', nn.Dense(100, in_units=300)
    net.initialize()
    save_parameters(net, path)
    old = path.read_bytes()
    with full_disk(len(old) - lacking):
        assert fails(save_parameters, net, path).startswith(f'{path}: cannot be written (')
    assert path.read_bytes() == old and os.listdir(tmp_path) == ['best.params']


def test_a_locked_folder_is_one_processes(tmp_path):
    with locked(tmp_path):
        with pytest.raises(InputError, match=f'{tmp_path}: another process is writing there'):
            with locked(tmp_path):
                pass
    with locked(tmp_path):                    # free again
        pass
    with pytest.raises(InputError, match='gone/.boxes.json.lock: cannot be written'):
        with locked(tmp_path / 'gone' / 'boxes.json'):
            pass


def test_outputs_do_not_take_the_place_of_inputs_or_of_each_other(tmp_path):
    (tmp_path / 'read').write_text('')
    (tmp_path / 'link').symlink_to('read')
    check_outputs([tmp_path / 'new' / 'one', tmp_path / 'two'], [tmp_path / 'read'])
    assert (tmp_path / 'new').is_dir()
    with pytest.raises(InputError, match='link: would overwrite what is read'):
        check_outputs([tmp_path / 'two', tmp_path / 'link'], [tmp_path / 'read'])
    with pytest.raises(InputError, match='two: given for two different outputs'):
        check_outputs([tmp_path / 'two', tmp_path / 'new' / '..' / 'two'])
    os.mkfifo(tmp_path / 'fifo')
    with pytest.raises(InputError, match='fifo: cannot be written'):
        check_outputs([tmp_path / 'fifo'])


@pytest.mark.parametrize('name', ['file/result.json', 'file/folder/result.json', 'folder', '/proc/result.json',
                                  300 * 'x' + '.json'])
def test_an_unwritable_place_is_named(tmp_path, name):
    (tmp_path / 'file').write_text('')
    (tmp_path / 'folder').mkdir()
    path = tmp_path / name
    message = fails(write_text, path, 'x')
    assert message.startswith((f'{path}: ', f'{path.parent}: '))
    assert sorted(os.listdir(tmp_path)) == ['file', 'folder'] and not os.listdir(tmp_path / 'folder')


def test_a_link_stays_one_and_what_is_no_file_stays_what_it_is(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'folder' / 'target')
    write_text(tmp_path / 'link', 'x')
    assert (tmp_path / 'link').is_symlink() and (tmp_path / 'folder' / 'target').read_text() == 'x'
    (tmp_path / 'loop').symlink_to(tmp_path / 'loop')
    fails(write_text, tmp_path / 'loop' / 'x', 'x')
    os.mkfifo(tmp_path / 'fifo')
    assert 'it is no file' in fails(write_text, tmp_path / 'fifo', 'x')
    assert (tmp_path / 'fifo').is_fifo()


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_a_folder_without_permission_is_named(tmp_path):
    folder = make_folder(tmp_path / 'folder')
    folder.chmod(0o500)
    assert fails(write_text, folder / 'x', 'x') == f'{folder}: this folder is not writable'


@pytest.mark.parametrize('content, told', [
    (b'', 'not valid JSON (line 1'), (b'{"a": 1,\n "b": }', 'not valid JSON (line 2'), (b'[1, 2', 'not valid JSON'),
    (b'["\xe9"]', 'not valid JSON (byte 2 is not UTF-8'), (100000 * b'[', 'not valid JSON')])
def test_malformed_json_is_named(tmp_path, content, told):
    path = tmp_path / 'x.json'
    path.write_bytes(content)
    assert fails(read_json, path).startswith(f'{path}: {told}')


@pytest.mark.parametrize('name, told', [('gone.json', 'No such file'), ('', 'directory')])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, told):
    message = fails(read_json, tmp_path / name)
    assert message.startswith(f'{tmp_path / name}: cannot be read (') and told in message


def test_what_a_killed_process_left_is_removed_under_the_lock(tmp_path):
    """kill -9 within a save: the temporary file stays until the folder is next locked; other files stay for ever."""
    code = ('import os, signal; from common import files\n'
            f'with files.replacing("{tmp_path}/last.state") as temporary:\n'
            '    temporary.write_bytes(bytes(1000)); os.kill(os.getpid(), signal.SIGKILL)')
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT).returncode == -signal.SIGKILL
    (tmp_path / '.hidden.file').touch()
    assert len(list(tmp_path.iterdir())) == 2
    with locked(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {'.hidden.file', '.lock'}


@pytest.mark.parametrize('value, name', [
    (float('nan'), 'nan'), ({'a': [1, {'b': float('inf')}]}, 'a.1.b'), ({'AUC': -np.float64('inf')}, 'AUC')])
def test_what_json_cannot_hold_is_named_and_not_written(tmp_path, value, name):
    write_json(tmp_path / 'x.json', 1)
    assert fails(write_json, tmp_path / 'x.json', value) == \
        f'{tmp_path}/x.json: not written, as {name} is not a finite number'
    assert read_json(tmp_path / 'x.json') == 1
