"""How wide the local integral's window should be, and how sharp its softmax, for a trained network.

    python pose_mpii/decodings.py --cfg experiments/mpii/table2/i1.yaml --params output/mpii/table2/i1/best.params

Runs the network once and prints PCKh@0.5 / PCKh@0.1 / AUC of the local integral for windows of 3 x 3 to 9 x 9 cells and
temperatures from a quarter of the configured `network.beta` to four times of it; --json writes them with where they are
from. A decodings.json beside a result's test.json comes into the tables (`scripts/paper_tables.py`).
"""
import sys
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from tqdm import tqdm

from common import experiment, files, inference, runtime
from common.cli import run
from common.errors import InputError
from common.results import markdown
from pose_mpii.dataset import load_samples
from pose_mpii.layout import ground_truth_file, read_ground_truth
from pose_mpii.pckh import METRICS, pckh
from pose_mpii.skeleton import FLIP_PAIRS, JOINTS

WINDOWS = (1, 2, 3, 4)                        # cells to each side of the maximum
FACTORS = (0.25, 0.5, 1, 2, 4)                # of network.beta


def study(cfg, net, loader, truth, contexts):
    """[{'beta', 'window', and the three metrics}] of the local integral for every temperature and window.

    truth: `layout.read_ground_truth` of the loader's samples.
    """
    settings = [(beta * cfg.network.beta, window) for beta in FACTORS for window in WINDOWS]
    joints = {setting: [] for setting in settings}
    for batch in tqdm(loader.batches(), desc='test', unit=' batches', leave=False, dynamic_ncols=True):
        heatmaps, direct = inference.infer(cfg, net, batch.images, contexts, FLIP_PAIRS)
        for beta, window in settings:
            found = inference.locate(cfg, net, heatmaps, direct, 'local', batch.matrices, beta, window)
            joints[beta, window].append(found)
    scores = {setting: pckh(np.concatenate(found) + 1, *truth) for setting, found in joints.items()}
    return [{'beta': beta, 'window': window, **{metric: score[metric] for metric in METRICS}}
            for (beta, window), score in scores.items()]


def table(lines):
    """What `study` returned as Markdown: a row a temperature, a column a window."""
    cells = {(line['beta'], line['window']): ' / '.join(f'{line[metric]:.1f}' for metric in METRICS) for line in lines}
    betas, windows = (sorted({key[part] for key in cells}) for part in (0, 1))
    return markdown(['beta', *(f'{2 * window + 1} x {2 * window + 1} cells' for window in windows)],
                    [[f'{beta:g}', *(cells[beta, window] for window in windows)] for beta in betas])


def main(argv=None):
    parser = experiment.parser(__doc__)
    experiment.add_options(parser)
    parser.add_argument('--params', required=True, metavar='FILE', help='its .params, or an exported .onnx')
    parser.add_argument('--data', default='data/mpii', help='folder in the MPII layout (default: data/mpii)')
    parser.add_argument('--split', default='valid', help='a split with annot/gt_SPLIT.mat (default: valid)')
    parser.add_argument('--json', metavar='FILE', help='write the scores')
    args = parser.parse_args(argv)
    cfg = experiment.configuration(args, 'mpii')
    if cfg.network.head == 'regression':
        raise InputError(f'{cfg.name}: a regression network has no heat maps to decode')
    samples = load_samples(args.data, args.split)
    truth = read_ground_truth(ground_truth_file(args.data, args.split), len(samples))
    contexts = runtime.contexts(args.gpus, args.cpus)
    net = experiment.load_network(cfg, len(JOINTS), args.params, contexts)
    lines = study(cfg, net, experiment.ordered_loader(cfg, samples), truth, contexts)
    print(table(lines))
    if args.json:
        files.write_json(args.json, {'local': lines, **experiment.provenance(cfg, args.data, args.split)})


if __name__ == '__main__':
    run(main)
