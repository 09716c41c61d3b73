"""Reads MXNet's `.params` files in NumPy: what a file claims is checked against its size before memory is taken for it.

The format, little-endian (`NDArray::Load` of MXNet 1.9, src/ndarray/ndarray.cc):

    file     uint64 0x112; uint64 0; uint64 number of arrays; the arrays; uint64 number of names; the names
    name     uint64 length; UTF-8
    array    header; int32 kind of device; int32 number of the device; int32 type; the values
    header   uint32 0xF993FAC9 or 0xF993FACA; int32 0 (dense); int32 number of dimensions; int64 for each
             uint32 0xF993FAC8; int32 number of dimensions; int64 for each                         before MXNet 1.0
             uint32 number of dimensions; uint32 for each                                          before MXNet 0.11
"""
import math
import os
import struct

import numpy as np

from common.errors import InputError

MAGIC, DENSE, DENSE_V3, V1 = 0x112, 0xF993FAC9, 0xF993FACA, 0xF993FAC8
TYPES = (np.dtype('<f4'), np.dtype('<f8'), np.dtype('<f2'), np.dtype('u1'), np.dtype('<i4'), np.dtype('i1'),
         np.dtype('<i8'), np.dtype('?'))
MOST_DIMENSIONS = 32                          # NumPy's limit


def read(path) -> dict:
    """{name: array} of a `.params` file; InputError if it is not one, or not whole, or its arrays have no names.

    On whatever device the arrays were, they are read into the CPU's memory, no more than the file's size of it.
    """
    try:
        with open(path, 'rb') as file:
            reader = _Reader(file)
            if reader.left < 24 or reader.one('Q') != MAGIC:
                raise InputError(f'{path}: not an MXNet .params file')
            reader.one('Q')
            arrays = [reader.array() for _ in range(reader.one('Q'))]
            names = [reader.name() for _ in range(reader.one('Q'))]
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror})') from None
    except ValueError:
        raise InputError(f'{path}: damaged, not a complete MXNet .params file') from None
    if not names:
        raise InputError(f'{path}: its arrays have no names; expected the parameters of a network')
    if len(names) != len(arrays) or len(set(names)) != len(names) or reader.left:
        raise InputError(f'{path}: damaged, not a complete MXNet .params file')
    return dict(zip(names, arrays))


class _Reader:
    """What a file consists of, piece by piece; ValueError where it cannot be. `left`: bytes not yet read."""

    def __init__(self, file):
        self.file, self.left = file, os.fstat(file.fileno()).st_size

    def bytes(self, size) -> bytes:
        if size > self.left:
            raise ValueError
        self.left -= size
        piece = self.file.read(size)
        if len(piece) < size:                 # the file has just been cut off
            raise ValueError
        return piece

    def many(self, code, count) -> tuple:
        """`count` numbers of a format as of `struct`."""
        return struct.unpack(f'<{count}{code}', self.bytes(count * struct.calcsize(code)))

    def one(self, code) -> int:
        return self.many(code, 1)[0]

    def name(self) -> str:
        name = self.bytes(self.one('Q')).decode()
        if not name.isprintable():            # it will stand in messages
            raise ValueError
        return name

    def array(self) -> np.ndarray:
        magic = self.one('I')
        if magic in (DENSE, DENSE_V3) and self.one('i') != 0:
            raise ValueError
        dimensions, code = (self.one('i'), 'q') if magic in (DENSE, DENSE_V3, V1) else (magic, 'I')
        if not 0 < dimensions <= MOST_DIMENSIONS:
            raise ValueError
        shape = self.many(code, dimensions)
        _, _, kind = self.many('i', 3)
        if min(shape) <= 0 or not 0 <= kind < len(TYPES):
            raise ValueError
        values = self.bytes(math.prod(shape) * TYPES[kind].itemsize)
        return np.frombuffer(values, TYPES[kind]).reshape(shape)
