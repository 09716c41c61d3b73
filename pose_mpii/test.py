"""Test a trained network on MPII, by every decoding.

    python pose_mpii/test.py --cfg experiments/mpii/table2/i1.yaml --params output/mpii/table2/i1/best.params

Prints PCKh@0.5, PCKh@0.1 and AUC of every decoding, and the configured one's row beside the paper's. A split without
ground truth (test) is predicted for --save alone: a .mat or .json of 1-based pixels.
"""
import sys
from functools import partial
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.programs import test
from common.programs.cli import run
from pose_mpii.dataset import MPII

main = partial(test.main, MPII)

if __name__ == '__main__':
    run(main)
