"""COCO's average precision (the columns of the paper's Table 8) and average recall of stored results.

    python pose_coco/evaluate.py --result person_keypoints_val2017_i1_results.json \
        --annot DATA/annotations/person_keypoints_val2017.json [--json FILE]

Results are in COCO's format: a list of {"image_id", "category_id": 1, "keypoints": [x, y, score] * 17, "score"}.
"""
import argparse
import sys
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.files import check_outputs, write_json
from common.programs.cli import run
from pose_coco.ap import average_precision, format_table
from pose_coco.layout import read_annotations, read_results


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--result', required=True, type=Path, metavar='JSON', help='keypoints in COCO\'s result format')
    parser.add_argument('--annot', required=True, type=Path, metavar='JSON', help='person_keypoints_<split>.json')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the result here, too')
    args = parser.parse_args(argv)
    check_outputs([args.json], [args.result, args.annot])

    dataset = read_annotations(args.annot)
    result = average_precision(dataset, read_results(args.result, dataset['images'], args.annot))
    print(format_table(result))
    if args.json:
        write_json(args.json, result)


if __name__ == '__main__':
    run(main)
