"""Checks a MATLAB file before SciPy reads it: SciPy trusts what a file says of itself, and crashes where that is wrong.

The format (MathWorks, "MAT-File Format", level 5, which MATLAB calls -v6 and -v7) is a header of 128 bytes and then
elements: a tag with type and size, and as many bytes. An element of type matrix holds elements: flags with the class,
dimensions, a name, and what the class demands, which may be matrices again. A compressed element holds one matrix.
The walk below meets them in the order in which SciPy reads them, so that SciPy finds nothing that was not checked.
"""
import math
import struct
import zlib
from typing import Optional

HEADER, VERSION = 128, 0x0100
INT8, INT32, UINT32, MATRIX, COMPRESSED, UTF8 = 1, 5, 6, 14, 15, 16            # types
ITEM_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}    # bytes, of the types of numbers
TEXTS = (1, 2, 4, 16, 17, 18)                 # the types of characters
CELL, STRUCT, CHAR, NUMBERS = 1, 2, 4, range(6, 16)                            # classes
COMPLEX = 1 << 11                             # a flag
ONE = (INT32, 8, 1, 1, INT8, 0)               # dimensions 1 x 1 and no name, in words
MOST_NESTED, MOST_FIELDS, MOST_DIMENSIONS = 16, 256, 32
MOST_NAME = 64                                # bytes of a name and the zero behind it, as in MATLAB
# MPII's release, the largest file there is to read, is estimated to take half of either.
MOST_BYTES = 256 << 20                        # of the file, and of a variable once it is decompressed
MOST_MEMORY = 768 << 20                       # of what SciPy makes of it, which is about
ARRAY_MEMORY, VALUE_MEMORY = 200, 8           # bytes for every array, every field's name, and every value


def check(content):
    """ValueError unless `content`, the bytes of a file, is what SciPy can read, within the limits above.

    Numbers, text, cells and structs are; sparse matrices, objects and functions are not.
    """
    order = {b'IM': '<', b'MI': '>'}.get(content[126:128])
    if order is None or struct.unpack(order + 'H', content[124:126])[0] != VERSION or len(content) > MOST_BYTES:
        raise ValueError
    content, place, room, names = memoryview(content), HEADER, MOST_MEMORY, set()
    try:
        while place < len(content):
            kind, size = struct.unpack_from(order + '2I', content, place)
            end = place + 8 + size
            if end > len(content):
                raise ValueError
            variable = _decompress(content[place + 8:end]) if kind == COMPRESSED else content[place:end]
            walk = _Walk(variable, order, room)
            name = walk.matrix()
            if walk.room < 0 or walk.place != len(variable) or name in names:
                raise ValueError
            names.add(name)
            room, place = walk.room, end
    except (struct.error, zlib.error):        # beyond the end; not compressed
        raise ValueError from None


def _decompress(data):
    decompressor = zlib.decompressobj()
    variable = decompressor.decompress(data, MOST_BYTES)
    if not decompressor.eof:                  # larger, or incomplete
        raise ValueError
    return variable


class _Walk:
    """A walk through the elements of a variable; ValueError or struct.error where one is not what has to be there.

    room: bytes of memory that what it holds may take.
    """

    def __init__(self, data, order, room):
        self.data, self.room, self.place = data, room, 0
        self.words = struct.Struct(order + '2I').unpack_from
        self.number = struct.Struct(order + '14I').unpack_from
        self.order = order

    def matrix(self, nested=0) -> Optional[bytes]:
        """Pass a matrix, tag and all; returns its name, None for one without anything."""
        kind, size = self.words(self.data, self.place)
        if kind != MATRIX or nested > MOST_NESTED:
            raise ValueError
        self.place += 8
        self.room -= ARRAY_MEMORY
        if not size:
            return None
        flags, _ = self.words(self.data, self.place + 8)                       # behind their tag
        self.place += 16
        count, name = self._count(), self._name()
        self.room -= VALUE_MEMORY * count
        if self.room < 0:
            raise ValueError
        self._values(flags & 0xff, count, 2 if flags & COMPLEX else 1, nested)
        return name

    def _name(self):
        _, size, start = self._element((INT8, UTF8))
        if size > MOST_NAME:
            raise ValueError
        return bytes(self.data[start:start + size])

    def _count(self):
        """The number of values that the dimensions say."""
        dimensions = self._integers()
        if not 2 <= len(dimensions) <= MOST_DIMENSIONS or min(dimensions) < 0:
            raise ValueError
        return math.prod(dimensions)

    def _integers(self):
        _, size, start = self._element((INT32, UINT32))
        return struct.unpack_from(f'{self.order}{size // 4}i', self.data, start)

    def _values(self, kind, count, parts, nested):
        if kind in NUMBERS:
            for _ in range(parts):
                kind, size, _ = self._element(ITEM_SIZES)
                if size != count * ITEM_SIZES[kind]:
                    raise ValueError
        elif kind == CHAR:
            _, size, _ = self._element(TEXTS)
            if size < count:
                raise ValueError
        elif kind == CELL:
            self._matrices(count, nested)
        elif kind == STRUCT:
            self._matrices(count * self._fields(), nested)
        else:
            raise ValueError

    def _fields(self):
        """The number of a struct's fields, whose names are different, and each ends with a zero."""
        lengths = self._integers()
        _, size, start = self._element((INT8, UTF8))
        if len(lengths) != 1 or not 0 < lengths[0] <= MOST_NAME or size // lengths[0] > MOST_FIELDS:
            raise ValueError
        width, whole = lengths[0], bytes(self.data[start:start + size])
        names = [whole[place:place + width] for place in range(0, size - size % width, width)]
        if any(name[-1] for name in names) or len({name.partition(b'\0')[0] for name in names}) < len(names):
            raise ValueError
        self.room -= ARRAY_MEMORY * len(names)
        return len(names)

    def _matrices(self, count, nested):
        for _ in range(count):
            if not self._number():
                self.matrix(nested + 1)

    def _number(self):
        """Pass a matrix that is one real number, as most of a release are: whether it was. For speed alone."""
        if self.place + 64 > len(self.data):
            return False
        words = self.number(self.data, self.place)
        flags, kind, size = words[4], words[12], words[13]
        small = kind >> 16
        if (words[0] != MATRIX or words[6:12] != ONE or flags & 0xff not in NUMBERS or flags & COMPLEX
                or ITEM_SIZES.get(kind & 0xffff) != (small or size) or not words[1] or small > 4):
            return False
        self.place += 56 if small else 64
        self.room -= ARRAY_MEMORY + VALUE_MEMORY
        return True

    def _element(self, kinds):
        """Pass an element: its type, one of `kinds`, the number of bytes and where they begin."""
        kind, size = self.words(self.data, self.place)
        start = self.place + 8
        self.place = start
        if kind >> 16:                        # a small one: both in the first word, up to 4 bytes in the second
            kind, size, start = kind & 0xffff, kind >> 16, start - 4
            if size > 4:
                raise ValueError
        else:
            self.place += size + -size % 8
        if kind not in kinds or start + size > len(self.data):
            raise ValueError
        return kind, size, start
