"""Train an experiment on MPII.

    python pose_mpii/train.py --cfg experiments/mpii/table2/i1.yaml --data data/mpii --gpus 0,1,2,3

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
from pose_mpii.dataset import load_samples, load_truth
from pose_mpii.pckh import METRICS
from pose_mpii.skeleton import FLIP_PAIRS, JOINTS
from pose_mpii.test import score, test


def training_loader(cfg, data, shard=(0, 1)):
    """Batches of the training split (`experiment.training_loader`)."""
    return experiment.training_loader(cfg, load_samples(data, cfg.data.train, cfg.input.size), FLIP_PAIRS, shard)


def validation(cfg, data, split, contexts):
    """A function of the network: PCKh of every decoding on a split; its 'score' is the configured decoding's AUC."""
    loader = experiment.ordered_loader(cfg, load_samples(data, split, cfg.input.size))
    truth = load_truth(data, split, loader.samples)

    def validate(net):
        _, results = score(cfg, net, loader, truth, contexts, 'validate')
        chosen = results[cfg.test.decode]
        return {'score': chosen['AUC'], **{key: chosen[key] for key in METRICS},
                'decodings': {method: [result[key] for key in METRICS] for method, result in results.items()}}
    return validate


def main(argv=None):
    parser = options.parser(__doc__)
    options.add_training(parser)
    parser.add_argument('--data', default='data/mpii', help='folder in the MPII layout (default: data/mpii)')
    args = parser.parse_args(argv)
    cfg = options.configuration(args, 'mpii')
    folders = phases.train(args, cfg, len(JOINTS), lambda cfg, contexts, shard: (
        training_loader(cfg, args.data, shard), validation(cfg, args.data, cfg.data.valid, contexts)))
    phases.report(args, folders, test)


if __name__ == '__main__':
    run(main)
