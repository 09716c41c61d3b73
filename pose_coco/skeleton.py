"""The 17 joints of COCO (Lin et al., ECCV 2014), in the order of its annotations and of every array here."""
from pathlib import Path

from common import skeleton

SKELETON = skeleton.read(Path(__file__).with_name('skeleton.yaml'))
JOINTS = SKELETON.joints

# How far annotators differ on each joint, in units of the square root of the person's area (COCO's evaluation).
SIGMAS = (.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089)
