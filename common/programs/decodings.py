"""How sharp the integral's softmax should be, how wide the local integral's window, and on which maps they fail.

Runs a trained network once and prints the data set's metrics, in percent, of

- the integral over all cells as it is, and with the background's weights subtracted (debiased), and the local integral
  for windows of 3 x 3 to 9 x 9 cells, for a beta from a quarter of the configured `network.beta` to four times of it;
- every decoding, on the joints whose normalised map (Eq. 5) has one mode and on the others apart. One mode: nine tenths
  of it lie in one window of `test.window`;
- every decoding, by the height of the map's maximum, and on all those so high that the maximum finds 87% of them, the
  paper's share of H1;
- every decoding, on the joints that the maximum finds (for MPII: within half a head) and on the others;
- how many maps have a second mode above 30% of the first ("cleaner maps", section 6.1 of the paper).

The second to fourth are of data sets that score single joints. With --control FILE, the network to compare with, the
third goes by the heights of that network's maps and the fourth by what its maximum finds, and both show that maximum,
too (`control`). --json writes all of it with where it is from. A decodings.json beside a result's test.json comes into
the tables (`scripts/paper_tables.py`).
"""
from itertools import islice
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from common import files, grid, heatmaps, provenance, runtime, skeleton
from common.data.loader import ordered_loader
from common.dataset import Source
from common.errors import InputError
from common.predict import decode, inference
from common.predict.decode import HEATMAP_DECODINGS
from common.predict.onnx_net import is_export
from common.programs import options
from common.programs.test import score
from common.results import markdown, mean_and_spread

WINDOWS = (1, 2, 3, 4, 0)                     # cells to each side of the maximum; 0: all, as in `loss.window`
FACTORS = (0.25, 0.5, 1, 2, 4)                # of network.beta
ONE_MODE = 0.9                                # of a normalised map in one window
SECOND = 0.3                                  # of the first mode's height
SURE = 87                                     # percent: of MPII's joints, H1 finds so many (Table 2)
HEIGHTS = tuple(step / 20 for step in range(6, 20))            # from which on maps may be sure: 0.3, 0.35, ...
PEAKS = (0, 0.2, 0.35, 0.5, 0.65, 0.8, None)   # heights of a map's maximum; the last range has no end


class Reading(NamedTuple):
    """N people with K joints each, read off a network's maps in many ways."""

    joints: dict                              # {(decoding, beta, window), or 'control': (N, K, 2) in source pixels}
    scores: np.ndarray                        # (N, K) of the joints, as a test has them
    confidence: np.ndarray                    # (N, K) `heatmaps.confidence`
    second: np.ndarray                        # (N, K) bool: the map has a second mode
    peaks: np.ndarray                         # (N, K) height of the map, or of the control's where there is one


def read(cfg, net, samples, contexts, settings, control=None) -> Reading:
    """The joints of samples by each of the settings, (decoding, beta, window); control: as of `study`."""
    found = []
    for batch in tqdm(ordered_loader(cfg, samples).batches(), desc='test', unit=' batches', leave=False,
                      dynamic_ncols=True, **runtime.bar_intervals()):
        maps, direct = inference.infer(cfg, net, batch.images, contexts)
        joints = {setting: _locate(cfg, net, maps, direct, setting, batch.matrices) for setting in settings}
        judging = maps
        if control:
            judging = inference.infer(cfg, control, batch.images, contexts)[0]
            joints['control'] = _locate(cfg, net, judging, direct, ('argmax', None, None), batch.matrices)
        confidence = heatmaps.confidence(maps, cfg.network.beta, cfg.test.window, cfg.network.debiased)
        found.append(Reading(joints, inference.joint_scores(cfg, maps), confidence,
                             heatmaps.second_mode(maps, cfg.test.window) > SECOND, heatmaps.argmax(judging)[1]))
    joints = {setting: np.concatenate([part.joints[setting] for part in found]) for setting in found[0].joints}
    return Reading(joints, *(np.concatenate([part[field] for part in found]) for field in (1, 2, 3, 4)))


def study(dataset, cfg, net, people, contexts, control=None) -> dict:
    """What the docstring above lists, by the configured network; control: another network of this configuration.

    Returns {'local': [{'beta', 'window', and the metrics}], 'debiased': [{'beta', metrics}],
    'modes': [{'modes': 'one' or 'several', 'share': percent of the joints, decoding: metrics, ...}],
    'peaks': [{'from', 'to', 'share', decoding: metrics, ...}], 'sure': as peaks, of joints that are found often, at
    most one, 'found': [{'found': True or False, as modes}], the last four where joints are scored one by one,
    'second': percent of the maps with a second mode}.
    """
    beta, window = cfg.network.beta, cfg.test.window
    local = [('local', factor * beta, cells) for factor in FACTORS for cells in WINDOWS]
    debiased = [('debiased', factor * beta, 0) for factor in FACTORS]
    own = {method: (method, beta, window) for method in HEATMAP_DECODINGS}
    reading = read(cfg, net, people.samples, contexts, {*local, *debiased, *own.values()}, control)
    own.update({'control': 'control'} if control else {})
    counts = dataset.counted(people)

    def metrics(setting, counting=people):
        result = score(dataset, counting, reading.joints[setting], reading.scores)
        return {metric: result[metric] for metric in dataset.metrics}

    def lines(groups):
        return [{**label, 'share': 100 * float((chosen & counts).sum() / counts.sum()),
                 **{name: metrics(setting, dataset.only(people, chosen & counts)) for name, setting in own.items()}}
                for label, chosen in groups if (chosen & counts).any()]

    found = {'local': [{'beta': setting[1], 'window': setting[2], **metrics(setting)} for setting in local],
             'debiased': [{'beta': setting[1], **metrics(setting)} for setting in debiased],
             'second': 100 * float(reading.second.mean())}
    if counts is not None:
        one_mode, peaks = reading.confidence >= ONE_MODE, reading.peaks
        found['modes'] = lines([({'modes': 'one'}, one_mode), ({'modes': 'several'}, ~one_mode)])
        found['peaks'] = lines([({'from': low, 'to': high}, (low <= peaks) & (peaks < (high or np.inf)))
                                for low, high in zip(PEAKS, PEAKS[1:])])
        judge, metric = 'control' if control else 'argmax', dataset.metrics[0]
        near = dataset.found(people, reading.joints[own[judge]])
        found['found'] = [] if near is None else lines([({'found': True}, near), ({'found': False}, ~near)])
        rising = (line for low in HEIGHTS for line in lines([({'from': low, 'to': None}, peaks >= low)]))
        found['sure'] = list(islice((line for line in rising if line[judge][metric] >= SURE), 1))
    return found


def _locate(cfg, net, maps, direct, setting, matrices):
    """Joints (B, K, 2) in source pixels by (decoding, beta, window); 'debiased' is the integral without background."""
    (method, beta, window), kind = setting, cfg.network.grid
    if method == 'debiased':
        mass = heatmaps.normalised(maps, beta, debiased=True)
        cells = np.stack([mass.sum(axis=2) @ np.arange(mass.shape[3]), mass.sum(axis=3) @ np.arange(mass.shape[2])], 2)
        return inference.to_source(grid.to_pixels(cells, net.stride, kind), matrices)
    joints = decode.decode(maps, direct, method, net.stride, beta, window or max(maps.shape[2:]), kind)
    return inference.to_source(joints, matrices)


def local_table(lines) -> str:
    """`study`'s 'local' as Markdown: a row a beta, a column a window."""
    cells = {(line['beta'], line['window']): _shown(line) for line in lines}
    betas = sorted({beta for beta, _ in cells})
    windows = sorted({window for _, window in cells}, key=lambda window: window or np.inf)
    return markdown(['beta', *(f'{2 * window + 1} x {2 * window + 1} cells' if window else 'all cells'
                               for window in windows)],
                    [[f'{beta:g}', *(cells.get((beta, window), '-') for window in windows)] for beta in betas])


def groups_table(title, lines, label, readings=(*HEATMAP_DECODINGS, 'control')) -> str:
    """`study`'s 'modes', 'peaks', 'sure' or 'found' as Markdown: a row a line, which `label` of a line names."""
    methods = [method for method in readings if all(method in line for line in lines)]
    return markdown([title, 'joints', *methods],
                    [[label(line), f'{line["share"]:.1f}%', *(_shown(line[method]) for method in methods)]
                     for line in lines])


def modes_table(lines) -> str:
    """`study`'s 'modes' as Markdown: a row for one mode, and one for several."""
    return groups_table('modes', lines, lambda line: line['modes'], HEATMAP_DECODINGS)


def peaks_table(lines) -> str:
    """`study`'s 'peaks' or 'sure' as Markdown: a row a range of heights."""
    return groups_table('peak of the map', lines, lambda line: f'{line["from"]:g} ' + (
        f'to {line["to"]:g}' if line['to'] else 'and more'))


def found_table(lines) -> str:
    """`study`'s 'found' as Markdown: a row for the joints that the maximum finds, and one for the others."""
    whose = "the control's maximum" if any('control' in line for line in lines) else 'the maximum'
    return groups_table(f'{whose} finds it', lines, lambda line: 'yes' if line['found'] else 'no')


def _shown(line):
    """The metrics of a line, in their order; '-' for one that is None (COCO's, of a size that nobody has)."""
    return ' / '.join(mean_and_spread([value]) for key, value in line.items() if key not in ('beta', 'window'))


def debiased_table(lines) -> str:
    """`study`'s 'debiased' as Markdown: a row a beta."""
    return markdown(['beta', 'debiased, all cells'], [[f'{line["beta"]:g}', _shown(line)] for line in lines])


def main(dataset, argv=None):
    parser = options.parser(__doc__)
    options.add_network(parser)
    parser.add_argument('--params', required=True, metavar='FILE', help='its .params')
    parser.add_argument('--control', metavar='FILE', help='.params of a network to compare with, such as H1 for I1')
    options.add_source(parser, dataset)
    parser.add_argument('--json', metavar='FILE', help='write the scores')
    args = parser.parse_args(argv)
    export = next((path for path in (args.params, args.control) if path and is_export(path)), None)
    if export:
        raise InputError(f'{export}: an export has one decoding; give the .params that it was made of')
    cfg = options.configuration(args, dataset)
    source = Source(args.data, args.split or cfg.data.valid, dataset.source_options(args))
    files.check_outputs([args.json], [args.cfg, args.params, args.control, *dataset.files(source)])
    if cfg.network.head == 'regression':
        raise InputError(f'{cfg.name}: a regression network has no heat maps to decode')
    dataset = dataset.with_skeleton(skeleton.of(cfg))
    people = dataset.people(source, cfg.input.size)
    if people.truth is None:
        raise InputError(f'--split {source.split}: has no ground truth to score')
    contexts = runtime.contexts(args.gpus, args.cpus)
    net, control = (inference.load_network(cfg, path, contexts) if path else None
                    for path in (args.params, args.control))
    found = study(dataset, cfg, net, people, contexts, control)
    if args.json:
        files.write_json(args.json, {**found, **provenance.of_test(cfg, args.data, source.split)})
    print(local_table(found['local']), debiased_table(found['debiased']), sep='\n')
    print(f'{found["second"]:.1f}% of the maps have a second mode above {SECOND:.0%} of the first\n')
    if 'modes' in found:
        print(modes_table(found['modes']), peaks_table([*found['peaks'], *found['sure']]), sep='\n')
        if found['found']:
            print(found_table(found['found']))
