"""Ways to damage a file: `damage_*(content, rng)` returns other bytes, the same ones for the same generator."""
import json
import struct
import zlib

import yaml

WORDS = (0, 1, 2, 14, 15, 255, 2 ** 16, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1)
DEEP = 100000
VALUES = (None, True, False, 0, -1, 1, 2, 1.5, -0.0, 5e-324, 1e-30, 1e8, 1e308, float('nan'), float('inf'), 2 ** 31,
          2 ** 63, 2 ** 64, 10 ** 400, '', 'x', '1', '..', '../../x.jpg', '/etc/passwd', 'a/../../x', 'a\0b', 'a\nb',
          '\ud800', '\u202e', 300 * 'x', 999 * 'x', 100000 * 'x', [], {}, [[]], [{}], [1], [0, 0], {'a': 1}, 50 * [0],
          50 * [None])
JSON_FILES = (b'', b'\0', b'null', b'1', b'"x"', b'{}', b'[]', b'[[]]', b'NaN', DEEP * b'[', DEEP * b'{"a":',
              DEEP * b'[' + DEEP * b']', b'[' + 5000 * b'1' + b']', b'[1e999]', b'"' + 10 ** 6 * b'x' + b'"',
              b'"\\ud800"', b'\xff\xfe', b'\xef\xbb\xbf[]', b'\xef\xbb\xbf', b'{"a": 1, "a": 2}', b'PK\x03\x04',
              b'\x80\x04]q\0.', b'[' + 10 ** 5 * b'[],' + b'[]]', b'{"images": [], "images": {}}', b'\x1f\x8b\x08')
YAML_FILES = tuple(text.encode('utf-8', 'surrogatepass') for text in (
    '', '~', '5', 'x', '[]', '- a', ': :', '{', DEEP * '[', 5000 * '[' + 5000 * ']', DEEP * '{a: ', DEEP * '- ', '\0',
    '\ud800', '\x07', '\tx: 1', '--- a\n--- b', '!!python/object/apply:os.system [ls]', '!!python/name:os.system',
    '!x y',
    'a: &a [x, x]\n' + ''.join(f'{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n' for a, b in
                               zip('abcdefghijklmno', 'bcdefghijklmnop')),
    'loss: &a\n  sigma: 1\n' + ''.join(f'{b}: &{b} {{<<: [*{a}, *{a}, *{a}, *{a}, *{a}]}}\n' for a, b in
                                       zip('abcdefghijklmno', 'bcdefghijklmnop')),
    '&a [*a]', 'loss: &a {sigma: *a}', 'loss: {sigma: ' + 10 ** 6 * '1' + '}', 'loss: {sigma: 0x' + 20000 * 'f' + '}',
    'train: {epochs: 0x' + 20000 * 'f' + '}', 'loss: {sigma: 1' + 20000 * ':1' + '}', 10 ** 5 * 'x' + ': 1',
    'base: /dev/zero', 'base: "a\\0b"', 'base: .', 'base: x.yaml', 'base: [gone.yaml]', 'base: "\\n"', '? [a]\n: b',
    'loss: {? {a: b} : c}', 'loss: !!set {a, b}', 'loss: !!omap [a: 1]', 'loss: !!binary "=="', 'loss: !!timestamp x',
    'loss: {sigma: 2001-99-99}', 'loss: {"a\\nb": 1}', '"a\\nb": 1', '5: 1', '~: 1', 'name: ../../x', 'name: /x',
    'name: "a\\nb"', 'name: []', 'data: {train: ../../x}', 'loss: {sigma: "' + 60000 * 'x' + '"}', '%YAML 9.9\n--- a',
    'loss: {<<: 5}', 'loss: {<<: {sigma: 1}}', '<<: {loss: 1}', 'input: {size: [1e3, 1e3]}', 'a: |\n' + 50000 * ' '))


def damage_bytes(content, rng):
    """Flip bits, cut off, cut out, copy within, overwrite words: one to four times."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        if len(data) < 8:
            break
        a, b = sorted(rng.integers(0, len(data), 2))
        kind = rng.integers(7)
        if kind == 0:
            for place in rng.integers(0, len(data), rng.integers(1, 9)):
                data[place] ^= 1 << rng.integers(8)
        elif kind == 1:
            del data[b:]
        elif kind == 2:
            del data[a:min(b, a + 64)]
        elif kind == 3:
            data[a:a + 32] = data[b:b + 32]
        elif kind == 4:
            data += rng.bytes(int(rng.integers(1, 100)))
        else:                                 # a length, a type, a dimension; the head has more of them
            place = int(rng.integers(0, min(len(data), rng.choice([64, 256, 1024, len(data)]))) // 4 * 4)
            data[place:place + 4] = struct.pack('<I', int(rng.choice(WORDS)) ^ int(rng.integers(2)))
    return bytes(data)


def damage_packed(content, rng):
    """Damage what a compressed MATLAB file holds, and compress it again."""
    variable = damage_bytes(zlib.decompress(content[136:]), rng)
    packed = zlib.compress(variable)
    return content[:128] + struct.pack('<2I', 15, len(packed)) + packed


def damage_json(content, rng):
    """Replace, remove or double a value; now and then in another encoding, or damage bytes, or another file."""
    kind = rng.integers(10)
    if kind == 0:
        return JSON_FILES[rng.integers(len(JSON_FILES))]
    if kind == 1:
        return damage_bytes(content, rng)
    tree = damage_tree(json.loads(content), rng)
    text = json.dumps(tree, ensure_ascii=bool(rng.integers(2)))
    encoding = rng.choice(['utf-16', 'utf-32', 'utf-8-sig', 'latin-1', 'utf-16-be']) if kind == 2 else 'utf-8'
    return text.encode(str(encoding), 'replace' if encoding == 'latin-1' else 'surrogatepass')


def damage_yaml(content, rng):
    """As `damage_json`, for a configuration."""
    kind = rng.integers(4)
    if kind == 0:
        return YAML_FILES[rng.integers(len(YAML_FILES))]
    if kind == 1:
        return damage_bytes(content, rng)
    return json.dumps(damage_tree(yaml.safe_load(content), rng)).encode()      # JSON is YAML


def damage_tree(tree, rng):
    """A tree with a few values of it replaced, removed or doubled."""
    for _ in range(rng.integers(1, 3)):
        parent = node = tree
        while isinstance(node, (dict, list)) and node and (parent is tree or rng.random() < 0.9):
            parent = node
            key = list(node)[rng.integers(len(node))] if isinstance(node, dict) else int(rng.integers(len(node)))
            node = node[key]
        if parent is tree and not tree:
            break
        change = rng.integers(8)
        if change == 0:
            del parent[key]
        elif change == 1:
            parent.update({f'{key}x': node}) if isinstance(parent, dict) else parent.append(node)
        else:
            parent[key] = VALUES[rng.integers(len(VALUES))]
    return tree


def damage_jpeg(content, rng):
    """Damage bytes, or the size in the frame's head, or another kind of file."""
    kind = rng.integers(4)
    if kind == 0:
        others = (b'', b'\xff\xd8', b'\xff\xd8\xff\xd9', b'GIF89a\xff\xff\xff\xff\0\0\0;', b'<html>',
                  b'BM' + 52 * b'\xff', b'\x89PNG\r\n\x1a\n',
                  b'II*\0\x08\0\0\0\xff\xff', b'RIFF\xff\xff\xff\xffWEBPVP8X',
                  png(32000, 32000), png(2 ** 31 - 1, 1), png(0, 0), b'%!PS-Adobe-3.0 EPSF-3.0', b'\x76\x2f\x31\x01',
                  b'P6 99999 99999 255\n')
        return others[rng.integers(len(others))]
    if kind == 1:
        sides = [int(side) for side in rng.choice([0, 1, 160, 8000, 16000, 30000, 65500, 65535], 2)]
        return jpeg_of_size(content, *sides)
    return damage_bytes(content, rng)


def jpeg_of_size(content, width, height):
    """A JPEG whose head says another size."""
    place = max(content.find(b'\xff\xc0'), content.find(b'\xff\xc2'))
    return content[:place + 5] + struct.pack('>2H', height, width) + content[place + 9:]


def png(width, height):
    """A PNG of a few kilobytes whose head says this size."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    head = struct.pack('>2I5B', width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b'IHDR', head), chunk(b'IDAT', zlib.compress(bytes(10 ** 6))), chunk(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunks)
