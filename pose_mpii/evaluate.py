"""PCKh of predictions that are already on the disk.

    python pose_mpii/evaluate.py --pred PRED --data DIR [--split valid] [--json FILE]

PRED: a .mat with `preds` (N x 16 x 2, 1-based pixels, in the order of DIR/annot/<split>.json) or a .json with
{"preds": [...]} or the bare list. The ground truth is DIR/annot/gt_<split>.mat.
"""
import argparse
import sys
from pathlib import Path

if not __package__:                       # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.files import check_outputs, write_json
from common.programs.cli import run
from pose_mpii.layout import ground_truth_file, read_ground_truth
from pose_mpii.pckh import format_table, pckh
from pose_mpii.predictions import read_predictions


def main(argv=None):
    """The program."""
    parser = argparse.ArgumentParser(description='PCKh@0.5, PCKh@0.1 and AUC of stored predictions.')
    parser.add_argument('--pred', required=True, type=Path, metavar='PRED', help=".mat with 'preds', or .json")
    parser.add_argument('--data', required=True, type=Path, metavar='DIR', help='folder with annot/gt_<split>.mat')
    parser.add_argument('--split', default='valid', help='default: valid')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the result here, too')
    arguments = parser.parse_args(argv)

    truth = ground_truth_file(arguments.data, arguments.split)
    check_outputs([arguments.json], [arguments.pred, truth])
    joints, visible, head_boxes = read_ground_truth(truth)
    result = pckh(read_predictions(arguments.pred, len(joints)), joints, visible, head_boxes)
    print(format_table(result))
    if arguments.json:
        write_json(arguments.json, result)


if __name__ == '__main__':
    run(main)
