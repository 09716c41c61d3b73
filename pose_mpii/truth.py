"""What the people of a split are scored by: the ground truth of DATA/annot/gt_<split>.mat, or else of the records."""
import sys
from typing import NamedTuple

import numpy as np

from common.errors import InputError
from pose_mpii.layout import annotation_file, ground_truth_file, parts, read_ground_truth, read_split
from pose_mpii.pckh import OF_BOX, head_sizes, rules

LEAST_UNIT = 4                                # pixels between the two joints that a person is measured by


class Truth(NamedTuple):
    """N people with K joints each."""

    joints: np.ndarray                        # (N, K, 2) pixels, 1-based
    visible: np.ndarray                       # (N, K) bool: annotated, and of somebody whose unit is known
    sizes: np.ndarray                         # (N,) pixels of the unit (`pckh.Rules`), NaN where it is not known


def unit(data, split, person) -> dict:
    """{'unit': 'measured by ...'} where a split, or a part of it, has no head boxes of its own; else {}."""
    measured = any(not ground_truth_file(data, part).exists() for part in parts(split))
    return {'unit': f'measured by {rules(person).unit}'} if measured else {}


def joined(truths) -> Truth:
    """The people of several, one after the other."""
    return Truth(*map(np.concatenate, zip(*truths)))


def of_split(data, split, person, records=None) -> Truth:
    """The `Truth` of one split with the joints of `person`, a `Skeleton`.

    records: those of the split, where they are known; else they are read, if they are there. InputError as
    `layout.read_ground_truth`, where the two do not hold the same people in the same order, and where nobody can be
    scored.
    """
    path = ground_truth_file(data, split)
    if records is None and (annotation_file(data, split).exists() or not path.exists()):
        records = read_split(data, split, person)
    if not path.exists():
        return of_records(annotation_file(data, split), records, person)
    joints, visible, head_boxes = read_ground_truth(path, records and len(records), person)
    for index, record in enumerate(records or ()):
        if 'joints' not in record or 'joints_vis' not in record:               # of a test split; others in it have them
            continue
        both = visible[index] & (np.array(record['joints_vis']) > 0)
        if np.abs(np.array(record['joints'], float)[both] - joints[index, both]).max(initial=0) > 1:
            raise InputError(f'{path}: person {index} has other joints than record {index} of '
                             f'{annotation_file(data, split)}; both should be of one release, in one order')
    return Truth(joints, visible, head_sizes(head_boxes))


def of_records(path, records, person) -> Truth:
    """The `Truth` of records alone; `path`: their file, for messages.

    Who lacks a joint of `normalised_by`, or has both within 4 pixels, is not scored; a warning says how many they are.
    """
    if not all('joints' in record and 'joints_vis' in record for record in records):
        raise InputError(f'{path}: has people without joints, and so no ground truth to score')
    joints = np.array([record['joints'] for record in records], np.float64)
    visible = np.array([record['joints_vis'] for record in records]) > 0
    if person.normalised_by is None:
        return Truth(joints, visible, np.array([200 * OF_BOX * record['scale'] for record in records]))
    pair = list(person.normalised_by)
    sizes = np.hypot(*(joints[:, pair[0]] - joints[:, pair[1]]).T)
    known = visible[:, pair].all(axis=1) & (sizes >= LEAST_UNIT)
    measure = rules(person).unit
    if not known.any():
        raise InputError(f'{path}: nobody in it can be scored: errors are measured by the distance {measure}, which '
                         f'nobody has; name two other joints in the skeleton\'s normalised_by')
    if not known.all():
        print(f'warning: {path}: {len(known) - known.sum()} of {len(known)} people are not scored: errors are measured '
              f'by the distance {measure}, which they lack', file=sys.stderr)
    return Truth(joints, visible & known[:, np.newaxis], np.where(known, sizes, np.nan))
