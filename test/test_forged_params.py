"""Forged .params and training states: an error names the file, before memory is taken."""
import json

import mxnet as mx
import numpy as np
import pytest
from refused import fails

from common.guard import params
from common.train import trainer
from common.weights import checkpoint


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
