"""Draw Figure 2 for any networks trained on COCO (`common/programs/heatmaps.py`).

    python pose_coco/heatmaps.py --data data/coco --out figure2.png --people 3,17 \\
        --network experiments/coco/table8/i1.yaml output/coco/table8/i1/best.params
"""
import sys
from functools import partial
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.programs import heatmaps
from common.programs.cli import run
from pose_coco.dataset import COCO

main = partial(heatmaps.main, COCO)

if __name__ == '__main__':
    run(main)
