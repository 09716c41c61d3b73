"""PCKh, the metric of MPII (Andriluka et al., CVPR 2014; Section 6.1 of the paper).

A predicted joint is correct at alpha if it lies within alpha head sizes of the ground truth; a head size is 0.6
diagonals of the head box. The paper says "less than"; here the bound itself is correct too, so that a perfect
prediction is correct at every alpha. Pelvis and thorax are left out; every other annotated joint counts once.
"""
import numpy as np

from common.errors import InputError
from pose_mpii.skeleton import GROUPS, SCORED

METRICS = ('PCKh@0.5', 'PCKh@0.1', 'AUC')     # the paper's columns
HEAD_SIZE = 0.6                               # of a head box's diagonal
ALPHAS = np.arange(51) / 100            # 0, 0.01, ..., 0.5


def counted(visible) -> np.ndarray:
    """Which joints count, (N, 16): those annotated, but for pelvis and thorax."""
    counts = np.zeros(np.shape(visible), bool)
    counts[:, SCORED] = np.asarray(visible, bool)[:, SCORED]
    return counts


def normalised_distances(predictions, joints, visible, head_boxes) -> np.ndarray:
    """Distances from prediction to ground truth in head sizes, (N, 16).

    predictions, joints: (N, 16, 2) pixels with the same origin. visible: (N, 16), true where annotated. head_boxes:
    (N, 2, 2), [[x1, y1], [x2, y2]]. A prediction that is not finite is infinitely far; joints that do not count are
    NaN. Raises InputError if no joint counts.
    """
    counts = counted(visible)
    if not counts.any():
        raise InputError('PCKh: the ground truth has no annotated joint')
    offsets = np.subtract(predictions, joints, dtype=np.float64)
    diagonals = np.subtract(head_boxes[:, 1], head_boxes[:, 0], dtype=np.float64)
    distances = np.hypot(*offsets.T).T / (HEAD_SIZE * np.hypot(*diagonals.T))[:, np.newaxis]
    distances[~np.isfinite(distances)] = np.inf
    return np.where(counts, distances, np.nan)


def pckh(predictions, joints, visible, head_boxes) -> dict:
    """PCKh@0.5, PCKh@0.1, AUC and PCKh@0.5 of each group of joints, in percent.

    Arguments as of `normalised_distances`. Returns {'PCKh@0.5': ., 'PCKh@0.1': ., 'AUC': ., 'joints': {'Head': .,
    ..., 'Head+neck': .}, 'curve': [...]}: the curve is PCKh at every alpha of `ALPHAS` (Figure 3), AUC its mean; a group
    without any annotated joint is None.
    """
    distances = normalised_distances(predictions, joints, visible, head_boxes)
    values = _curve(distances)
    groups = {}
    for name, members in GROUPS.items():
        group = distances[:, members]
        group = group[~np.isnan(group)]
        groups[name] = float(100 * np.mean(group <= 0.5)) if group.size else None
    return {'PCKh@0.5': float(values[50]), 'PCKh@0.1': float(values[10]), 'AUC': float(values.mean()),
            'joints': groups, 'curve': values.tolist()}


def _curve(distances):
    distances = np.sort(distances[~np.isnan(distances)])
    return 100 * np.searchsorted(distances, ALPHAS, side='right') / distances.size


def format_table(result, paper=None) -> str:
    """A result of `pckh` as the columns of the paper's Tables 6 and 2; `paper`: a second row, as in `paper.SCORES`."""
    header = ['', *GROUPS, 'Mean', '|', '@0.5', '@0.1', 'AUC']
    rows = [_row('ours', result)]
    if paper:
        rows.append(_row('paper', {**dict(zip(METRICS, paper)), 'joints': {}}))
    widths = [1 if name == '|' else max(5, len(name)) for name in header]
    return '\n'.join(' '.join(map(str.rjust, cells, widths)) for cells in [header] + rows)


def _row(name, result):
    def cell(value):
        return '-' if value is None else f'{value:.1f}'

    joints = [cell(result['joints'].get(group)) for group in GROUPS]
    half, tenth, area = (cell(result[key]) for key in METRICS)
    return [name, *joints, half, '|', half, tenth, area]
