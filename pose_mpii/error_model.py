"""The paper's tables by a model of one number: how far the joints that a network finds are off.

    python pose_mpii/error_model.py --data DIR [--split valid] [--measured DIR ...] [--json FILE] [--picture PNG]

The model: H and I both find a joint with the same error, isotropic Gaussian noise around its annotation; I reads it
exactly, H only to the cell of its heat map. Joints that are not found are wrong at every alpha. For each pair of H and
I in Tables 2 to 5 the noise is fitted to I's PCKh@0.1, and the shares of joints found to both PCKh@0.5. What H has at
PCKh@0.1 and in AUC is then no longer free: it is predicted, and printed beside the paper's. So is what H would have if
the maximum were moved by a quarter of a cell towards its larger neighbour, or if it were read beside its cell's centre.

The people are those of DIR/annot/<split>.json and gt_<split>.mat; no images and no network are needed. --picture
draws what the integral gains at PCKh@0.1 against the width of a cell in noises. --measured puts trained networks in
the place of the paper's: each DIR is a folder of results with h1/test.json and i1/test.json, scored on the same people,
whose annotation may be off; their points are drawn, too.
"""
import argparse
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple, Optional

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import brentq

from common import grid
from common.data.crop import crop_matrix, transform_points
from common.dataset import Source
from common.errors import InputError
from common.files import check_outputs, replacing, write_json
from common.guard.rules import check_record, is_count, is_number, is_object
from common.predict import visualise
from common.programs.cli import run
from common.provenance import data_name
from common.results import TEST, markdown, read
from pose_mpii.dataset import MPII, load_samples
from pose_mpii.layout import ground_truth_file, read_ground_truth
from pose_mpii.paper import SCORES
from pose_mpii.pckh import METRICS, pckh

SIDE = 256                                    # the crop's, in the pixels that noise and cells are given in
CELLS, OTHERS = {'table3/b': 16, 'table3/c': 64}, 32      # across a heat map, by the folder below experiments/mpii
DRAWS = 10                                    # of the noise, a joint: figures are within 0.1 of those of endless draws
NOISES = 0.05, 100                            # pixels, between which the fit searches
RATIOS = np.linspace(1, 5, 41)                # of a cell's width to the noise
POINTS = ('integral', 'o', "I1's integral"), ('local', 'x', "H1's local integral")
DECODINGS = 'argmax', 'local', 'integral'     # that measured networks need


class Pair(NamedTuple):
    """H and I of one network: their scores by `METRICS`, in percent."""

    name: str                                 # H's in `paper.SCORES`, or the folder of measured ones
    cells: int                                # across a heat map
    h: tuple                                  # H's, by the maximum
    i: tuple                                  # I's, by the integral
    local: Optional[tuple] = None             # H's by the local integral; the paper has none


class People:
    """The annotations of people, repeated `DRAWS` times, in the pixels of their crops, and one noise for each joint.

    joints: (N, 16, 2) and head_boxes: (N, 2, 2) in pixels of the crop; visible: (N, 16), true where annotated.
    """

    def __init__(self, joints, visible, head_boxes):
        self._truth = [np.concatenate([part] * DRAWS) for part in (joints, visible, head_boxes)]
        self._error = np.random.default_rng(0).standard_normal(self._truth[0].shape)

    def found(self, noise) -> np.ndarray:
        """The joints as a network finds them whose standard deviation is `noise` pixels along each axis."""
        return self._truth[0] + noise * self._error

    def scores(self, joints, share=1.0) -> np.ndarray:
        """PCKh@0.5, PCKh@0.1 and AUC, as an array in percent, where a `share` of the joints is found."""
        result = pckh(joints, *self._truth)
        return share * np.array([result[metric] for metric in METRICS])


def load(data, split) -> People:
    """The `People` of a split; InputError as `dataset.load_samples` and `layout.read_ground_truth`."""
    samples = load_samples(data, split, (SIDE, SIDE))
    joints, visible, head_boxes = read_ground_truth(ground_truth_file(data, split), len(samples))
    matrices = [crop_matrix(sample.box, (SIDE, SIDE)) for sample in samples]

    def in_crops(points):
        return np.stack([transform_points(*pair) for pair in zip(matrices, points - 1)])

    return People(in_crops(joints), visible, in_crops(head_boxes))


def argmax(joints, width, off=0.0) -> np.ndarray:
    """Joints in pixels, each read at the centre of its cell of `width` pixels, or `off` of a cell up and left."""
    return grid.to_pixels(np.rint(grid.to_cells(joints, width)) - off, width)


def quarter(joints, width) -> np.ndarray:
    """The centre moved by a quarter of a cell, on each axis, to the side of it where the joint is."""
    centres = argmax(joints, width)
    return centres + width / 4 * np.sign(joints - centres)


READINGS = {                                  # of H's maps: joints in pixels, and a cell's width -> what is read
    'argmax': argmax,
    'quarter': quarter,
    'quarter off': partial(argmax, off=0.25),
    'half off': partial(argmax, off=0.5),
}


def fit(people, i) -> float:
    """The noise in pixels with which a network whose joints are read exactly has the PCKh@0.1 and PCKh@0.5 of `i`.

    i: scores as in `paper.SCORES`. InputError where no noise does.
    """
    def excess(noise):
        half, tenth, _ = people.scores(people.found(noise))
        return tenth / half - i[1] / i[0]

    try:
        return brentq(excess, *NOISES, xtol=1e-3)
    except ValueError:                        # of the same sign at both ends
        raise InputError(f'no noise of {NOISES[0]} to {NOISES[1]} pixels gives PCKh@0.5 {i[0]:.4g} and PCKh@0.1 '
                         f'{i[1]:.4g} on these people: are their head boxes those of the people?') from None


def pairs() -> list:
    """The `Pair`s of Tables 2 to 5. Those that repeat one printed before are left out: (d) of Table 3 is Table 2's."""
    found = {}
    for name, h in SCORES.items():
        folder, method = name.rsplit('/', 1)
        i = SCORES.get(f'{folder}/i{method[1:]}')
        if method[0] == 'h' and i:
            cells = CELLS.get(folder, OTHERS)
            found.setdefault((cells, h, i), Pair(name, cells, h, i))
    return list(found.values())


def measured_files(folder) -> list:
    """The tests of H and I in a folder of results."""
    return [folder / method / TEST for method in ('h1', 'i1')]


def measured_pair(folder) -> Pair:
    """The `Pair` whose tests are `measured_files`; InputError where one is bad, or their cells differ."""
    paths = measured_files(folder)
    h, i = map(_read_test, paths)
    across = [_cells(test) for test in (h, i)]
    if across[0] != across[1]:
        raise InputError(f'{paths[1]}: has heat maps of {across[1]} x {across[1]} cells, and {paths[0]} of '
                         f'{across[0]} x {across[0]}: H and I should be the same network')
    return Pair(folder.as_posix(), across[0],
                *(tuple(test['decodings'][decoding][metric] for metric in METRICS)
                  for test, decoding in ((h, 'argmax'), (i, 'integral'), (h, 'local'))))


def _read_test(path):
    result = read(path)
    check_record(path, 'a result', result, {
        'config': (_has_cells, 'with a square input.size of at least 32 and network.deconvolutions of 1 to 4'),
        'decodings': (_are_scores, f'objects {", ".join(DECODINGS)} with {", ".join(METRICS)} above 0, at most 100')})
    return result


def _has_cells(config):
    (width, height), deconvolutions = config['input']['size'], config['network'].get('deconvolutions')
    return is_count(width) and width == height >= 32 and is_count(deconvolutions) and 1 <= deconvolutions <= 4


def _cells(test):
    return test['config']['input']['size'][0] // grid.stride(test['config']['network']['deconvolutions'])


def _are_scores(decodings):
    return is_object(decodings, DECODINGS, lambda scores: is_object(scores, METRICS, _is_share))


def _is_share(value):
    return is_number(value) and 0 < value <= 100


def explain(people, pair) -> dict:
    """What the model makes of a pair, for the JSON; InputError as `fit`.

    {'name', 'cell' and 'noise' in pixels, 'found': {'argmax', 'integral'}, the joints that H and I find in percent,
    'given': the scores of the pair, {'integral', 'argmax'} and 'local' where it has one, 'model': {'integral',
    'argmax', 'quarter', 'quarter off', 'half off'}}; under each of the latter are the three metrics.
    """
    try:
        width, noise = SIDE / pair.cells, fit(people, pair.i)
    except InputError as error:
        raise InputError(f'{pair.name}: {error}') from None
    joints = people.found(noise)
    shares = {'argmax': pair.h[0] / people.scores(argmax(joints, width))[0],
              'integral': pair.i[0] / people.scores(joints)[0]}
    model = {'integral': people.scores(joints, shares['integral']),
             **{name: people.scores(read(joints, width), shares['argmax']) for name, read in READINGS.items()}}
    return {'name': pair.name, 'cell': width, 'noise': noise,
            'found': {name: 100 * share for name, share in shares.items()},
            'given': {name: _named(scores) for name, scores in
                      (('integral', pair.i), ('argmax', pair.h), ('local', pair.local)) if scores},
            'model': {name: _named(scores) for name, scores in model.items()}}


def _named(scores):
    return dict(zip(METRICS, map(float, scores)))


def gain(people, ratio, width) -> float:
    """How many times H's PCKh@0.1 (the maximum's) I's is, where cells are `width` pixels wide, `ratio` noises."""
    joints = people.found(width / ratio)
    return people.scores(joints)[1] / people.scores(argmax(joints, width))[1]


def prediction_table(lines, whose='paper') -> str:
    """`explain`'s lines as Markdown: the noise, and `whose` figures beside the model's."""
    return markdown(
        ['H, and I of the same network', 'cell, pixels', 'noise, pixels', f"H's PCKh@0.1, {whose}", 'model',
         'difference', f"H's AUC, {whose}", 'model', f"I's AUC, {whose}", 'model'],
        [[f'`{line["name"]}`', f'{line["cell"]:g}', f'{line["noise"]:.2f}', *_compared(line, 'argmax', 'PCKh@0.1'),
          *_compared(line, 'argmax', 'AUC')[:2], *_compared(line, 'integral', 'AUC')[:2]] for line in lines])


def _compared(line, reading, metric):
    given, model = line['given'][reading][metric], line['model'][reading][metric]
    return f'{given:.1f}', f'{model:.1f}', f'{model - given:+.1f}'


def readings_table(lines) -> str:
    """`explain`'s lines as Markdown: all three metrics by every reading of the same maps."""
    return markdown(
        ['', 'centre of the cell', 'moved by a quarter', 'a quarter of a cell off', 'half a cell off', 'exact'],
        [[f'`{line["name"]}`', *(' / '.join(f'{value:.1f}' for value in line['model'][name].values())
                                 for name in (*READINGS, 'integral'))] for line in lines])


def agreement(lines, points) -> int:
    """In how many lines the model is within so many points of H's PCKh@0.1."""
    return sum(abs(line['model']['argmax']['PCKh@0.1'] - line['given']['argmax']['PCKh@0.1']) <= points
               for line in lines)


def draw_gain(path, curves, lines=()):
    """Draw the gain over `RATIOS` into `path`: a line for each of curves {width: gains}; `lines` are measured."""
    figure = Figure(figsize=(5.5, 4), dpi=150, constrained_layout=True)
    axes = figure.subplots()
    for width, gains in curves.items():
        axes.plot(RATIOS, gains, label=f'model, cells of {width:g} pixels at {SIDE}')
    for reading, marker, label in POINTS if lines else ():
        axes.plot([line['cell'] / line['noise'] for line in lines],
                  [line['given'][reading]['PCKh@0.1'] / line['given']['argmax']['PCKh@0.1'] for line in lines],
                  marker, color='black', fillstyle='none', label=f'{label}, measured')
    axes.set(xlabel='width of a cell / noise', ylabel="PCKh@0.1, times the maximum's", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary)


def main(argv=None):
    parser = argparse.ArgumentParser(description="The paper's tables by a model of one number.")
    parser.add_argument('--data', required=True, type=Path, metavar='DIR', help='folder with annot/<split>.json')
    parser.add_argument('--split', default='valid', help='default: valid')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures here, too')
    parser.add_argument('--picture', type=Path, metavar='PNG', help='draw the gain of the integral')
    parser.add_argument('--measured', nargs='+', default=[], type=Path, metavar='DIR',
                        help="folders with h1/ and i1/, tests of networks in the place of the paper's")
    arguments = parser.parse_args(argv)

    if arguments.picture:
        visualise.check_suffix(arguments.picture)
    inputs = MPII.files(Source(arguments.data, arguments.split))
    for folder in arguments.measured:
        inputs += measured_files(folder)
    check_outputs([arguments.json, arguments.picture], inputs)
    measured = [measured_pair(folder) for folder in arguments.measured]
    people = load(arguments.data, arguments.split)
    lines = [explain(people, pair) for pair in measured or pairs()]
    widths = sorted({line['cell'] for line in lines})
    curves = {width: [gain(people, ratio, width) for ratio in RATIOS] for width in widths}
    print(prediction_table(lines, 'measured' if measured else 'paper'), readings_table(lines), sep='\n')
    print(f"The model has H's PCKh@0.1 within 1 point in {agreement(lines, 1)} of {len(lines)} rows, within 2 in "
          f'{agreement(lines, 2)}.')
    if arguments.json:
        write_json(arguments.json, {'data': data_name(arguments.data), 'split': arguments.split, 'rows': lines,
                                    'gain': {'ratio': RATIOS.tolist(), 'by width': curves}})
    if arguments.picture:
        draw_gain(arguments.picture, curves, lines if measured else ())


if __name__ == '__main__':
    run(main)
