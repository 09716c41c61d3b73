"""Draw the poses that a trained network finds in photographs, in a video, or before a camera.

    python pose_mpii/demo.py photo.jpg --detect --out pose.png
    python pose_mpii/demo.py --cfg experiments/mpii/table2/i1.yaml --params output/mpii/table2/i1/best.params ...

The network is the released one (models/README.md) or another trained one.
"""
import sys
from functools import partial
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.programs import demo
from common.programs.cli import run
from pose_mpii.dataset import MPII

main = partial(demo.main, MPII)

if __name__ == '__main__':
    run(main)
