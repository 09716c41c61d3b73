"""The folder layout in which MPII is passed around, and its files (those of Simple Baselines and HRNet).

    DATA/images/*.jpg
    DATA/annot/{train,valid,trainval,test}.json    one record a person, see `read_split`
    DATA/annot/gt_valid.mat                        what PCKh needs of the same people, in the same order; may be absent

The joints are MPII's 16, or those of another `common.skeleton`. A split may be several, joined by a +.
Coordinates in these files and in predictions are MATLAB's: the centre of the top left pixel is (1, 1).
"""
import json
from pathlib import Path
from typing import Tuple

import numpy as np
from scipy.io import savemat

from common.errors import InputError
from common.files import read_bytes, read_json, replacing, write_text
from common.guard import matlab
from common.guard.rules import check_records, is_count, is_list, is_name, is_number
from pose_mpii.skeleton import JOINTS, SHORT_NAMES, SKELETON

LABELS = ('joints', 'joints_vis')             # what the split `test` may lack
SIZE = ('width', 'height')                    # what every record may lack
LEAST_SCALE = 0.004                           # of a person whose crop (`dataset.person_box`) is a pixel


def annotation_file(data, split) -> Path:
    """Path of the records of a split: DATA/annot/<split>.json."""
    return Path(data) / 'annot' / f'{split}.json'


def ground_truth_file(data, split) -> Path:
    """Path of the ground truth of a split: DATA/annot/gt_<split>.mat."""
    return Path(data) / 'annot' / f'gt_{split}.mat'


# --- records -------------------------------------------------------------------------------------------------------

def write_split(out, split, records):
    """Write records (see `read_split`; arrays may stand for lists) to OUT/annot/<split>.json, one a line."""
    lines = ',\n'.join(json.dumps(record, default=lambda array: array.tolist()) for record in records)
    write_text(annotation_file(out, split), f'[\n{lines}\n]\n')


def parts(split) -> list:
    """The splits that a + joins; InputError where they are no names of files in DATA/annot."""
    if not is_name(split):
        raise InputError(f'{split!r}: expected a split, such as valid or train+valid')
    return split.split('+')


def read_split(data, split, person=SKELETON) -> list:
    """The records of DATA/annot/<split>.json, checked, or of several that a + joins, one after the other.

    A record is a dict: `image` (name below DATA/images), `center` [x, y] in pixels, `scale` (person's height / 200
    pixels), `joints` K x [x, y] in pixels, `joints_vis` K x 0 or 1 for the K joints of `person`, a `Skeleton`, and
    perhaps `width` and `height` of the image. Coordinates are 1-based. The split `test` may lack joints and joints_vis.
    Other keys pass unchecked. Whether the images exist is not checked.

    Raises InputError naming the file, and the record and field that cannot be used.
    """
    if not Path(data).is_dir():
        raise InputError(f'{data}: no such folder; get MPII from http://human-pose.mpi-inf.mpg.de and convert it with '
                         f'"python pose_mpii/prepare.py --mat FILE --out {data}", or try the sample set (--sample)')
    return [record for part in parts(split) for record in _read_part(data, part, person)]


def _read_part(data, split, person):
    path = annotation_file(data, split)
    if not path.exists():
        raise InputError(f'{path}: no such file; pose_mpii/prepare.py writes train, valid, trainval and test')
    records = read_json(path)
    if not isinstance(records, list) or not records:
        raise InputError(f'{path}: should be a non-empty list of records')
    check_records(path, 'record', records, _fields(person), optional=(*SIZE, *(LABELS if split == 'test' else ())))
    return records


def _is_point(value):
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))


def _is_flag(value):
    return isinstance(value, bool) or is_number(value) and value in (0, 1)


def _fields(person):
    count, side = len(person.joints), (lambda value: is_count(value) and value > 0, 'a whole number above 0')
    return {
        'image': (is_name, 'the name of a file below images/'),
        'center': (_is_point, 'two finite numbers [x, y]'),
        'scale': (lambda value: is_number(value) and value >= LEAST_SCALE,
                  f"a number from {LEAST_SCALE} to below 1e9, the person's height / 200 pixels"),
        'joints': (lambda value: is_list(value, _is_point, count), f'{count} points [x, y] of finite numbers'),
        'joints_vis': (lambda value: is_list(value, _is_flag, count), f'{count} times 0 or 1'),
        'width': side,
        'height': side,
    }


# --- ground truth --------------------------------------------------------------------------------------------------

def write_ground_truth(path, joints, visible, head_boxes):
    """Write a gt_<split>.mat.

    joints: (N, 16, 2) pixels, 1-based. visible: (N, 16), true where annotated. head_boxes: (N, 2, 2) pixels,
    [[x1, y1], [x2, y2]].
    """
    save_mat(path, {
        'dataset_joints': np.array([SHORT_NAMES], dtype=object),
        'jnt_missing': np.logical_not(visible).T.astype(np.uint8),
        'pos_gt_src': np.transpose(joints, (1, 2, 0)).astype(np.float64),
        'headboxes_src': np.transpose(head_boxes, (1, 2, 0)).astype(np.float64)})


def read_ground_truth(path, people=None, person=SKELETON) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The reverse of `write_ground_truth`: joints (N, K, 2), visible (N, K) bool, head_boxes (N, 2, 2).

    Raises InputError where the file is missing, malformed or of other shapes or joints than those of `person`, a
    `Skeleton`, or N is not `people`.
    """
    file, count = read_mat(path), len(person.joints)
    joints = _people_last(path, file, 'pos_gt_src', (count, 2))
    missing = _people_last(path, file, 'jnt_missing', (count,))
    head_boxes = _people_last(path, file, 'headboxes_src', (2, 2))
    if not len(joints) == len(missing) == len(head_boxes) > 0:
        raise InputError(f'{path}: pos_gt_src, jnt_missing and headboxes_src hold {len(joints)}, {len(missing)} and '
                         f'{len(head_boxes)} people; they should hold the same, at least one')
    if people not in (None, len(joints)):
        raise InputError(f'{path}: holds {len(joints)} people; the records of its split are {people}')
    names = tuple(str(np.squeeze(name)) for name in np.ravel(file.get('dataset_joints', ())))
    right = SHORT_NAMES if person.joints == JOINTS else person.joints
    if names != right:
        raise InputError(f'{path}: dataset_joints should be {" ".join(right)}')
    visible = missing == 0
    if not np.delete(visible, person.optional, axis=1).any():
        raise InputError(f'{path}: has no annotated joint that PCKh counts')
    if not np.isfinite(joints[visible]).all():
        raise InputError(f'{path}: pos_gt_src has a joint that is neither finite nor marked in jnt_missing')
    diagonals = np.linalg.norm(head_boxes[:, 1] - head_boxes[:, 0], axis=1)
    if not (np.isfinite(diagonals) & (diagonals > 0)).all():
        raise InputError(f'{path}: headboxes_src has an empty or non-finite box; PCKh is relative to its size')
    return joints.astype(np.float64), visible, head_boxes.astype(np.float64)


def _people_last(path, file, key, shape):
    """The array file[key] of `shape` + (N,), with the people moved to the front."""
    array = file.get(key)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in 'biuf' or array.shape[:-1] != shape:
        raise InputError(f'{path}: should hold numbers "{key}" of shape ({", ".join(map(str, shape))}, N)')
    return np.moveaxis(array, -1, 0)


# --- .mat files ----------------------------------------------------------------------------------------------------

def read_mat(path, **options) -> dict:
    """The variables of a .mat file (options as of scipy's `loadmat`); InputError where it cannot be read.

    Of what MATLAB saves with -v6 and -v7, see `matlab.read`.
    """
    content = read_bytes(path)
    try:
        return matlab.read(content, **options)
    except Exception:                         # SciPy raises a dozen kinds of error for damaged and foreign files
        raise InputError(f'{path}: not a MATLAB file, or damaged, too large or of version 7.3 (use -v7)') from None


def save_mat(path, variables):
    """Write variables {name: value} to a .mat file, version 7 (see `files.replacing`)."""
    with replacing(path) as temporary:
        savemat(str(temporary), variables, do_compression=True)
