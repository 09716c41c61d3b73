"""Leeds Sports Pose Extended (Johnson and Everingham, CVPR 2011) as people in MPII's conventions.

The release (http://sam.johnson.io/research/lspet.html) holds images/im00001.jpg to im10000.jpg and joints.mat, whose
`joints` (14, 3, 10000) are x, y in 1-based pixels and 1 where a joint is annotated. It has neither pelvis nor thorax,
no boxes and no split. Here the box is that of the annotated joints, the head's size the distance of head top and neck.
"""
from pathlib import Path

import numpy as np

from common.errors import InputError
from pose_mpii.layout import LEAST_SCALE, read_mat
from pose_mpii.pckh import head_box
from pose_mpii.release import Person
from pose_mpii.skeleton import HEAD, JOINTS, NECK

ORDER = (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, NECK, HEAD)                  # LSP's 14 joints among MPII's 16
TRAIN, VALID = range(1, 8001), range(8001, 9001)                               # numbers of images; the rest is unused
ALIKE = (660, 5545, 7174)                     # not in train: nearly the same photographs as 8483, 8796, 8283 of valid
LEAST_JOINTS, LEAST_HEAD = 8, 4                                                # annotated joints; pixels


def read_lsp(folder) -> dict:
    """{'train': people, 'valid': people, 'trainval': both}, lists of `release.Person`.

    People with fewer than 8 annotated joints, or with all of them in one place, are left out; valid's also need head
    and neck, at least 4 pixels apart. So are three photographs that valid nearly has, too.
    InputError where FOLDER/joints.mat is missing or not LSP Extended's, and where nobody is left for valid.
    """
    path = Path(folder) / 'joints.mat'
    joints = read_mat(path).get('joints')
    if getattr(joints, 'shape', None) != (len(ORDER), 3, 10000) or joints.dtype.kind != 'f':
        raise InputError(f'{path}: should hold numbers "joints" of shape (14, 3, 10000), as LSP Extended\'s does')
    train = [person for person in (_person(number, joints) for number in TRAIN if number not in ALIKE) if person]
    valid = [person for person in (_person(number, joints) for number in VALID)
             if person and person.head_box is not None]
    if not valid:
        raise InputError(f'{path}: annotates nobody of images {VALID[0]} to {VALID[-1]}, which become valid')
    return {'train': train, 'valid': valid, 'trainval': train + valid}


def _person(number, joints):
    """The `Person` in an image, None where too little is annotated."""
    annotated = joints[:, :, number - 1]
    good = (annotated[:, 2] == 1) & np.isfinite(annotated).all(axis=1)
    if good.sum() < LEAST_JOINTS:
        return None
    points, visible = np.zeros((len(JOINTS), 2)), np.zeros(len(JOINTS), bool)
    visible[list(ORDER)] = good
    points[list(ORDER)] = annotated[:, :2].round(3)
    points[~visible] = 0
    low, high = points[visible].min(axis=0), points[visible].max(axis=0)
    scale = (high - low).max() / 200
    if scale < LEAST_SCALE:
        return None
    center = (low + high) / 2 - [0, 15 * scale]                                # `dataset.person_box` moves it down
    return Person(image=f'im{number:05d}.jpg', index=0, is_train=number in TRAIN, center=center, scale=float(scale),
                  head_box=_head_box(points, visible), joints=points, visible=visible)


def _head_box(points, visible):
    """A square around the middle of head top and neck whose head size is their distance; None if they are too close."""
    distance = np.hypot(*(points[HEAD] - points[NECK]))
    if not visible[[HEAD, NECK]].all() or distance < LEAST_HEAD:
        return None
    return head_box(points[HEAD], points[NECK], distance)
