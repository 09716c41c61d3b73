"""Damages every kind of file the project reads, and reads it: the worker of `test_hostile_input.py`.

    python test/hostile.py FOLDER KIND NUMBER     one mutation, with its traceback; the file stays in FOLDER, a new one

As `serve` it is a process that may crash: a job comes as a line of JSON, its outcome goes back as another.
"""
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import common  # noqa: F401  before MXNet, which has to find what this sets and loads

import numpy as np
from hostile_damage import damage_bytes, damage_jpeg, damage_json, damage_packed, damage_yaml
from hostile_files import PEOPLE, make

from common import config
from common.data.crop import crop_matrix, crop_sample
from common.data.images import read_crop
from common.errors import InputError
from common.weights import checkpoint
from pose_coco.dataset import load_people
from pose_coco.layout import read_images, read_results
from pose_mpii import from_coco, lsp, prepare, submit
from pose_mpii.dataset import load_samples
from pose_mpii.layout import read_ground_truth
from pose_mpii.predictions import read_predictions

MEMORY = 1 << 30                              # bytes that reading may take
HANGS = 300                                   # seconds after which a job does
SIZE = 64, 64                                 # of crops


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
