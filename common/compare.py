"""What several trainings have in common and what not: configuration, scores, curves, predictions beside each other.

    python -m common.compare RUN RUN... [--reach SCORE] [--out DIR]

A RUN is a folder that a training has written, such as output/mpii/table2/h1, or one below results/, of any data set and
anywhere. Tables go to the screen as Markdown: the runs (what their tests were on, and minutes of training alone,
without validation), the keys of the configuration that differ, and the scores of their tests by every decoding. --reach
says after how many epochs and minutes each first had that score on its validation split. --out writes curves.png, the
score after every epoch, and predictions.jpg, the pictures of predictions that the tests have left, beside each other.
"""
import json
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from common import config, files, results
from common.data.images import read_rgb
from common.errors import InputError
from common.guard.rules import check_record, is_count, is_number
from common.predict import visualise
from common.programs import options
from common.programs.cli import run
from common.train import phases, resume
from common.train.run import LOG

IMAGES = {'images': (is_count, 'a whole number')}
CURVES = 'curves.png'
EPOCH = {'score': (is_number, 'a number'), 'images_per_second': (is_number, 'a number')}


class Run(NamedTuple):
    """A training as it has left its folder."""

    label: str                                # the folder, as it was named
    values: dict                              # {'section.key': value} of its configuration
    scores: np.ndarray                        # after every epoch, on its validation split
    minutes: np.ndarray                       # of training, to the end of every epoch; NaN where its result is absent
    test: Optional[dict]                      # its test's JSON
    picture: Path                             # the predictions of its test


def read_run(folder) -> Run:
    """The `Run` in a folder; InputError where there is none."""
    folder = Path(folder)
    if not (folder / LOG).exists():
        raise InputError(f'{folder}: holds no training (it has no {LOG})')
    sections = config.sections(config.load(folder / resume.CONFIG))
    history = read_log(folder / LOG)
    images = np.nan
    if (folder / results.TRAINING).exists():
        result = files.read_object(folder / results.TRAINING)
        check_record(folder / results.TRAINING, 'a result', result, IMAGES, optional=IMAGES)
        images = result.get('images', np.nan)
    seconds = [images / (line['images_per_second'] or np.nan) for line in history]
    test = folder / results.TEST
    values = {f'{section}.{key}': value for section, keys in sections.items() for key, value in keys.items()}
    return Run(str(folder), values, np.array([line['score'] for line in history]), np.cumsum(seconds) / 60,
               results.read(test) if test.exists() else None, folder / phases.PICTURE)


def read_log(path) -> list:
    """The epochs of a log, a dict each; InputError naming the line that is not one."""
    history = []
    for number, line in enumerate(files.read_bytes(path).splitlines(), 1):
        try:
            history.append(json.loads(line))
        except (ValueError, RecursionError):
            raise InputError(f'{path}: line {number} is not JSON') from None
        check_record(path, f'line {number}', history[-1], EPOCH)
    if not history:
        raise InputError(f'{path}: no epoch is finished')
    return history


def runs_table(runs, reach) -> str:
    """A row for each run: its epochs, its best score, and when it had the score `reach` (None: left out)."""
    header = ['run', 'seed', 'tested on', 'epochs', 'minutes', 'best score', 'in epoch'] \
        + ['reached in'] * (reach is not None)
    rows = []
    for one in runs:
        best = int(np.argmax(one.scores))
        tested = ', '.join(one.test[key] for key in ('data', 'split', 'boxes') if key in one.test) if one.test else '-'
        rows.append([f'`{one.label}`', str(one.values['train.seed']), tested, str(len(one.scores)),
                     _shown(one.minutes[-1]), f'{one.scores[best]:.2f}', str(best + 1)])
        if reach is not None:
            there = np.flatnonzero(one.scores >= reach)
            rows[-1].append(f'epoch {there[0] + 1}, minute {_shown(one.minutes[there[0]])}' if there.size else 'never')
    return results.markdown(header, rows)


def _shown(minutes):
    return '-' if np.isnan(minutes) else f'{minutes:.1f}'


def configuration_table(runs) -> str:
    """A row for each key whose value is not the same in all the runs."""
    keys = dict.fromkeys(key for one in runs for key in one.values)
    rows = [[f'`{key}`', *(str(one.values.get(key, '-')) for one in runs)] for key in keys
            if len({str(one.values.get(key)) for one in runs}) > 1]
    return results.markdown(['', *(f'`{one.label}`' for one in runs)], rows) if rows else 'The same configuration.\n'


def scores_table(runs) -> str:
    """A row for each score and decoding of the tests; '-' where a run has none such."""
    found = [_scores(one.test or {}) for one in runs]
    names = dict.fromkeys(name for scores in found for name in scores)
    return results.markdown(['', *(f'`{one.label}`' for one in runs)],
                            [[name, *(f'{scores[name]:.2f}' if name in scores else '-' for scores in found)]
                             for name in names])


def _scores(test):
    """{'AUC, as configured': ., 'AUC, argmax': .} of a test's JSON."""
    metrics = [key for key, value in test.items() if isinstance(value, float) and is_number(value)]
    ways = {'as configured': test, **test.get('decodings', {})}
    return {f'{metric}, {way}': scores[metric] for metric in metrics for way, scores in ways.items()
            if isinstance(scores, dict) and is_number(scores.get(metric))}


def draw(runs, out):
    """Write curves.png, and predictions.jpg where there are pictures, to the folder `out`."""
    epochs = max(len(one.scores) for one in runs)
    curves = {one.label: np.pad(one.scores, (0, epochs - len(one.scores)), constant_values=np.nan) for one in runs}
    visualise.save_curves(out / CURVES, range(1, epochs + 1), curves, 'epoch', 'score on the validation split')
    pictures = {one.label: read_rgb(one.picture) for one in runs if one.picture.exists()}
    if pictures:
        visualise.save(out / phases.PICTURE, visualise.labelled([list(pictures.values())], [list(pictures)], inches=8))


def main(argv=None):
    parser = options.parser(__doc__)
    parser.add_argument('runs', nargs='+', metavar='RUN', help="a training's folder")
    parser.add_argument('--reach', type=float, metavar='SCORE', help='say when each run first had this score')
    parser.add_argument('--out', type=Path, metavar='DIR', help='draw curves and predictions into this folder')
    args = parser.parse_args(argv)
    runs = [read_run(folder) for folder in args.runs]
    if args.out:
        files.check_outputs([args.out / CURVES, args.out / phases.PICTURE], [one.picture for one in runs])
    print(runs_table(runs, args.reach), configuration_table(runs), scores_table(runs), sep='\n')
    if args.out:
        draw(runs, args.out)


if __name__ == '__main__':
    run(main)
