"""Test a trained network on COCO, by every decoding.

    python pose_coco/test.py --cfg experiments/coco/table8/i1.yaml --params output/coco/table8/i1/best.params \\
        --boxes person_detections_val2017.json --flip-test --save results

Prints AP, AP50, AP75, APM and APL of every decoding, and the configured one's row beside the paper's. People are where
the annotations have them, or with --boxes where a detector does. A split without annotations (test-dev2017) is
predicted for --save alone: the file that COCO's server scores.
"""
import sys
from functools import partial
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.programs import test
from common.programs.cli import run
from pose_coco.dataset import COCO

main = partial(test.main, COCO)

if __name__ == '__main__':
    run(main)
