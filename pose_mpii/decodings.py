"""How sharp the integral's softmax should be, how wide the local integral's window, and on which maps they fail.

    python pose_mpii/decodings.py --cfg experiments/mpii/table2/h1.yaml --params output/mpii/table2/h1/best.params
"""
import sys
from functools import partial
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.programs import decodings
from common.programs.cli import run
from pose_mpii.dataset import MPII

main = partial(decodings.main, MPII)

if __name__ == '__main__':
    run(main)
