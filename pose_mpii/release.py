"""Reads MPII's official annotations, mpii_human_pose_v1_u12_1.mat (format: human-pose.mpi-inf.mpg.de, "Download")."""
import math
from typing import NamedTuple, Optional

import numpy as np

from common.errors import InputError
from pose_mpii.layout import read_mat
from pose_mpii.skeleton import JOINTS


class Person(NamedTuple):
    """One entry of `annorect`, in the release's own 1-based pixels; None where the release is silent."""
    image: str
    index: int                          # 0-based, within the image's annorect
    is_train: bool
    center: Optional[np.ndarray]        # (2,)
    scale: Optional[float]              # person's height / 200 pixels
    head_box: Optional[np.ndarray]      # (2, 2), [[x1, y1], [x2, y2]]
    joints: np.ndarray                  # (16, 2), zeros where not annotated
    visible: np.ndarray                 # (16,) bool, True where annotated, whatever `is_visible` says


def read_release(path) -> list:
    """Every `Person` of the release, in its order.

    Every field may be missing or empty, and a single struct stands for a list of one. A joint that is occluded
    (`is_visible` 0, '0' or empty) is annotated all the same, as in the field's training files. Raises InputError
    for a file that is not the release.
    """
    release = read_mat(path, simplify_cells=True).get('RELEASE')
    images = _structs(release.get('annolist')) if isinstance(release, dict) else []
    if not images:
        raise InputError(f'{path}: holds no RELEASE.annolist; is it mpii_human_pose_v1_u12_1.mat?')
    is_train = np.ravel(release.get('img_train', ()))
    if len(is_train) != len(images):
        raise InputError(f'{path}: {len(images)} images, but {len(is_train)} marks in RELEASE.img_train')
    people = []
    for number, (image, train) in enumerate(zip(images, is_train)):
        name = _first(image.get('image')).get('name')
        if not isinstance(name, str) or not name:
            raise InputError(f'{path}: RELEASE.annolist({number + 1}) has no image name')
        people += [_person(name, index, train == 1, struct)
                   for index, struct in enumerate(_structs(image.get('annorect')))]
    return people


def _person(image, index, is_train, struct):
    scale = _numbers(struct, 'scale')
    head_box = _numbers(struct, 'x1', 'y1', 'x2', 'y2')
    joints, visible = np.zeros((len(JOINTS), 2)), np.zeros(len(JOINTS), bool)
    for point in _structs(_first(struct.get('annopoints')).get('point')):
        numbers = _numbers(point, 'id', 'x', 'y')
        if numbers is not None and numbers[0] in range(len(JOINTS)):
            joints[int(numbers[0])] = numbers[1:]
            visible[int(numbers[0])] = True
    has_area = head_box is not None and (head_box[2:] > head_box[:2]).all()
    return Person(image=image, index=index, is_train=is_train,
                  center=_numbers(_first(struct.get('objpos')), 'x', 'y'),
                  scale=float(scale[0]) if scale is not None and scale[0] > 0 else None,
                  head_box=head_box.reshape(2, 2) if has_area else None,
                  joints=joints, visible=visible)


def _structs(value):
    """The structs (dicts) in a MATLAB value: a struct array, a single struct or something empty."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, (list, np.ndarray)):
        return [item for item in value if isinstance(item, dict)]
    return []


def _first(value):
    """The first struct in a MATLAB value, {} where there is none."""
    return next(iter(_structs(value)), {})


def _numbers(struct, *fields):
    """The finite scalars in some fields as a float array, None unless all are there."""
    values = [struct.get(field) for field in fields]
    if any(type(value) not in (int, float) or not math.isfinite(value) for value in values):
        return None
    return np.array(values, dtype=np.float64)
