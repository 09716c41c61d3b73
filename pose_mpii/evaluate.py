"""PCKh of predictions that are already on the disk.

    python pose_mpii/evaluate.py --pred PRED --data DIR [--split valid] [--skeleton YAML] [--json FILE]

PRED: a .mat with `preds` (N x K x 2, 1-based pixels, of K joints, MPII's 16, in the order of DIR/annot/<split>.json) or
a .json with {"preds": [...]} or the bare list. The ground truth is DIR/annot/gt_<split>.mat or, where that is absent,
<split>.json.
"""
import argparse
import sys
from pathlib import Path

import numpy as np

if not __package__:                       # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import skeleton
from common.dataset import Source
from common.files import check_outputs, write_json
from common.programs.cli import run
from pose_mpii import truth
from pose_mpii.dataset import MPII
from pose_mpii.layout import parts
from pose_mpii.pckh import counted, format_table, pck, rules
from pose_mpii.predictions import read_predictions
from pose_mpii.skeleton import SKELETON


def main(argv=None):
    parser = argparse.ArgumentParser(description='PCKh@0.5, PCKh@0.1 and AUC of stored predictions.')
    parser.add_argument('--pred', required=True, type=Path, metavar='PRED', help=".mat with 'preds', or .json")
    parser.add_argument('--data', required=True, type=Path, metavar='DIR',
                        help='folder with annot/gt_<split>.mat or annot/<split>.json')
    parser.add_argument('--split', default='valid', help='default: valid')
    parser.add_argument('--skeleton', type=Path, metavar='YAML', help="the joints, as data.skeleton (default: MPII's)")
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the result here, too')
    arguments = parser.parse_args(argv)

    person = skeleton.read(arguments.skeleton) if arguments.skeleton else SKELETON
    inputs = [arguments.pred, arguments.skeleton, *MPII.files(Source(arguments.data, arguments.split))]
    check_outputs([arguments.json], inputs)
    people = truth.joined(truth.of_split(arguments.data, part, person) for part in parts(arguments.split))
    predictions, how = read_predictions(arguments.pred, len(people.joints), person), rules(person)
    result = pck(predictions, *people, how)
    absent = np.sum(counted(people.visible, how.scored) & ~np.isfinite(predictions).all(axis=2))
    if absent:
        print(f'warning: {arguments.pred}: {absent} scored joints have no finite prediction and count as wrong',
              file=sys.stderr)
    about = truth.unit(arguments.data, arguments.split, person)
    print(*about.values(), format_table(result, how=how), sep='\n')
    if arguments.json:
        write_json(arguments.json, {**result, **about})


if __name__ == '__main__':
    run(main)
