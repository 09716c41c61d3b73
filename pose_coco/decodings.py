"""How sharp the integral's softmax should be on COCO, and how wide the local integral's window.

    python pose_coco/decodings.py --cfg experiments/coco/table8/h1.yaml --params output/coco/table8/h1/best.params
"""
import sys
from functools import partial
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.programs import decodings
from common.programs.cli import run
from pose_coco.dataset import COCO

main = partial(decodings.main, COCO)

if __name__ == '__main__':
    run(main)
