"""MATLAB files: what SciPy writes is read, and what would crash or fill memory is refused."""
import struct
import zlib

import hostile_files
import numpy as np
import pytest
from refused import fails
from scipy.io import loadmat, savemat

from pose_mpii import layout


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
