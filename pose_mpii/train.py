"""Train an experiment on MPII.

    python pose_mpii/train.py --cfg experiments/mpii/table2/i1.yaml --data data/mpii --gpus 0,1,2,3

Writes OUT/<experiment>/: best.params and its scores and pictures (test.json, predictions.jpg), result.json, log.jsonl
(one line an epoch), config.yaml, tensorboard/ and last.state, from which --resume goes on.
"""
import sys
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import config, experiment, files, runtime
from common.cli import run
from common.crop import Augmentation
from common.errors import InputError
from common.loader import Loader
from pose_mpii.dataset import load_samples
from pose_mpii.layout import ground_truth_file, read_ground_truth
from pose_mpii.skeleton import FLIP_PAIRS, JOINTS
from pose_mpii.test import draw, score, test


def training_loader(cfg, data, shard=(0, 1)):
    """Shuffled and augmented batches of the training split; unreadable images are skipped with a warning."""
    augment = Augmentation(cfg.augment.rotation, cfg.augment.scale, cfg.augment.flip, FLIP_PAIRS)
    return Loader(load_samples(data, cfg.data.train), cfg.input.size, cfg.train.batch_size, shuffle=True,
                  augment=augment, seed=cfg.train.seed, strict=False, shard=shard)


def validation(cfg, data, split, contexts):
    """A function of the network: PCKh of every decoding on a split; its 'score' is the configured decoding's AUC."""
    loader = Loader(load_samples(data, split), cfg.input.size, cfg.test.batch_size)
    truth = read_ground_truth(ground_truth_file(data, split), len(loader.samples))
    missing = [sample.image for sample in loader.samples if not Path(sample.image).is_file()]
    if missing:                               # say so now, not after the first epoch
        raise InputError(f'{missing[0]}: missing, as are {len(missing) - 1} more images of the split {split}')

    def validate(net):
        _, results = score(cfg, net, loader, truth, contexts, 'validate')
        chosen = results[cfg.test.decode]
        return {'score': chosen['AUC'], **{key: value for key, value in chosen.items() if key != 'joints'},
                'decodings': {m: [r['PCKh@0.5'], r['PCKh@0.1'], r['AUC']] for m, r in results.items()}}
    return validate


def report(folder, data, contexts):
    """Test the best network of a run on its validation split; leaves test.json and predictions.jpg in the folder."""
    cfg = config.load(folder / 'config.yaml')
    samples, predictions, result = test(cfg, folder / 'best.params', data, cfg.data.valid, contexts)
    files.write_json(folder / 'test.json', result)
    draw(samples, predictions[cfg.test.decode], folder / 'predictions.jpg')


def main(argv=None):
    parser = experiment.parser(__doc__)
    experiment.add_training_options(parser)
    parser.add_argument('--data', default='data/mpii', help='folder in the MPII layout (default: data/mpii)')
    args = parser.parse_args(argv)
    cfg = experiment.configuration(args, 'mpii')
    folders = experiment.train(args, cfg, len(JOINTS), lambda cfg, contexts, shard: (
        training_loader(cfg, args.data, shard), validation(cfg, args.data, cfg.data.valid, contexts)))
    for folder in folders:
        report(folder, args.data, runtime.contexts(args.gpus, args.cpus))
    if folders:
        print(f'best networks, logs, scores and pictures: {", ".join(map(str, folders))}')


if __name__ == '__main__':
    run(main)
