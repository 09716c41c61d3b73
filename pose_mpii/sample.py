"""A generated data set in the MPII layout: drawn people with exact joints, made in seconds, to try the programs with.

    python pose_mpii/sample.py --out data/sample [--train 2000] [--valid 300] [--seed 0] [--noise 0]

It is not MPII and its results say nothing about the paper. Every person is a jointed figure in 3D (random build,
pose, clothes and view), drawn from far to near so that limbs hide each other, over clutter and partly behind things.
"""
import argparse
import math
import os
import shutil
import sys
from pathlib import Path
from typing import Tuple

import cv2
import numpy as np

if not __package__:                       # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.errors import InputError
from common.files import make_folder, read_json, write_json
from common.programs.cli import run
from pose_mpii.drawing import scene
from pose_mpii.layout import annotation_file, ground_truth_file, write_ground_truth, write_split
from pose_mpii.pckh import head_box
from pose_mpii.skeleton import HEAD, NECK

NOTE = ('This is a generated sample, not MPII: drawn figures to try the programs with.\n'
        'MPII itself (25,000 photographs) is to be had from http://human-pose.mpi-inf.mpg.de')
MAKER = 'pose_mpii/sample.py 2'           # count up when the drawings change: older samples are then made anew
CONTENT = {'images', 'annot', 'sample.json'}
STREAMS = {'train': 0, 'valid': 1}
JPEG_QUALITY = 90


def annotated(name, rng, size, noise=0.0) -> Tuple[np.ndarray, dict, np.ndarray]:
    """The picture of `name`, its record (see `layout.read_split`) and its head box (2, 2); both are 1-based.

    The box, the center and the scale are exact; the joints are off as `write_sample` has it.
    """
    image, joints, height = scene(rng, size)
    scale = height / 200
    shift = rng.uniform(-0.03, 0.03, size=2) * height         # MPII's centres are rough as well
    center = (joints.min(axis=0) + joints.max(axis=0)) / 2 + shift + 1 - (0, 15 * scale)
    joints = np.round(joints + 1, 2)
    neck, top = joints[[NECK, HEAD]]
    joints = np.round(joints + noise * 1.25 * height * rng.standard_normal(joints.shape), 2)
    visible = ((joints >= 1) & (joints <= size)).all(axis=1)
    # In MPII's annotations the head size is 0.75 of the distance from neck to head top.
    head = head_box(top, neck, 0.75 * np.hypot(*(top - neck)))
    record = {'image': name, 'center': np.round(center, 2), 'scale': round(scale, 6),
              'joints': np.where(visible[:, None], joints, 0), 'joints_vis': visible.astype(int)}
    return image, record, head


def write_sample(out, train=2000, valid=300, seed=0, size=224, noise=0.0):
    """Write a sample in the MPII layout (see `layout`) to the folder `out`: `train` + `valid` pictures of size x size.

    The same arguments give the same files (but for the date in the .mat), and a larger sample begins with the smaller
    one of its seed. noise: how far annotated joints are off in both splits, the standard deviation along each axis of a
    Gaussian, in sides of the person's crop; the pictures are the same for every noise. Nothing is done where `out`
    holds this very sample; a part of it, or one of an older version of these drawings, is made anew. `out` never holds
    half a sample.

    Raises InputError for arguments out of range, a folder with other contents or with a sample of other arguments, and
    where writing fails.
    """
    out = Path(out).resolve()
    parameters = {'maker': MAKER, 'train': train, 'valid': valid, 'seed': seed, 'size': size, 'noise': noise}
    for name, least in (('train', 1), ('valid', 1), ('seed', 0), ('size', 64), ('noise', 0)):
        if not least <= parameters[name] < math.inf:
            raise InputError(f'{name}: {parameters[name]} should be {least} or more')
    if _holds(out, parameters):
        return
    unfinished = make_folder(out.parent) / f'.{out.name}.{os.getpid()}'
    try:
        _write(unfinished, {'train': train, 'valid': valid}, seed, size, noise)
        write_json(unfinished / 'sample.json', parameters)
        if not _holds(out, parameters):   # another process may have made it meanwhile
            if out.exists():
                if any(out.iterdir()):
                    print(f'{out}: held a part of this sample, or older drawings; it is made anew')
                shutil.rmtree(out)
            unfinished.rename(out)
    except OSError as error:
        raise InputError(f'{out}: cannot be written ({error.strerror})') from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _holds(out, parameters):
    """Whether `out` holds the whole sample of these parameters; InputError where it holds what is not ours."""
    try:
        content = {path.name for path in out.iterdir()} if out.exists() else set()
    except OSError as error:
        raise InputError(f'{out}: cannot be used as a folder ({error.strerror})') from None
    if not content:
        return False
    made = read_json(out / 'sample.json') if 'sample.json' in content else None
    if not isinstance(made, dict) or not str(made.get('maker')).startswith(MAKER.split()[0]) or content - CONTENT:
        raise InputError(f'{out}: holds other things than a generated sample; name a new folder')
    other = [f'{name} {value!r}' for name, value in made.items() if value != parameters.get(name)]
    if made['maker'] == MAKER and other:
        raise InputError(f'{out}: holds a sample with {", ".join(other)}; name a new folder, or remove it')
    annotations = [annotation_file(out, split) for split in ('train', 'valid', 'trainval')]
    return (made == parameters and all(path.exists() for path in (*annotations, ground_truth_file(out, 'valid')))
            and len(list((out / 'images').glob('*.jpg'))) == made['train'] + made['valid'])


def _write(out, counts, seed, size, noise):
    images = make_folder(out / 'images')
    records, head_boxes = {}, {}
    for split, count in counts.items():
        records[split], head_boxes[split] = [], []
        for index in range(count):
            name = f'{split}_{index:06d}.jpg'
            rng = np.random.default_rng([seed, STREAMS[split], index])
            image, record, head = annotated(name, rng, size, noise)
            (images / name).write_bytes(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])
            records[split].append(record)
            head_boxes[split].append(head)
        write_split(out, split, records[split])
    write_split(out, 'trainval', records['train'] + records['valid'])
    write_ground_truth(ground_truth_file(out, 'valid'), [record['joints'] for record in records['valid']],
                       [record['joints_vis'] for record in records['valid']], head_boxes['valid'])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', required=True, help='the folder to write')
    parser.add_argument('--train', type=int, default=2000, help='pictures to train on (default: %(default)s)')
    parser.add_argument('--valid', type=int, default=300, help='pictures to validate on (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='another seed, other pictures (default: %(default)s)')
    parser.add_argument('--noise', type=float, default=0.0,
                        help='how far annotated joints are off, in sides of the crop (default: %(default)s)')
    options = parser.parse_args(argv)
    write_sample(options.out, options.train, options.valid, options.seed, noise=options.noise)
    print(NOTE)


if __name__ == '__main__':
    run(main)
