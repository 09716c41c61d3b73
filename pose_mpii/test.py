"""Test a trained network on MPII, by every decoding.

    python pose_mpii/test.py --cfg experiments/mpii/table2/i1.yaml --params output/mpii/table2/i1/best.params

Prints PCKh@0.5, PCKh@0.1 and AUC of every decoding, and the configured one's row beside the paper's. A split without
ground truth (test) is predicted for --save alone.
"""
import sys
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import experiment, files, results, runtime
from common.errors import InputError
from common.predict import visualise
from common.predict.inference import predict
from common.programs import options
from common.programs.cli import run
from pose_mpii import paper
from pose_mpii.dataset import load_samples, load_truth
from pose_mpii.layout import prediction_suffix, save_predictions, split_files
from pose_mpii.pckh import METRICS, format_table, pckh
from pose_mpii.skeleton import FLIP_PAIRS, JOINTS, LIMBS, SIDES


def score(cfg, net, loader, truth, contexts, title):
    """Predict a loader's samples and score every decoding.

    truth: `dataset.load_truth`, or None. Returns {decoding: joints (N, 16, 2)} in 0-based source pixels, and
    {decoding: result of `pckh.pckh`}, None without truth.
    """
    predictions, _ = predict(cfg, net, loader, contexts, FLIP_PAIRS, title)
    return predictions, truth and {method: pckh(joints + 1, *truth) for method, joints in predictions.items()}


def test(cfg, params, data, split, contexts, json=None, picture=None, save=None):
    """Predict a split with the parameters of a file and, where there is ground truth, print the scores.

    Files to write, if given: `json` with the result of the configured decoding (`pckh.pckh`), those of all decodings
    under 'decodings' and where it is from (`experiment.provenance`); `picture` and `save` with the configured
    decoding's predictions (`layout.save_predictions`). InputError where there is nothing to score or no file to write.
    """
    if split == 'test' and (json or not (save or picture)):
        raise InputError(f'--split {split}: has no ground truth to score; --save writes the predictions')
    samples = load_samples(data, split, cfg.input.size)
    truth = None if split == 'test' else load_truth(data, split, samples)
    loader = experiment.ordered_loader(cfg, samples)
    net = experiment.load_network(cfg, len(JOINTS), params, contexts)
    predictions, scores = score(cfg, net, loader, truth, contexts, 'test')
    chosen = predictions[cfg.test.decode]
    if save:
        save_predictions(save, chosen + 1)
    if scores:
        print(f'\n{cfg.name} by {cfg.test.decode} on {data}, {split}; the paper: ResNet-50 at 256 x 256 on MPII')
        print(format_table(scores[cfg.test.decode], paper.SCORES.get(results.cell(cfg.name))))
        print(results.by_decoding(scores, METRICS))
    if scores and json:
        files.write_json(json, {**scores[cfg.test.decode], 'decodings': scores,
                                **experiment.provenance(cfg, data, split)})
    if picture:
        visualise.save(picture, visualise.predictions(samples, chosen, LIMBS, SIDES))


def main(argv=None):
    parser = options.parser(__doc__)
    options.add_test(parser)
    parser.add_argument('--data', default='data/mpii', help='folder in the MPII layout (default: data/mpii)')
    parser.add_argument('--split', default='valid', help='a split with annot/gt_SPLIT.mat, or test (default: valid)')
    parser.add_argument('--save', metavar='PRED', help='write predictions, 1-based, to a .mat or .json')
    args = parser.parse_args(argv)
    cfg = options.configuration(args, 'mpii', ['test.flip=true'] * args.flip_test)
    if args.save:
        prediction_suffix(args.save)
    options.check_outputs(args, *split_files(args.data, args.split))
    test(cfg, args.params, args.data, args.split, runtime.contexts(args.gpus, args.cpus), args.json, args.picture,
         args.save)


if __name__ == '__main__':
    run(main)
