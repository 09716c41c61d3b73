"""Damages every kind of file the project reads, and reads it: the worker of `test_hostile_input.py`.

    python test/hostile.py FOLDER KIND NUMBER     one mutation, with its traceback; the file stays in FOLDER, a new one

As `serve` it is a process that may crash: a job comes as a line of JSON, its outcome goes back as another.
"""
import json
import os
import resource
import signal
import struct
import sys
import traceback
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common  # noqa: F401  before MXNet, which has to find what this sets and loads

import cv2
import mxnet as mx
import numpy as np
import yaml
from scipy.io import savemat

from common import config
from common.data.crop import crop_matrix, crop_sample
from common.data.images import read_crop
from common.errors import InputError
from common.weights import checkpoint
from pose_coco.dataset import load_people
from pose_coco.layout import read_images, read_results
from pose_coco.skeleton import JOINTS as COCO_JOINTS
from pose_mpii import from_coco, lsp, prepare, submit
from pose_mpii.dataset import load_samples
from pose_mpii.layout import read_ground_truth, write_ground_truth
from pose_mpii.predictions import read_predictions
from pose_mpii.sample import write_sample

MEMORY = 1 << 30                              # bytes that reading may take
HANGS = 300                                   # seconds after which a job does
SIZE = 64, 64                                 # of crops
PEOPLE = 'annotations/person_keypoints_val.json'


# --- whole files ---------------------------------------------------------------------------------------------------

def make(folder):
    """A valid file of every kind in a new folder."""
    folder.mkdir()
    data, coco = folder / 'mpii', folder / 'coco'
    write_sample(data, train=2, valid=4, size=96)
    make_coco(coco)
    rng = np.random.default_rng(0)
    predictions = rng.uniform(0, 96, (4, 16, 2))
    (folder / 'preds.json').write_text(json.dumps({'preds': predictions.tolist()}))
    savemat(folder / 'preds.mat', {'preds': predictions})
    write_ground_truth(folder / 'gt.mat', predictions, np.ones((4, 16)), rng.uniform(0, 1, (4, 2, 2)))
    for name, compressed in (('release.mat', False), ('packed.mat', True)):
        savemat(folder / name, {'RELEASE': release()}, do_compression=compressed)
    (folder / 'lsp').mkdir()
    savemat(folder / 'lsp' / 'joints.mat', {'joints': np.zeros((14, 3, 10000))}, do_compression=True)
    mx.nd.save(str(folder / 'x.params'), {
        'stem.conv1.weight': mx.nd.ones((4, 3, 2, 2)), 'head.bias': mx.nd.zeros((5,), dtype='float16'),
        'json': mx.nd.array(np.arange(40), dtype='uint8')})
    cfg = config.load(common_experiment())
    (folder / 'x.yaml').write_text(yaml.safe_dump({'name': cfg.name, **config.sections(cfg)}))
    picture = cv2.GaussianBlur(rng.integers(0, 256, (120, 160, 3), np.uint8), (9, 9), 0)
    for name, options in (('x.jpg', []), ('progressive.jpg', [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), ('x.png', [])):
        cv2.imwrite(str(folder / name), picture, options)


def common_experiment():
    return Path(__file__).resolve().parents[1] / 'experiments' / 'cpu' / 'mpii' / 'table2' / 'h1.yaml'


def make_coco(folder):
    names = [name.replace(' ', '_') for name in COCO_JOINTS]
    (folder / 'annotations').mkdir(parents=True)
    (folder / 'val').mkdir()
    cv2.imwrite(str(folder / 'val' / '1.jpg'), np.zeros((96, 96, 3), np.uint8))
    people = [{'id': i, 'image_id': 1, 'category_id': 1, 'iscrowd': 0, 'bbox': [5.5, 6, 70, 80], 'area': 3000.5,
               'num_keypoints': 17, 'keypoints': [20, 30, 2] * 17} for i in range(3)]
    write = {PEOPLE: {
                 'images': [{'id': 1, 'file_name': '1.jpg', 'width': 96, 'height': 96}], 'annotations': people,
                 'categories': [{'id': 1, 'name': 'person', 'keypoints': names}]},
             'boxes.json': [{'image_id': 1, 'category_id': 1, 'bbox': [5, 6, 70, 80], 'score': score}
                            for score in (0, 0.3, 0.6, 0.9)],
             'results.json': [{'image_id': 1, 'category_id': 1, 'keypoints': [2.5, 3, 0.5] * 17, 'score': 0.7}] * 3}
    for name, value in write.items():
        (folder / name).write_text(json.dumps(value))


def release():
    """A small MPII release with two people of the validation split."""
    points = {'point': structs([{'x': 10. + k, 'y': 20. + k, 'id': k, 'is_visible': '1'} for k in range(16)])}
    person = {'x1': 5., 'y1': 6., 'x2': 25., 'y2': 36., 'annopoints': points, 'scale': 2.5,
              'objpos': {'x': 100., 'y': 200.}}
    names = [prepare.validation_people()[0][0], '5.jpg', '6.jpg']
    images = [{'image': {'name': name}, 'annorect': structs([person, person]), 'vididx': np.zeros((0, 0))}
              for name in names]
    return {'annolist': structs(images), 'img_train': np.array([[1, 1, 0]], np.uint8), 'version': '12',
            'single_person': np.array([[1], [np.zeros((0, 0))], [np.array([[1], [2]])]], object)}


def structs(values):
    """Dicts as a MATLAB struct array."""
    array = np.empty((1, len(values)), dtype=[(field, object) for field in values[0]])
    for index, value in enumerate(values):
        array[0, index] = tuple(value.values())
    return array


# --- damage --------------------------------------------------------------------------------------------------------

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


# --- readers -------------------------------------------------------------------------------------------------------

def crop_all(folder, samples):
    """Cut two samples out of their images, which have to lie in the folder."""
    for sample in samples:
        assert folder.resolve() in Path(sample.image).resolve().parents, f'{sample.image} is outside'
    for sample in samples[:2]:
        image, joints, _ = crop_sample(sample, SIZE, crop_matrix(sample.box, SIZE))
        assert image.shape == (64, 64, 3) and np.isfinite(joints).all()


def read_own(path):
    from_coco.write_skeleton(path.with_name('skeleton.yaml'), path)
    assert from_coco.records(path, from_coco.skeleton.read(path.with_name('skeleton.yaml')))


def read_release(path):
    prepare.read_mpii(path)
    submit.read_test_images(path)


def read_jpeg(path):
    crop = read_crop(path, np.array([[4.0, 0, 0], [0, 4, 0]]), SIZE)
    assert crop.shape == (64, 64, 3)


# kind: (file, how it is damaged, how it is read)
KINDS = {
    'mpii': ('mpii/annot/valid.json', damage_json,
             lambda path: crop_all(path.parents[1], load_samples(path.parents[1], 'valid', SIZE))),
    'coco': (f'coco/{PEOPLE}', damage_json,
             lambda path: crop_all(path.parents[1], load_people(path.parents[1], 'val', SIZE).samples)),
    'detections': ('coco/boxes.json', damage_json,
                   lambda path: crop_all(path.parent, load_people(path.parent, 'val', SIZE, path, 0.1, 0.9).samples)),
    'results': ('coco/results.json', damage_json,
                lambda path: read_results(path, read_images(path.parent / PEOPLE), '')),
    'predictions': ('preds.json', damage_json, lambda path: read_predictions(path, 4)),
    'predictions.mat': ('preds.mat', damage_bytes, lambda path: read_predictions(path, 4)),
    'ground truth': ('gt.mat', damage_packed, read_ground_truth),
    'release': ('release.mat', damage_bytes, read_release),
    'packed release': ('packed.mat', damage_packed, read_release),
    'broken release': ('packed.mat', damage_bytes, read_release),
    'lsp': ('lsp/joints.mat', damage_packed, lambda path: lsp.read_lsp(path.parent)),
    'configuration': ('x.yaml', damage_yaml, config.load),
    'params': ('x.params', damage_bytes, checkpoint.read_arrays),
    'jpeg': ('x.jpg', damage_jpeg, read_jpeg),
    'progressive jpeg': ('progressive.jpg', damage_jpeg, read_jpeg),
    'png': ('x.png', damage_bytes, read_jpeg),
    'own annotations': (f'coco/{PEOPLE}', damage_json, read_own),
}


def damage(kind, folder, number):
    """Put mutation `number` of a kind in the place of the whole file; returns its path and the whole content."""
    name, how, _ = KINDS[kind]
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(how(content, np.random.default_rng([list(KINDS).index(kind), number])))
    return path, content


def outcome(kind, path):
    """'result', 'error' for an InputError as it should be, or what is wrong."""
    try:
        KINDS[kind][2](path)
    except InputError as error:
        message = str(error)
        good = str(path.parent.parent) in message and message.isprintable() and len(message) < 2000
        return 'error' if good else f'bad message: {message[:2000]!r}'
    except BaseException:
        return traceback.format_exc()
    return 'result'


def address_space():
    return int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()


def serve():
    """Do the jobs that come on stdin."""
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)                             # what readers print is no answer
    limit = address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print('ready', file=answers, flush=True)
    for line in sys.stdin:
        folder, kind, number = json.loads(line)
        signal.alarm(HANGS)                   # ends this process, should the test not be there to do it
        path, whole = damage(kind, Path(folder), number)
        try:
            told = outcome(kind, path)
        finally:
            path.write_bytes(whole)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        print(json.dumps([told, grown]), file=answers, flush=True)


if __name__ == '__main__':
    if sys.argv[1:] == ['serve']:
        serve()
    else:
        given = Path(sys.argv[1])
        make(given)
        print(outcome(sys.argv[2], damage(sys.argv[2], given, int(sys.argv[3]))[0]))
