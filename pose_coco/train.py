"""Train an experiment on COCO.

    python pose_coco/train.py --cfg experiments/coco/table8/i1.yaml --data data/coco --gpus 0,1,2,3

Writes OUT/<experiment>/: best.params and its scores and pictures (test.json, predictions.jpg), result.json, log.jsonl
(one line an epoch), config.yaml, tensorboard/ and last.state, from which --resume goes on.
"""
import sys
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import experiment
from common.programs import options
from common.programs.cli import run
from common.train import phases
from pose_coco.dataset import load_people
from pose_coco.layout import read_split
from pose_coco.skeleton import FLIP_PAIRS, JOINTS
from pose_coco.test import score, test


def training_loader(cfg, data, shard=(0, 1)):
    """Batches of the training split (`experiment.training_loader`)."""
    return experiment.training_loader(cfg, load_people(data, cfg.data.train, cfg.input.size).samples, FLIP_PAIRS, shard)


def validation(cfg, data, split, contexts):
    """A function of the network: AP of every decoding on a split; its 'score' is the configured decoding's AP.

    People are in their annotated boxes, so that the network alone decides, whatever detector is used later.
    """
    people, truth = load_people(data, split, cfg.input.size), read_split(data, split)
    loader = experiment.ordered_loader(cfg, people.samples)

    def validate(net):
        _, _, results = score(cfg, net, loader, people, truth, contexts, 'validate')
        chosen = results[cfg.test.decode]
        return {'score': chosen['AP'], **chosen,
                'decodings': {method: list(result.values()) for method, result in results.items()}}
    return validate


def main(argv=None):
    parser = options.parser(__doc__)
    options.add_training(parser)
    parser.add_argument('--data', default='data/coco', help='folder in COCO\'s layout (default: data/coco)')
    args = parser.parse_args(argv)
    cfg = options.configuration(args, 'coco')
    folders = phases.train(args, cfg, len(JOINTS), lambda cfg, contexts, shard: (
        training_loader(cfg, args.data, shard), validation(cfg, args.data, cfg.data.valid, contexts)))
    phases.report(args, folders, test)


if __name__ == '__main__':
    run(main)
