"""The JSON files that tests of networks leave, `test.json`, gathered for tables, and text made of them."""
import os
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Optional

import numpy as np
from easydict import EasyDict

from common import config, files, skeleton
from common.errors import InputError
from common.guard.rules import check_record, is_list, is_number, is_object, is_text
from common.provenance import ROOT

EXPERIMENTS = ROOT / 'experiments'
TEST, TRAINING = 'test.json', 'result.json'              # of a test, and of the training beside it
# What makes it another result than the others.
IDENTITY = ('data', 'experiment', 'seed', 'split', 'boxes')
NOT_RUN, NOBODY = 'not run', 'Not run.'


# What tables show of a result's configuration.
_SHOWN = {('data', 'set'): is_text, ('data', 'train'): is_text, ('data', 'valid'): is_text,
          ('input', 'size'): lambda value: is_list(value, length=2), ('network', 'backbone'): is_text,
          ('network', 'beta'): is_number, ('train', 'epochs'): is_number, ('test', 'decode'): is_text}


def _is_configuration(value):
    return is_object(value, value, is_object) and all(
        is_good(value.get(section, {}).get(key)) for (section, key), is_good in _SHOWN.items()) \
        and is_object(value['data'].get('skeleton', {})) \
        and is_list(value['data'].get('skeleton', {}).get('joints', []), is_text)


# What `provenance.of_test` writes into every one of them, as `rules.check_record` takes it, whose boxes it was, and
# what came of every decoding.
PROVENANCE = {
    'experiment': (is_text, 'its name'),
    'data': (is_text, 'the name of the data set'),
    'split': (is_text, 'the name of the split'),
    'commit': (lambda value: value is None or is_text(value), 'that of the project, or null'),
    'seed': (lambda value: type(value) is int, 'a whole number'),
    'config': (_is_configuration, 'the resolved configuration, in sections'),
}
BOXES = {'boxes': (is_text, 'where people are from')}
_MORE = {**BOXES, 'decodings': (lambda value: is_object(value, value, is_object), 'an object of objects, by decoding')}


def collect(folders) -> dict:
    """Every `test.json` below the folders: {data set: {experiment: [result, ...]}}, by seeds.

    A result is the file's dict with its `path`; of one experiment with one seed on one split (and boxes), the
    last folder's counts. InputError where a folder is missing, or a file is not such a result.
    """
    last = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f'{folder}: no such folder of results')
        for path in sorted(folder.rglob(TEST)):
            result = read(path)
            identity = tuple(result.get(key) for key in IDENTITY)
            if identity in last:
                print(f'{last[identity]["path"]}: left out, as {path} is of the same experiment, data, split and seed',
                      file=sys.stderr)
            last[identity] = result
    found = {}
    for result in sorted(last.values(), key=lambda result: result['seed']):
        found.setdefault(result['data'], {}).setdefault(result['experiment'], []).append(result)
    return found


def read(path) -> dict:
    """One `test.json` as a dict, with its `path`; InputError where the file is not such a result."""
    result = files.read_object(path)
    check_record(path, 'a result', result, {**PROVENANCE, **_MORE}, optional=_MORE)
    return {**result, 'path': path}


def departures(result, cfg) -> dict:
    """What a result was not configured as `cfg` is: {key: (value, value of cfg)}, save for the seed.

    Keys that are younger than the result have the value that was theirs before (`config.BEFORE`), or are left out, as
    are what changes no score (`config.idle_keys`), and the experiment that it starts from, a path.
    """
    then = {**config.BEFORE, **{f'{section}.{key}': value for section, values in result['config'].items()
                                for key, value in values.items()}}
    ignored = {'train.seed', 'train.start_from', 'test.batch_size', *config.idle_keys(cfg, scored=True)}
    now = {f'{section}.{key}': value for section in result['config'] for key, value in cfg.get(section, {}).items()}
    return {key: (then[key], now[key]) for key in now
            if key in then and then[key] != now[key] and key not in ignored
            and not (key == 'data.skeleton' and skeleton.used(then[key]) == skeleton.used(now[key]))}


class Section:
    """One family of experiments, a folder below experiments/ such as 'cpu/mpii', with its results on one data set."""

    def __init__(self, family, data, found):
        self.family, self.data, self._prefix = family, data, f'{family}/' if family else ''
        self._found = {name: results for name, results in found.items() if _family(name) == family}

    def require(self, always, validated):
        """InputError where a result lacks what a table shows, or it is of another kind.

        always: what all have, as `rules.check_record` takes it; validated: what only those on a validation split need.
        """
        for results in self._found.values():
            for result in results:
                own = result['split'] == result['config']['data']['valid']
                check_record(result['path'], 'a result', result, {**always, **validated}, () if own else validated)

    @property
    def title(self) -> str:
        return f'## experiments/{self.family}' + (f' on {self.data}' if self.data else '') + '\n'

    def configuration(self, entry) -> Optional[EasyDict]:
        """The configuration of an entry such as 'table3/a/h1', None where the family has no such experiment."""
        path = EXPERIMENTS / self.family / f'{entry}.yaml'
        return _load(path) if path.exists() else None

    def results(self, entry) -> list:
        """All the results of an entry: of its seeds, and on every split."""
        cfg = self.configuration(entry)
        return self._found.get(cfg.name if cfg else self._prefix + entry, [])

    def methods(self, table, known=()) -> list:
        """The methods that a table such as 'table2' has in this family: those of `known` in their order, then others.

        They have a file below the family's experiments, or a result.
        """
        own = [path.stem for path in sorted((EXPERIMENTS / self.family / table).glob('*.yaml'))
               if 'base:' in path.read_text(encoding='utf-8')]               # others are lines that these share
        found = [name.rpartition('/')[2] for name in sorted(self._found)
                 if name.rpartition('/')[0] == self._prefix + table]
        here = list(dict.fromkeys(own + found))
        return [method for method in known if method in here] + [method for method in here if method not in known]

    def seeds(self, entry, split=None) -> list:
        """The results of an entry on a split, one a seed; None: those that its training chose its network by."""
        return _on(self.results(entry), split)

    def table(self, title, entries, header, rows, split=None) -> str:
        """A table as Markdown under its title; a line where none of its entries has been run (on a split)."""
        if not any(self.seeds(entry, split) for entry in entries):
            return f'### {title}\n\n{NOBODY}\n'
        return f'### {title}\n\n' + markdown(header, rows)

    def runs(self) -> dict:
        """{name below the family, such as 'table2/h1' or 'study/h1_more': the results of its seeds}, in that order."""
        runs = {name[len(self._prefix):]: _on(results) for name, results in sorted(self._found.items())}
        return {name: seeds for name, seeds in runs.items() if seeds}

    def sources(self) -> str:
        """What each result is and where it is from, as Markdown; empty where there is none."""
        rows = [_source(result) for _, results in sorted(self._found.items()) for result in results]
        header = ['experiment', 'seed', 'epochs, at most', 'commit', 'its scores', 'what its YAML has now']
        return self.title + '\n' + markdown(header, rows) if rows else ''


def _on(results, split=None):
    return [result for result in results if result['split'] == (split or result['config']['data']['valid'])]


def _source(result):
    """A row of the sources: the run, its JSON, and how the experiment's file differs from it now."""
    training = result['path'].with_name(TRAINING)
    commit = (files.read_object(training) if training.exists() else result).get('commit')
    commit, dash, changed = str(commit).partition('-')
    path = EXPERIMENTS / f'{result["experiment"]}.yaml'
    different = departures(result, _load(path)) if path.exists() else {}
    return [f'`{result["experiment"]}`', str(result['seed']), str(result['config']['train']['epochs']),
            f'{commit[:7]}{dash}{changed}', _file(result),
            ', '.join(f'`{key}` {now!r} instead of {was!r}' for key, (was, now) in different.items())]


def _file(result):
    return f'`{_shown(result["path"])}`'


def sections(found, data_set, always, validated, section=Section) -> list:
    """The sections of what `collect` returned that belong to a data set, such as 'mpii'; the paper's family first.

    section: the class to make. The paper's family, which bears the data set's name, is there even without results.
    InputError for a result that lacks what a table shows (`Section.require`).
    """
    families = sorted({(_family(name), data) for data, names in found.items() for name, results in names.items()
                       if entry(name) and any(one['config']['data']['set'] == data_set for one in results)})
    papers = [pair for pair in families if pair[0] == data_set] or [(data_set, '')]
    made = [section(family, data, found.get(data, {})) for family, data in dict.fromkeys(papers + families)]
    for one in made:
        one.require(always, validated)
    return made


def others(found, shown) -> str:
    """The results that are in no section's `sources`, all of which are the text `shown`, as Markdown; '' for none."""
    rows = [[f'`{name}`', result['data'], result['split'], str(result['seed']), result['config']['test']['decode'],
             ', '.join(f'{key} {value:.1f}' for key, value in result.items() if type(value) is float)]
            for names in found.values() for name, runs in sorted(names.items()) for result in runs
            if _file(result) not in shown]
    header = ['experiment', 'data', 'split', 'seed', 'decoding', 'scores']
    return '## Other experiments\n\n' + markdown(header, rows) if rows else ''


def entry(name) -> str:
    """Which entry of which table an experiment is: the name 'cpu/mpii/table2/h1' -> 'table2/h1'; '' if it is none."""
    found = re.search(r'(?:^|/)(table\d.*)', name)
    return found[1] if found else ''


@lru_cache(maxsize=None)
def _load(path):
    return config.load(path)                  # every entry asks for it, and YAML is slow to read


def _family(name):
    return re.split(r'(?:^|/)(?:table\d|study)', name)[0]


def _shown(path):
    path = Path(os.path.realpath(path))
    return path.relative_to(ROOT) if ROOT in path.parents else path


def mean_and_spread(values) -> str:
    """Percentages of several seeds as text: '58.3', or the mean and the standard deviation, '58.3 ± 0.2'.

    '-' where one is None.
    """
    if None in values:
        return '-'
    text = f'{np.mean(values):.1f}'
    return text if len(values) == 1 else f'{text} ± {np.std(values, ddof=1):.1f}'


def by_decoding(scores, keys) -> str:
    """{decoding: result} as text, a line for each with these keys of the results."""
    def shown(value):
        return '-' if value is None else f'{value:.2f}'
    return '\n'.join(f'{method:>10}: ' + ', '.join(f'{key} {shown(result[key])}' for key in keys)
                     for method, result in scores.items())


def markdown(header, rows) -> str:
    """A Markdown table of texts."""
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in [header, ['---'] * len(header), *rows]) + '\n'
