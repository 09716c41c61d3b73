"""Train an experiment on COCO.

    python pose_coco/train.py --cfg experiments/coco/table8/i1.yaml --data data/coco --gpus 0,1,2,3

Writes OUT/<experiment>/: best.params and its scores and pictures (test.json, predictions.jpg), result.json, log.jsonl
(one line an epoch), config.yaml, tensorboard/ and last.state, from which --resume goes on. Validation is on people in
their annotated boxes, so that the network alone decides, whatever detector is used later.
"""
import sys
from functools import partial
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.programs import train
from common.programs.cli import run
from pose_coco.dataset import COCO

main = partial(train.main, COCO)

if __name__ == '__main__':
    run(main)
