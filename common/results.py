"""The JSON files that tests of networks leave, `test.json`, gathered for tables, and text made of them."""
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from common import config, files
from common.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / 'experiments'
RESULT = 'test.json'
# What `experiment.provenance` writes into every one of them.
PROVENANCE = ('experiment', 'data', 'split', 'commit', 'seed', 'config')
NOT_RUN = 'not run'


def collect(folders):
    """Every `test.json` below the folders: {data set: {experiment: {seed: result}}}.

    A result is the file's dict with its `path`; of one experiment with one seed on one data set, the last folder's
    counts. InputError where a folder is missing, or a file is not such a result.
    """
    found = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f'{folder}: no such folder of results')
        for path in sorted(folder.rglob(RESULT)):
            result = files.read_json(path)
            missing = [key for key in PROVENANCE if not isinstance(result, dict) or key not in result]
            if missing:
                raise InputError(f'{path}: has no "{missing[0]}"; expected a JSON that a training or test wrote')
            seeds = found.setdefault(result['data'], {}).setdefault(result['experiment'], {})
            seeds[result['seed']] = {**result, 'path': path}
    return found


class Section:
    """One family of experiments, a folder below experiments/ such as 'cpu/mpii', with its results on one data set."""

    def __init__(self, family, data, found):
        self.family, self.data = family, data
        self._found = {name: seeds for name, seeds in found.items() if _family(name) == family}

    @property
    def title(self):
        return f'## experiments/{self.family}' + (f' on {self.data}' if self.data else '') + '\n'

    def configuration(self, cell):
        """The configuration of a cell such as 'table3/a/h1', None where the family has no such experiment."""
        path = EXPERIMENTS / self.family / f'{cell}.yaml'
        return _load(path) if path.exists() else None

    def seeds(self, cell):
        """The results of a cell, one a seed."""
        cfg = self.configuration(cell)
        return list(self._found.get(cfg.name, {}).values()) if cfg else []

    def runs(self):
        """{name below the family, such as 'table2/h1' or 'study/h1_more': the results of its seeds}, in that order."""
        return {name[len(self.family) + 1:]: list(seeds.values()) for name, seeds in sorted(self._found.items())}

    def sources(self):
        """What each result is and where it is from, as Markdown; empty where there is none."""
        lines = []
        for name, seeds in sorted(self._found.items()):
            for seed, result in sorted(seeds.items()):
                epochs = result['config']['train']['epochs']
                lines.append(f'- `{name}`, seed {seed}, at most {epochs} epochs, commit {str(result["commit"])[:7]}: '
                             f'`{_shown(result["path"])}`')
        return '### Sources\n\n' + '\n'.join(lines) + '\n' if lines else ''


def sections(found, data_set, section=Section):
    """The sections of what `collect` returned that belong to a data set, such as 'mpii'; the paper's family first.

    section: the class to make. The paper's family, which bears the data set's name, is there even without results.
    """
    families = sorted({(_family(name), data) for data, names in found.items() for name, seeds in names.items()
                       if cell(name) and any(one['config']['data']['set'] == data_set for one in seeds.values())})
    papers = [pair for pair in families if pair[0] == data_set] or [(data_set, '')]
    return [section(family, data, found.get(data, {})) for family, data in dict.fromkeys(papers + families)]


def cell(name):
    """Which cell of which table an experiment is: the name 'cpu/mpii/table2/h1' -> 'table2/h1'; '' if it is none."""
    return name[name.rfind('table'):] if 'table' in name else ''


@lru_cache(maxsize=None)
def _load(path):
    return config.load(path)                  # every cell asks for it, and YAML is slow to read


def _family(name):
    return re.split(r'/(?:table|study)', name)[0]


def _shown(path):
    path = path.resolve()
    return path.relative_to(ROOT) if ROOT in path.parents else path


def mean_and_spread(values):
    """Percentages of several seeds as text: '58.3', or the mean and the standard deviation, '58.3 ± 0.2'.

    '-' where one is None.
    """
    if None in values:
        return '-'
    text = f'{np.mean(values):.1f}'
    return text if len(values) == 1 else f'{text} ± {np.std(values, ddof=1):.1f}'


def by_decoding(scores, keys):
    """{decoding: result} as text, a line for each with these keys of the results."""
    def shown(value):
        return '-' if value is None else f'{value:.2f}'
    return '\n'.join(f'{method:>10}: ' + ', '.join(f'{key} {shown(result[key])}' for key in keys)
                     for method, result in scores.items())


def markdown(header, rows):
    """A Markdown table of texts."""
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in [header, ['---'] * len(header), *rows]) + '\n'
