"""Draw the poses that a network trained on COCO finds in photographs, in a video, or before a camera.

    python pose_coco/demo.py photo.jpg --cfg experiments/coco/table8/i1.yaml \\
        --params output/coco/table8/i1/best.params --detect --out pose.png
"""
import sys
from functools import partial
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.programs import demo
from common.programs.cli import run
from pose_coco.dataset import COCO

main = partial(demo.main, COCO)

if __name__ == '__main__':
    run(main)
