"""Results as tests of networks write them, for tests of what tables are made of them."""
import numpy as np

from common import config, provenance
from pose_mpii.pckh import pckh
from scripts import paper_tables


def result(root, cell, error, seed=0, data='photographs', split='valid'):
    """A test's JSON for ten people whose predictions are all `error` heads off."""
    joints, visible = np.zeros((10, 16, 2)), np.ones((10, 16))
    boxes = np.tile([[0.0, 0], [100, 0]], (10, 1, 1))
    scores = pckh(joints + [60 * error, 0], joints, visible, boxes)
    cfg = config.load(root / f'experiments/cpu/mpii/{cell}.yaml', [f'train.seed={seed}'])
    return {**scores, 'decodings': {'local': scores}, **provenance.of_test(cfg, f'data/{data}', split)}


def coco_result(root, ap, split='val2017', boxes='annotated boxes', seed=0, method='i1'):
    """A test's JSON with one score in every column, 1 more by the local integral."""
    cfg = config.load(root / f'experiments/cpu/coco/table8/{method}.yaml', [f'train.seed={seed}'])
    scores = {'AP': ap, 'AP50': ap, 'AP75': ap, 'APM': None, 'APL': ap}
    local = {column: value if value is None else value + 1 for column, value in scores.items()}
    return {**scores, 'decodings': {'integral': scores, 'local': local}, 'boxes': boxes,
            **provenance.of_test(cfg, 'data/photographs', split)}


def pages(folder):
    """All that the tables' program writes into a folder, one page after the other."""
    return '\n'.join((folder / page).read_text() for page in paper_tables.LEGENDS)


def row(text, name, section='cpu/mpii'):
    """The cells of the first row of this name in a section."""
    lines = text.partition(f'## experiments/{section}')[2].splitlines()
    return next([cell.strip() for cell in line.split('|')[2:-1]] for line in lines if line.startswith(f'| {name} |'))
