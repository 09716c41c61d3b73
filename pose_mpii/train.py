"""Train an experiment on MPII.

    python pose_mpii/train.py --cfg experiments/mpii/table2/i1.yaml --data data/mpii --gpus 0,1,2,3

Writes OUT/<experiment>/: best.params and its scores and pictures (test.json, predictions.jpg), result.json, log.jsonl
(one line an epoch), config.yaml, tensorboard/ and last.state, from which --resume goes on.
"""
import sys
from functools import partial
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.programs import train
from common.programs.cli import run
from pose_mpii.dataset import MPII

main = partial(train.main, MPII)

if __name__ == '__main__':
    run(main)
