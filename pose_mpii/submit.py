"""Puts predictions for MPII's test split into the file that its evaluation takes.

    python pose_mpii/submit.py --pred PRED --data DIR --mat mpii_human_pose_v1_u12_1.mat --out pred_keypoints_mpii.mat

PRED: what `pose_mpii/test.py --split test --save PRED` writes (N x 16 x 2, 1-based pixels of the photograph), in the
order of DIR/annot/test.json, whose records name the `image` and the `person`, the 0-based place in its annorect.

The file (human-pose.mpi-inf.mpg.de, "Evaluation", single person, and what evaluatePCKh.m and flatten_annolist.m of
its toolkit read) holds one variable, `pred`: RELEASE.annolist(RELEASE.img_train == 0), where every predicted person's
pred(i).annorect(r).annopoints.point is 16 structs of x, y and id (0 to 15). All else stays as in the release, since
the evaluation finds people by their places, passes over those without objpos, and scores RELEASE.single_person only.
A person without position or scale gives no crop and has no prediction: the place is kept, its annopoints are [].
"""
import argparse
import sys
from pathlib import Path
from typing import Tuple

if not __package__:                       # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from common.errors import InputError
from common.files import check_outputs
from common.programs.cli import run
from pose_mpii.layout import annotation_file, read_mat, read_split, save_mat
from pose_mpii.predictions import read_predictions

POINT = [('x', float), ('y', float), ('id', float)]       # MATLAB's numbers are doubles, ids too


def read_test_images(path) -> Tuple[np.ndarray, np.ndarray]:
    """The test images of the release as the struct array (T,) SciPy reads, and their single_person, T index arrays.

    Raises InputError for a file that is not the release or has no test images.
    """
    release = read_mat(path, mat_dtype=True).get('RELEASE')      # or doubles come back, and are written, as integers
    try:
        images, train, single = (release[field][0, 0].ravel() for field in ('annolist', 'img_train', 'single_person'))
        images, single = images[train == 0], single[train == 0]
        if len(images) and 'annorect' in images.dtype.names and all(map(_name, images)):
            return images, single
    except (TypeError, ValueError, IndexError):
        pass
    raise InputError(f'{path}: holds no test images in RELEASE.annolist (with img_train and single_person); is it '
                     'mpii_human_pose_v1_u12_1.mat?')


def place(records, predictions, images, path) -> dict:
    """{image: {index in its annorect: joints (16, 2)}} of the records of a test.json; `path` is its name.

    Raises InputError for a record that names no person of the test images, or one named before.
    """
    sizes = {_name(image): _size(image['annorect']) for image in images}
    placed = {name: {} for name in sizes}
    for number, (record, joints) in enumerate(zip(records, predictions)):
        image, person = record['image'], record.get('person')
        if type(person) is not int:
            raise InputError(f'{path}: record {number} has no whole number "person"; pose_mpii/prepare.py writes it')
        if image not in sizes:
            raise InputError(f'{path}: record {number} is of {image}, which is not a test image of the release')
        if not 0 <= person < sizes[image]:
            raise InputError(f'{path}: record {number} is of person {person} of {image}; the release has '
                             f'{sizes[image]} there, counted from 0')
        if person in placed[image]:
            raise InputError(f'{path}: record {number} is a second one of person {person} of {image}')
        placed[image][person] = joints
    return placed


def with_points(annorect, placed) -> np.ndarray:
    """A copy of an annorect whose annopoints hold the joints in {index: joints (16, 2)} and nothing else."""
    if not _size(annorect):
        return annorect
    fields = [field for field in annorect.dtype.names if field != 'annopoints']
    copy = np.empty((1, annorect.size), [(field, object) for field in [*fields, 'annopoints']])
    for index, person in enumerate(annorect.flat):
        points = np.zeros((0, 0))
        if index in placed:
            points = {'point': np.array([[(x, y, joint) for joint, (x, y) in enumerate(placed[index])]], POINT)}
        copy[0, index] = (*(person[field] for field in fields), points)
    return copy


def _name(image):
    return str(image['image'][0, 0]['name'][0])


def _size(annorect):
    """The number of people; images without any have [] there."""
    return annorect.size if annorect.dtype.names else 0


def main(argv=None):
    parser = argparse.ArgumentParser(description='Write predictions of the test split as MPII evaluates them.')
    parser.add_argument('--pred', required=True, type=Path, metavar='PRED', help='of test.py --split test --save PRED')
    parser.add_argument('--data', required=True, type=Path, metavar='DIR', help='folder with annot/test.json')
    parser.add_argument('--mat', required=True, type=Path, metavar='FILE', help='mpii_human_pose_v1_u12_1.mat')
    parser.add_argument('--out', required=True, type=Path, metavar='MAT', help='MPII calls it pred_keypoints_mpii.mat')
    arguments = parser.parse_args(argv)

    if arguments.out.suffix != '.mat':
        raise InputError(f'{arguments.out}: should end in .mat')
    check_outputs([arguments.out], [arguments.mat, arguments.pred])
    records = read_split(arguments.data, 'test')
    predictions = read_predictions(arguments.pred, len(records))
    bad = np.flatnonzero(~np.isfinite(predictions).all(axis=(1, 2)))
    if len(bad):
        raise InputError(f'{arguments.pred}: prediction {bad[0]} (of {records[bad[0]]["image"]}) is not finite')
    images, single = read_test_images(arguments.mat)
    placed = place(records, predictions, images, annotation_file(arguments.data, 'test'))

    for index, image in enumerate(images):
        images['annorect'][index] = with_points(image['annorect'], placed[_name(image)])
    save_mat(arguments.out, {'pred': images.reshape(1, -1)})
    scored = [(_name(image), int(index) - 1) for image, indices in zip(images, single) for index in indices.flat]
    print(f'{arguments.out}: {len(records)} of {sum(map(_size, images["annorect"]))} people in {len(images)} images')
    missing = sum(index not in placed[name] for name, index in scored)
    if missing:
        print(f'without points: {missing} of the {len(scored)} people whom the evaluation scores (single_person)')


if __name__ == '__main__':
    run(main)
