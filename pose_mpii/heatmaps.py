"""Draw Figure 2 for any networks: their heat maps of some joints over the same photographs.

    python pose_mpii/heatmaps.py --data data/mpii --out figure2.png --people 3,17 \\
        --network experiments/mpii/table2/h1.yaml output/mpii/table2/h1/best.params \\
        --network experiments/mpii/table2/i1.yaml output/mpii/table2/i1/best.params

A row a joint; for each person the photograph, with the annotated joint where there is one, and the heat map of each
network. Of an integral network and of H2 the normalised map is shown (Eq. 5: softmax of beta H, whose expectation is
the joint), of H1 H itself, of H3 its sigmoid; each map's own maximum gets the full colour.
"""
import sys
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from common import config, experiment, files, runtime
from common.data.crop import crop_matrix, crop_sample
from common.errors import InputError
from common.predict import inference, visualise
from common.programs import options
from common.programs.cli import run
from pose_mpii.dataset import load_samples
from pose_mpii.skeleton import FLIP_PAIRS, JOINTS, SIDES

HEIGHT = 256                                  # of the photographs in the figure


def heatmaps(cfg, params, samples, contexts):
    """The maps (N, 16, h, w) to look at of a network's configured stage (see `inference.pictured`)."""
    net = experiment.load_network(cfg, len(JOINTS), params, contexts)
    batches = experiment.ordered_loader(cfg, samples).batches()
    maps = [inference.infer(cfg, net, batch.images, contexts, FLIP_PAIRS)[0] for batch in batches]
    return inference.pictured(cfg, np.concatenate(maps))


def figure(samples, joints, names, maps):
    """Figure 2: rows of `joints` (indices), for each sample the photograph and the map of each network.

    samples: with boxes in the proportions of the networks' input; names: of the networks; maps: (N, 16, h, w) of each.
    Returns an RGB image.
    """
    rows = [[] for _ in joints]
    for index, sample in enumerate(samples):
        size = round(HEIGHT * sample.box[2] / sample.box[3]), HEIGHT
        image, points, visible = crop_sample(sample, size, crop_matrix(sample.box, size))
        for row, joint in zip(rows, joints):
            marked = image.copy()
            if visible[joint]:
                visualise.mark(marked, points[joint], SIDES[joint], radius=6)
            row += [marked] + [visualise.overlay(image, network[index, joint]) for network in maps]
    titles = ['photograph', *names] * len(samples)
    captions = [titles] + [[''] * len(titles)] * (len(rows) - 1)
    return visualise.labelled(rows, captions, [JOINTS[joint] for joint in joints])


def main(argv=None):
    parser = options.parser(__doc__)
    parser.add_argument('--data', default='data/mpii', help='folder in the MPII layout (default: data/mpii)')
    parser.add_argument('--split', default='valid', help='default: valid')
    parser.add_argument('--network', nargs=2, action='append', required=True, metavar=('YAML', 'PARAMS'),
                        help='an experiment and its .params; one --network for each column')
    parser.add_argument('--people', default='0', metavar='0,1,..', help='records of the split to show (default: 0)')
    parser.add_argument('--joints', default='right ankle,left ankle,right wrist', metavar='NAME,..',
                        help='default: right ankle,left ankle,right wrist')
    parser.add_argument('--out', required=True, metavar='PNG', help='the picture to write')
    args = parser.parse_args(argv)
    visualise.check_suffix(args.out)
    files.check_outputs([args.out], [path for network in args.network for path in network])
    unknown = [name for name in args.joints.split(',') if name not in JOINTS]
    if unknown:
        raise InputError(f'--joints: unknown joint {unknown[0]!r}; there are {", ".join(JOINTS)}')
    configurations = [config.load(path) for path, _ in args.network]
    for cfg in configurations:
        if cfg.network.head == 'regression':
            raise InputError(f'{cfg.path}: a regression network has no heat maps')
    (width, height), *others = (cfg.input.size for cfg in configurations)
    if any(w * height != width * h for w, h in others):
        raise InputError('--network: their input.size have different proportions; draw a figure for each')
    samples = load_samples(args.data, args.split, (width, height))
    try:
        chosen = [samples[range(len(samples)).index(int(index))] for index in args.people.split(',')]
    except ValueError:
        raise InputError(f'--people {args.people}: expected numbers below {len(samples)}, such as 3,17') from None
    maps = [heatmaps(cfg, params, chosen, runtime.contexts()[:1])
            for cfg, (_, params) in zip(configurations, args.network)]
    names = [cfg.name.split('/')[-1].upper() for cfg in configurations]
    joints = [JOINTS.index(name) for name in args.joints.split(',')]
    visualise.save(args.out, figure(chosen, joints, names, maps))


if __name__ == '__main__':
    run(main)
