"""Draw Figure 2 for any networks: their heat maps of some joints over the same photographs.

    python pose_mpii/heatmaps.py --data data/mpii --out figure2.png --people 3,17 \\
        --network experiments/mpii/table2/h1.yaml output/mpii/table2/h1/best.params \\
        --network experiments/mpii/table2/i1.yaml output/mpii/table2/i1/best.params
"""
import sys
from functools import partial
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.programs import heatmaps
from common.programs.cli import run
from pose_mpii.dataset import MPII

main = partial(heatmaps.main, MPII)

if __name__ == '__main__':
    run(main)
