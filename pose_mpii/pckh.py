"""PCKh, the metric of MPII (Andriluka et al., CVPR 2014; Section 6.1), and PCK for skeletons without a head.

A predicted joint is correct at alpha if it lies within alpha head sizes of the ground truth; a head size is 0.6
diagonals of the head box. The paper says "less than"; here the bound itself is correct too, so that a perfect
prediction is correct at every alpha. Joints that not all data have (pelvis and thorax) are left out; every other
annotated joint counts once. A skeleton of one's own has another unit than the head size where it says so (`Rules`).
"""
from typing import NamedTuple, Tuple

import numpy as np

from common.errors import InputError
from common.skeleton import Skeleton, words
from pose_mpii.skeleton import GROUPS, JOINTS, SKELETON

METRICS = ('PCKh@0.5', 'PCKh@0.1', 'AUC')     # the paper's columns
HEAD_SIZE = 0.6                               # of a head box's diagonal
OF_BOX = 0.1                                  # of the person's box, where nothing else is a unit: about a head's size
ALPHAS = np.arange(51) / 100            # 0, 0.01, ..., 0.5
FOUND = 0.5                                   # units within which a joint counts as found: the first of `METRICS`


class Rules(NamedTuple):
    """What is scored of a skeleton, by what, and what the figures are called."""

    scored: Tuple[int, ...]                   # the joints that count
    groups: dict                              # {column of the table: its joints}
    unit: str                                 # what a distance of 1 is
    metrics: Tuple[str, str, str]             # correct at half of the unit, at a tenth, and the mean up to half


def rules(person: Skeleton) -> Rules:
    """The `Rules` for a skeleton.

    The unit is the distance of its `normalised_by`, PCKh's head size where one of them is of the head. Without, it is a
    tenth of the longer side of the person's box (200 * scale), and the figures are called by the box.
    """
    scored = tuple(joint for joint in range(len(person.joints)) if joint not in person.optional)
    groups = GROUPS if person.joints == JOINTS else _groups(person)
    if person.normalised_by is None:
        unit = f'{OF_BOX:g} of the longer side of the box'
        return Rules(scored, groups, unit, (*(f'PCK@{alpha * OF_BOX:g} of the box' for alpha in (0.5, 0.1)), 'AUC'))
    unit = ' to '.join(person.joints[joint] for joint in person.normalised_by)
    if 'head' in unit.lower():
        return Rules(scored, groups, unit, METRICS)
    return Rules(scored, groups, unit, (f'PCK@0.5 of {unit}', f'PCK@0.1 of {unit}', 'AUC'))


def _groups(person):
    """A column for each single joint, and for each pair, called by the words that its names share.

    Where they share none, or that is a joint or another pair already (hip, of left hip and right hip), it has both.
    """
    pairs = {joint: tuple(sorted(pair)) for pair in person.flip_pairs for joint in pair}
    groups = {}
    for members in dict.fromkeys(pairs.get(joint, (joint,)) for joint in range(len(person.joints))):
        names = [person.joints[member] for member in members]
        shared = ' '.join(word for word in words(names[0]) if word in words(names[-1]))
        alone = shared and shared not in {*groups, *person.joints}
        groups[shared if len(names) > 1 and alone else ' + '.join(names)] = members
    return groups


def counted(visible, scored=rules(SKELETON).scored) -> np.ndarray:
    """Which joints count, (N, K): those annotated and `scored` (of MPII all but pelvis and thorax)."""
    counts = np.zeros(np.shape(visible), bool)
    counts[:, scored] = np.asarray(visible, bool)[:, scored]
    return counts


def head_sizes(head_boxes) -> np.ndarray:
    """Head sizes (N,) of head boxes (N, 2, 2), [[x1, y1], [x2, y2]]."""
    return HEAD_SIZE * np.hypot(*np.subtract(head_boxes[:, 1], head_boxes[:, 0], dtype=np.float64).T)


def head_box(top, neck, size) -> np.ndarray:
    """The square [[x1, y1], [x2, y2]] in the middle of head top and neck (2,) that has a head size."""
    half = size / HEAD_SIZE / np.sqrt(8)
    return (top + neck) / 2 + np.array([[-half], [half]])


def distances(predictions, joints, visible, sizes, how) -> np.ndarray:
    """Distances from prediction to ground truth in units, (N, K).

    predictions, joints: (N, K, 2) pixels with the same origin. visible: (N, K), true where annotated. sizes: (N,),
    pixels of a unit. how: `Rules`. A prediction that is not finite is infinitely far; joints that do not count are NaN.
    Raises InputError if no joint counts.
    """
    counts = counted(visible, how.scored)
    if not counts.any():
        raise InputError(f'{how.metrics[0]}: the ground truth has no annotated joint')
    offsets = np.subtract(predictions, joints, dtype=np.float64)
    found = np.hypot(*offsets.T).T / np.asarray(sizes)[:, np.newaxis]
    found[~np.isfinite(found)] = np.inf
    return np.where(counts, found, np.nan)


def pckh(predictions, joints, visible, head_boxes) -> dict:
    """`pck` by MPII's rules, of head boxes (N, 2, 2): 'PCKh@0.5', 'PCKh@0.1' and 'AUC'."""
    return pck(predictions, joints, visible, head_sizes(head_boxes), rules(SKELETON))


def pck(predictions, joints, visible, sizes, how) -> dict:
    """The three `Rules.metrics`, and the first one of each group of joints, in percent.

    Arguments as of `distances`. Returns {'PCKh@0.5': ., 'PCKh@0.1': ., 'AUC': ., 'joints': {'Head': ., ...},
    'curve': [...]}: the curve is PCKh at every alpha of `ALPHAS` (Figure 3), AUC its mean; a group without any
    annotated joint is None.
    """
    found = distances(predictions, joints, visible, sizes, how)
    values = _curve(found)
    groups = {}
    for name, members in how.groups.items():
        group = found[:, members]
        group = group[~np.isnan(group)]
        groups[name] = float(100 * np.mean(group <= FOUND)) if group.size else None
    return {**dict(zip(how.metrics, (float(values[50]), float(values[10]), float(values.mean())))),
            'joints': groups, 'curve': values.tolist()}


def _curve(found):
    found = np.sort(found[~np.isnan(found)])
    return 100 * np.searchsorted(found, ALPHAS, side='right') / found.size


def format_table(result, paper=None, how=rules(SKELETON)) -> str:
    """A result of `pck` as the columns of the paper's Tables 6 and 2; `paper`: a second row, as in `paper.SCORES`."""
    header = ['', *how.groups, 'Mean', '|', '@0.5', '@0.1', 'AUC']
    rows = [_row('ours', result, how)]
    if paper:
        rows.append(_row('paper', {**dict(zip(how.metrics, paper)), 'joints': {}}, how))
    widths = [1 if name == '|' else max(5, len(name)) for name in header]
    note = [] if how.metrics == METRICS else [f'@0.5 and @0.1: {how.metrics[0]} and {how.metrics[1]}']
    return '\n'.join([' '.join(map(str.rjust, cells, widths)) for cells in [header] + rows] + note)


def _row(name, result, how):
    def cell(value):
        return '-' if value is None else f'{value:.1f}'

    joints = [cell(result['joints'].get(group)) for group in how.groups]
    half, tenth, area = (cell(result[key]) for key in how.metrics)
    return [name, *joints, half, '|', half, tenth, area]
