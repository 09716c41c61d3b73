"""How sharp the integral's softmax should be, how wide the local integral's window, and on which maps they fail.

    python pose_mpii/decodings.py --cfg experiments/mpii/table2/h1.yaml --params output/mpii/table2/h1/best.params

Runs the trained network once and prints PCKh@0.5 / PCKh@0.1 / AUC, in percent, of

- the local integral for windows of 3 x 3 to 9 x 9 cells, and the integral over all of them, for a beta from
  a quarter of the configured `network.beta` to four times of it;
- every decoding, on the joints whose normalised map (Eq. 5) has one mode and on the others apart. One mode: nine tenths
  of it lie in one window of `test.window`.

--json writes them with where they are from. A decodings.json beside a result's test.json comes into the tables
(`scripts/paper_tables.py`).
"""
import sys
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from tqdm import tqdm

from common import experiment, files, runtime
from common.errors import InputError
from common.predict import inference
from common.predict.decode import HEATMAP_DECODINGS
from common.programs import options
from common.programs.cli import run
from common.results import markdown
from pose_mpii.dataset import load_samples, load_truth
from pose_mpii.layout import split_files
from pose_mpii.pckh import METRICS, counted, pckh
from pose_mpii.skeleton import FLIP_PAIRS, JOINTS

WINDOWS = (1, 2, 3, 4, 0)                     # cells to each side of the maximum; 0: all, as in `loss.window`
FACTORS = (0.25, 0.5, 1, 2, 4)                # of network.beta
ONE_MODE = 0.9                                # of a normalised map in one window


def study(cfg, net, loader, truth, contexts):
    """Returns {'local': [{'beta', 'window', and the three metrics}],
    'modes': [{'modes': 'one' or 'several', 'share': percent of the joints, decoding: the three metrics, ...}]}.

    truth: `dataset.load_truth` of the loader's samples.
    """
    settings = [('local', beta * cfg.network.beta, window) for beta in FACTORS for window in WINDOWS]
    own = [(method, cfg.network.beta, cfg.test.window) for method in HEATMAP_DECODINGS]
    joints, confidence = {setting: [] for setting in (*settings, *own)}, []
    for batch in tqdm(loader.batches(), desc='test', unit=' batches', leave=False, dynamic_ncols=True):
        heatmaps, direct = inference.infer(cfg, net, batch.images, contexts, FLIP_PAIRS)
        confidence.append(inference.confidence(heatmaps, cfg.network.beta, cfg.test.window))
        for (method, beta, window), found in joints.items():
            found.append(inference.locate(cfg, net, heatmaps, direct, method, batch.matrices, beta,
                                          window or max(heatmaps.shape[2:])))
    joints = {setting: np.concatenate(found) + 1 for setting, found in joints.items()}
    return {'local': [{'beta': setting[1], 'window': setting[2], **_metrics(joints[setting], *truth)}
                      for setting in settings],
            'modes': by_modes({setting[0]: joints[setting] for setting in own},
                              np.concatenate(confidence) >= ONE_MODE, *truth)}


def by_modes(joints, one_mode, truth, visible, head_boxes):
    """`study`'s 'modes', of joints {decoding: (N, 16, 2)} where one_mode (N, 16), and elsewhere (see `pckh`)."""
    counts, lines = counted(visible), []
    for name, chosen in (('one', one_mode & counts), ('several', ~one_mode & counts)):
        if chosen.any():
            lines.append({'modes': name, 'share': 100 * float(chosen.sum() / counts.sum()),
                          **{method: _metrics(found, truth, chosen, head_boxes) for method, found in joints.items()}})
    return lines


def _metrics(*predictions_and_truth):
    score = pckh(*predictions_and_truth)
    return {metric: score[metric] for metric in METRICS}


def local_table(lines):
    """`study`'s 'local' as Markdown: a row a beta, a column a window."""
    cells = {(line['beta'], line['window']): _shown(line) for line in lines}
    betas = sorted({beta for beta, _ in cells})
    windows = sorted({window for _, window in cells}, key=lambda window: window or np.inf)
    return markdown(['beta', *(f'{2 * window + 1} x {2 * window + 1} cells' if window else 'all cells'
                               for window in windows)],
                    [[f'{beta:g}', *(cells.get((beta, window), '-') for window in windows)] for beta in betas])


def modes_table(lines):
    """`study`'s 'modes' as Markdown: a row for one mode, and one for several."""
    return markdown(['modes', 'joints', *HEATMAP_DECODINGS],
                    [[line['modes'], f'{line["share"]:.1f}%', *(_shown(line[method]) for method in HEATMAP_DECODINGS)]
                     for line in lines])


def _shown(metrics):
    return ' / '.join(f'{metrics[metric]:.1f}' for metric in METRICS)


def main(argv=None):
    parser = options.parser(__doc__)
    options.add_network(parser)
    parser.add_argument('--params', required=True, metavar='FILE', help='its .params, or an exported .onnx')
    parser.add_argument('--data', default='data/mpii', help='folder in the MPII layout (default: data/mpii)')
    parser.add_argument('--split', default='valid', help='a split with annot/gt_SPLIT.mat (default: valid)')
    parser.add_argument('--json', metavar='FILE', help='write the scores')
    args = parser.parse_args(argv)
    files.check_outputs([args.json], [args.cfg, args.params, *split_files(args.data, args.split)])
    cfg = options.configuration(args, 'mpii')
    if cfg.network.head == 'regression':
        raise InputError(f'{cfg.name}: a regression network has no heat maps to decode')
    samples = load_samples(args.data, args.split, cfg.input.size)
    truth = load_truth(args.data, args.split, samples)
    contexts = runtime.contexts(args.gpus, args.cpus)
    net = experiment.load_network(cfg, len(JOINTS), args.params, contexts)
    found = study(cfg, net, experiment.ordered_loader(cfg, samples), truth, contexts)
    print(local_table(found['local']), modes_table(found['modes']), sep='\n')
    if args.json:
        files.write_json(args.json, {**found, **experiment.provenance(cfg, args.data, args.split)})


if __name__ == '__main__':
    run(main)
