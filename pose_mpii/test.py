"""Test a trained network on MPII, by every decoding.

    python pose_mpii/test.py --cfg experiments/mpii/table2/i1.yaml --params output/mpii/table2/i1/best.params

Prints PCKh@0.5, PCKh@0.1 and AUC of every decoding, and the configured one's row beside the paper's. A split without
ground truth (test) is predicted for --save alone.
"""
import sys
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import experiment, files, runtime, visualise
from common.cli import run
from common.crop import crop_matrix, crop_sample, transform_points
from common.inference import predict
from common.loader import Loader
from pose_mpii.dataset import load_samples
from pose_mpii.layout import ground_truth_file, prediction_suffix, read_ground_truth, save_predictions
from pose_mpii.paper import TABLE2
from pose_mpii.pckh import format_table, pckh
from pose_mpii.skeleton import FLIP_PAIRS, JOINTS, LIMBS, SIDES

PICTURES = 24


def draw(samples, joints, path, size=(256, 256)):
    """Draw predictions (N, 16, 2), 0-based source pixels, on the crops of the first samples, one sheet."""
    pictures = []
    for sample, found in zip(samples[:PICTURES], joints):
        matrix = crop_matrix(sample.box, size)
        image = crop_sample(sample, size, matrix)[0]
        pictures.append(visualise.draw_skeleton(image, transform_points(matrix, found), LIMBS, SIDES))
    visualise.save(path, visualise.sheet(pictures))


def score(cfg, net, loader, truth, contexts, title):
    """Predict a loader's samples and score every decoding.

    truth: `layout.read_ground_truth`, or None. Returns {decoding: joints (N, 16, 2)} in 0-based source pixels, and
    {decoding: result of `pckh.pckh`}, None without truth.
    """
    predictions, _ = predict(cfg, net, loader, contexts, FLIP_PAIRS, title)
    return predictions, truth and {method: pckh(joints + 1, *truth) for method, joints in predictions.items()}


def test(cfg, params, data, split, contexts):
    """Predict a split with the parameters of a file and, where there is ground truth, print and return the scores.

    Returns the samples, {decoding: (N, 16, 2)} in 0-based source pixels, and the result of the configured decoding
    (`pckh.pckh`) with those of all decodings under 'decodings'; None for the split `test`, which has no truth.
    """
    samples = load_samples(data, split)
    truth = None if split == 'test' else read_ground_truth(ground_truth_file(data, split), len(samples))
    net = experiment.load_network(cfg, len(JOINTS), params, contexts)
    loader = Loader(samples, cfg.input.size, cfg.test.batch_size)
    predictions, results = score(cfg, net, loader, truth, contexts, 'test')
    if results is None:
        return samples, predictions, None
    print(f'\n{cfg.name} by {cfg.test.decode} on {data}, {split}; the paper: ResNet-50 at 256 x 256 on MPII')
    print(format_table(results[cfg.test.decode], TABLE2.get(cfg.name.split('/')[-1])))
    for method, result in results.items():
        print(f'{method:>10}: PCKh@0.5 {result["PCKh@0.5"]:.2f}, PCKh@0.1 {result["PCKh@0.1"]:.2f}, '
              f'AUC {result["AUC"]:.2f}')
    return samples, predictions, {**results[cfg.test.decode], 'decodings': results}


def _check_outputs(args):
    """Say now, not after an hour of predicting, where the results cannot be written."""
    if args.save:
        prediction_suffix(args.save)
    if args.picture:
        visualise.check_suffix(args.picture)
    for path in filter(None, (args.save, args.json, args.picture)):
        files.make_folder(Path(path).resolve().parent)


def main(argv=None):
    parser = experiment.parser(__doc__)
    experiment.add_options(parser)
    parser.add_argument('--params', required=True, metavar='FILE', help='the network\'s .params')
    parser.add_argument('--data', default='data/mpii', help='folder in the MPII layout (default: data/mpii)')
    parser.add_argument('--split', default='valid', help='a split with annot/gt_SPLIT.mat, or test (default: valid)')
    parser.add_argument('--flip-test', action='store_true', help='average with the mirrored image')
    parser.add_argument('--save', metavar='PRED', help='write predictions, 1-based, to a .mat or .json')
    parser.add_argument('--json', metavar='FILE', help='write the scores')
    parser.add_argument('--picture', metavar='PNG', help=f'draw the predictions on {PICTURES} of the images')
    args = parser.parse_args(argv)
    cfg = experiment.configuration(args, 'mpii', ['test.flip=true'] * args.flip_test)
    _check_outputs(args)
    samples, predictions, result = test(cfg, args.params, args.data, args.split,
                                        runtime.contexts(args.gpus, args.cpus))
    chosen = predictions[cfg.test.decode]
    if args.save:
        save_predictions(args.save, chosen + 1)
    if args.json and result:
        files.write_json(args.json, result)
    if args.picture:
        draw(samples, chosen, args.picture)


if __name__ == '__main__':
    run(main)
