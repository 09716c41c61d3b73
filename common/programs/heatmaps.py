"""Figure 2 for any networks: their heat maps of some joints over the same photographs.

A row a joint; for each person the photograph, with the annotated joint where there is one, and the heat map of each
network. Of all networks the same is shown, the normalised map (Eq. 5: softmax of beta H, whose expectation is the
integral's joint); each map's own maximum gets the full colour.
"""
from typing import Tuple

import numpy as np

from common import files, runtime, skeleton
from common.data.crop import crop_matrix, crop_sample
from common.data.loader import ordered_loader
from common.dataset import Source
from common.errors import InputError
from common.heatmaps import normalised
from common.predict import inference, visualise
from common.programs import options

HEIGHT = 256                                  # of the photographs in the figure
SHOWN = ('right ankle', 'left ankle', 'right wrist')  # joints, where the skeleton has them


def heatmaps(cfg, params, samples, joints, contexts) -> np.ndarray:
    """The normalised maps (N, K, h, w) of a network's configured stage.

    InputError where one of `joints` (indices) is none that it was trained to find.
    """
    net = inference.load_network(cfg, params, contexts)
    unknown = [cfg.data.skeleton['joints'][joint] for joint in joints if not net.trained_joints()[joint]]
    if unknown:
        raise InputError(f'--joints: {params} was never trained to find the {unknown[0]}')
    batches = ordered_loader(cfg, samples).batches()
    maps = [inference.infer(cfg, net, batch.images, contexts)[0] for batch in batches]
    return normalised(np.concatenate(maps), cfg.network.beta, cfg.network.debiased)


def figure(person, samples, joints, names, maps, kinds) -> np.ndarray:
    """Figure 2: rows of `joints` (indices), for each sample the photograph and the map of each network.

    person: a `skeleton.Skeleton`; samples: with boxes in the proportions of the networks' input; names: of the
    networks; maps: (N, K, h, w) of each; kinds: of each one's grid. Returns an RGB image.
    """
    rows = [[] for _ in joints]
    for index, sample in enumerate(samples):
        size = round(HEIGHT * sample.box[2] / sample.box[3]), HEIGHT
        image, points, visible = crop_sample(sample, size, crop_matrix(sample.box, size))
        for row, joint in zip(rows, joints):
            marked = image.copy()
            if visible[joint]:
                visualise.mark(marked, points[joint], person.sides[joint], radius=6)
            row += [marked, *(visualise.overlay(image, network[index, joint], kind)
                              for network, kind in zip(maps, kinds))]
    titles = ['photograph', *names] * len(samples)
    captions = [titles] + [[''] * len(titles)] * (len(rows) - 1)
    return visualise.labelled(rows, captions, [person.joints[joint] for joint in joints])


def main(dataset, argv=None):
    parser = options.parser(__doc__)
    options.add_source(parser, dataset)
    parser.add_argument('--network', nargs=2, action='append', required=True, metavar=('YAML', 'PARAMS'),
                        help='an experiment and its .params; one --network for each column')
    parser.add_argument('--people', default='0', metavar='0,1,..', help='records of the split to show (default: 0)')
    parser.add_argument('--joints', metavar='NAME,..',
                        help=f'default: {", ".join(SHOWN)}, or the first three where those are not all there')
    parser.add_argument('--out', required=True, metavar='PNG', help='the picture to write')
    args = parser.parse_args(argv)
    visualise.check_suffix(args.out)
    files.check_outputs([args.out], [path for network in args.network for path in network])
    configurations = [options.checked(options.load(path, [], params), path, dataset) for path, params in args.network]
    person = skeleton.of(configurations[0])
    dataset = dataset.with_skeleton(person)
    if any(skeleton.of(cfg).joints != person.joints for cfg in configurations):
        raise InputError('--network: their data.skeleton have different joints; draw a figure for each')
    shown = args.joints.split(',') if args.joints else SHOWN if set(SHOWN) <= set(person.joints) else person.joints[:3]
    unknown = [name for name in shown if name not in person.joints]
    if unknown:
        raise InputError(f'--joints: unknown joint {unknown[0]!r}; there are {", ".join(person.joints)}')
    size = common_size(configurations)
    split = args.split or configurations[0].data.valid
    samples = dataset.samples(Source(args.data, split, dataset.source_options(args)), size)
    try:
        chosen = [samples[range(len(samples)).index(int(index))] for index in args.people.split(',')]
    except ValueError:
        raise InputError(f'--people {args.people}: expected numbers below {len(samples)}, such as 3,17') from None
    joints = [person.joints.index(name) for name in shown]
    maps = [heatmaps(cfg, params, chosen, joints, runtime.contexts()[:1])
            for cfg, (_, params) in zip(configurations, args.network)]
    names = [cfg.name.split('/')[-1].upper() for cfg in configurations]
    kinds = [cfg.network.grid for cfg in configurations]
    visualise.save(args.out, figure(person, chosen, joints, names, maps, kinds))


def common_size(configurations) -> Tuple[int, int]:
    """The input's size, whose proportions all networks share; InputError where they do not, or have no heat maps."""
    for cfg in configurations:
        if cfg.network.head == 'regression':
            raise InputError(f'{cfg.path}: a regression network has no heat maps')
    (width, height), *others = (cfg.input.size for cfg in configurations)
    if any(w * height != width * h for w, h in others):
        raise InputError('--network: their input.size have different proportions; draw a figure for each')
    return width, height
