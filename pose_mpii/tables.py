"""Tables 2-7 and Figures 2 and 3 of the paper from results on the disk (`scripts/paper_tables.py`)."""
from functools import lru_cache
from pathlib import Path
from typing import Optional, Tuple

from common import config, files, provenance, results
from common.deploy import complexity
from common.guard.rules import check_record, is_list, is_number, is_number_or_null, is_object, is_text
from common.predict import visualise
from common.predict.decode import HEATMAP_DECODINGS
from common.programs import decodings
from common.results import NOT_RUN, markdown
from common.train.resume import CONFIG
from common.train.run import BEST
from pose_mpii import heatmaps, paper
from pose_mpii.pckh import ALPHAS, GROUPS, METRICS
from pose_mpii.skeleton import JOINTS

TABLE2 = ('h1', 'h2', 'h3', 'r1', 'i1', 'i2', 'i3', 'istar')
FIGURE3 = ('h1', 'r1', 'istar', 'i1')
SETTINGS = {                                     # title, folders (columns) with their headings, methods (rows)
    'table3': ('Table 3: resolution of the image and of the heat maps',
               {letter: f'({letter})' for letter in 'abcd'}, ('h1', 'i1')),
    'table4': ('Table 4: capacity of the network',
               {'resnet18': 'ResNet-18', 'resnet50': 'ResNet-50', 'resnet101': 'ResNet-101'}, ('h1', 'r1', 'i1')),
    'table5': ('Table 5: stages', {f'stages{n}': f'{n}' for n in (1, 2, 3, 4)}, ('h1', 'i1')),
}


def _are_metrics(value):
    return is_object(value, METRICS)


def _are_groups(value):
    return is_object(value, value, is_number_or_null) and value.keys() <= GROUPS.keys()


def _are_modes(value):
    return is_list(value, lambda line: is_object(line, ('share',)) and is_object(line, ('modes',), is_text)
                   and is_object(line, [key for key in HEATMAP_DECODINGS if key in line], _are_metrics))


# What the tables show of a result, as `rules.check_record` takes it: of all, of those on a validation split, and of
# the JSONs beside it.
ALWAYS = {
    'PCKh@0.5': (is_number, 'a number'),
    'joints': (_are_groups, f'numbers under some of {", ".join(GROUPS)}'),
}
VALIDATED = {
    **{metric: (is_number, 'a number') for metric in METRICS},
    'curve': (lambda value: is_list(value, length=len(ALPHAS)), f'{len(ALPHAS)} numbers'),
    'decodings': (lambda value: is_object(value, value, _are_metrics), f'objects with {", ".join(METRICS)}'),
}
BESIDE = {
    'last': (_are_metrics, f'an object with {", ".join(METRICS)}'),
    'local': (lambda value: is_list(value, lambda line: is_object(line, ('beta', 'window', *METRICS))),
              'what pose_mpii/decodings.py wrote'),
    'modes': (_are_modes, 'what pose_mpii/decodings.py wrote'),
}


class Section(results.Section):
    """One family of experiments on one data set in the MPII layout."""

    def score(self, entry, decoding=None) -> str:
        """'PCKh@0.5 / PCKh@0.1 / AUC' of an entry by a decoding, or by the experiment's own."""
        seeds = self.seeds(entry)
        if not seeds and not self.configuration(entry):
            return '-'
        return _scores(seeds if decoding is None else
                       [seed['decodings'].get(decoding) for seed in seeds]) + _whose(seeds)

    def last_score(self, entry) -> str:
        """The same of the last epoch, by the experiment's own decoding, '-' for a result that no training wrote."""
        logs = [seed['path'].with_name(results.TRAINING) for seed in self.seeds(entry)]
        return _scores([_read(log, 'last') if log.exists() else None for log in logs])

    def size(self, entry) -> str:
        """'128 px, 16 x 16': the width of an entry's images, and of its heat maps."""
        cfg = self.configuration(entry)
        width, height = (side * 2 ** cfg.network.deconvolutions // 32 for side in cfg.input.size)
        return f'{cfg.input.size[0]} px, {width} x {height}'

    def complexity(self, entry) -> Tuple[str, str]:
        """(billions of multiply-accumulates, millions of parameters) as counted, as text."""
        count = _count(self.configuration(entry).path)
        return f'{count["multiply_accumulates"] / 1e9:.1f}G', f'{count["parameters"] / 1e6:.0f}M'


@lru_cache(maxsize=None)
def _count(path):
    return complexity.count(config.load(path))


def _read(path, key):
    """What a training or `decodings` wrote under a key of its JSON."""
    content = files.read_object(path)
    check_record(path, 'a result', content, {key: BESIDE[key]})
    return content[key]


def _scores(seeds):
    """Results of the seeds of one network as text; '-' where one is None, as a decoding that the network has not."""
    if not seeds:
        return NOT_RUN
    if None in seeds:
        return '-'
    return ' / '.join(results.mean_and_spread([seed[key] for seed in seeds]) for key in METRICS)


def _whose(seeds):
    """What is to be said where results are of people who were trained on."""
    return ' (trained on them)' * any(provenance.is_trained_on(seed['config']['data'], seed['split']) for seed in seeds)


def _triple(values):
    return ' / '.join(f'{value:.1f}' for value in values)


def table2(section) -> str:
    """A row for each method in the family's folder, or with results; '-' for the paper where it has none such."""
    rows = []
    for method in section.methods('table2', TABLE2):
        entry = f'table2/{method}'
        rows.append([paper.NAMES.get(method, method), section.score(entry), section.last_score(entry),
                     section.score(entry, 'local'), _triple(paper.SCORES[entry]) if entry in paper.SCORES else '-'])
    header = ['', 'ours', 'ours, last epoch', 'ours, local integral', 'paper']
    entries = [f'table2/{method}' for method in section.methods('table2', TABLE2)]
    return section.table('Table 2: methods', entries, header, rows)


def by_decoding(section) -> Optional[str]:
    """Every network with heat maps, those of studies among them, by every decoding; None where there is none.

    Those that were trained on the people whom they are scored on say so.
    """
    rows = [row for name, seeds in section.runs().items() if 'regression' not in seeds[0]['decodings']
            for row in _decoded(name, seeds)]
    return '### Every network\n\n' + markdown(['', *HEATMAP_DECODINGS], rows) if rows else None


def _decoded(name, seeds):
    """A network's row; where its seeds have several betas, one for each, and the first for decodings without beta."""
    betas = {}
    for seed in seeds:
        betas.setdefault(seed['config']['network']['beta'], []).append(seed)

    def row(more, seeds, decodings):
        return [f'`{name}`{more}{_whose(seeds)}', *(_scores([seed['decodings'].get(one) for seed in seeds])
                                                    if one in decodings else '-' for one in HEATMAP_DECODINGS)]
    if len(betas) == 1:
        return [row('', seeds, HEATMAP_DECODINGS)]
    return [row('', seeds, ('argmax', 'quarter')),
            *(row(f', beta {beta:g}', members, ('integral', 'local')) for beta, members in betas.items())]


def studied(section, key, title, table, older=False) -> Optional[str]:
    """What `decodings` found under a key of its JSON, for the networks that have one; None where none has.

    older: there are JSONs from before `decodings` wrote that key, which are left out.
    """
    parts = []
    for name, (seed, *_) in section.runs().items():
        path = seed['path'].with_name('decodings.json')
        if path.exists() and not (older and key not in files.read_object(path)):
            parts.append(f'`{name}` (its `network.beta` is {seed["config"]["network"]["beta"]:g}):\n\n'
                         + table(_read(path, key)))
    return f'### {title}\n\n' + '\n'.join(parts) if parts else None


def settings_table(section, table) -> Optional[str]:
    """Tables 3, 4 and 5; None where the family has none of their experiments."""
    title, columns, methods = SETTINGS[table]
    columns = {key: heading for key, heading in columns.items() if section.configuration(f'{table}/{key}/i1')}
    if not columns:
        return None
    rows, shown = [], []
    for method in dict.fromkeys(name for column in columns for name in section.methods(f'{table}/{column}', methods)):
        entries = [f'{table}/{column}/{method}' for column in columns]
        name, shown = paper.NAMES.get(method, method), shown + entries
        rows.append([name, *map(section.score, entries)])
        if method != 'r1':                    # it has no heat maps
            rows.append([f'{name}, local integral', *(section.score(entry, 'local') for entry in entries)])
        if method in methods:
            rows.append([f'{name}, paper', *(_triple(paper.SCORES[entry]) for entry in entries)])
    rows = [row for row in rows if set(row[1:]) != {'-'}]
    rows.append(['images, heat maps', *(section.size(f'{table}/{column}/i1') for column in columns)])
    for row, name in zip(zip(*(section.complexity(f'{table}/{column}/i1') for column in columns)),
                         ('multiply-accumulates', 'parameters')):
        rows.append([f'I1, {name}', *row])
    printed = [paper.COMPLEXITY.get(f'{table}/{column}') for column in columns]
    if None not in printed:
        rows.append(['paper, FLOPs', *(f'{giga}G' for giga, _ in printed)])
        rows.append(['paper, params', *(f'{mega}M' for _, mega in printed)])
    return section.table(title, shown, ['', *columns.values()], rows)


def table6(section) -> str:
    """Test split: our rows from the server's answers, results with the split `test`; their Head is head and neck."""
    rows, groups = [], [group for group in GROUPS if group != 'Head+neck']
    for name, values in paper.TABLE6.items():
        label = paper.NAMES.get(name.rpartition('/')[2], name)
        rows.append([f'{label}, paper' if label != name else name, *(f'{value:.1f}' for value in values)])
        if section.configuration(name):
            ours = section.seeds(name, 'test')
            scores = [ours[0]['joints'].get(group) for group in groups] + [ours[0]['PCKh@0.5']] if ours else [None] * 8
            rows.append([f'{label}, ours', *(NOT_RUN if value is None else f'{value:.1f}' for value in scores)])
    return section.table('Table 6: PCKh@0.5 on the test split', paper.TABLE6, ['', *groups, 'Mean'], rows, 'test')


def table7(section) -> str:
    rows = []
    for name, (score, size, mega, giga) in paper.TABLE7.items():
        label = paper.NAMES.get(name.rpartition('/')[2], name)
        rows.append([f'{label}, paper' if label != name else name, f'{score}', size, f'{mega}M', f'{giga}G'])
        if section.configuration(name):
            ours = section.seeds(name, 'test')
            counted = section.complexity(name)
            rows.append([f'{label}, ours', f'{ours[0]["PCKh@0.5"]:.1f}' if ours else NOT_RUN,
                         ' x '.join(map(str, section.configuration(name).input.size)), counted[1], counted[0]])
    return section.table('Table 7: accuracy and cost', paper.TABLE7,
                         ['', 'PCKh@0.5', 'image', 'parameters', 'FLOPs (ours: multiply-accumulates)'], rows, 'test')


def figure3(section, path):
    """Draw the PCKh curves of the section's H1, R1, I* and I1 (its first seeds), those that have been run."""
    runs = {method: section.seeds(f'table2/{method}') for method in FIGURE3}
    curves = {paper.NAMES[method].replace('\\', ''): seeds[0]['curve'] for method, seeds in runs.items() if seeds}
    if curves:
        visualise.save_curves(path, ALPHAS, curves, 'alpha (fraction of the head size)', 'PCKh@alpha (%)')


def figure2(section, data, path):
    """Draw the heat maps of the section's H1 and I1, where their best.params are beside their results."""
    runs = [section.seeds(f'table2/{method}') for method in ('h1', 'i1')]
    networks = [(seeds[0]['path'].with_name(CONFIG), seeds[0]['path'].with_name(BEST))
                for seeds in runs if seeds]
    if len(networks) == 2 and all(params.exists() for _, params in networks):
        heatmaps.main(['--data', str(data), '--people', '0,1,2', '--out', str(path),
                       *(str(a) for network in networks for a in ('--network', *network))])


def sections(found) -> list:
    """MPII's sections of what `results.collect` found; InputError for a result that the tables cannot show."""
    return results.sections(_with_joints_of_mpii(found), 'mpii', ALWAYS, VALIDATED, Section)


def write(parts, out, data) -> str:
    """The sections with Tables 2-7, as Markdown; their figures are written into `out`.

    data: folder of the data set to draw Figure 2 on, or None. Figures drawn before are kept.
    """
    return '\n'.join(_write(section, out, data) for section in parts)


def _with_joints_of_mpii(found):
    """What was found without the results of own skeletons, which no table of the paper can take."""
    def fits(result):
        return tuple(result['config']['data'].get('skeleton', {}).get('joints', JOINTS)) == JOINTS

    kept = {data: {name: [one for one in members if fits(one)] for name, members in names.items()}
            for data, names in found.items()}
    return {data: {name: members for name, members in names.items() if members} for data, names in kept.items()}


def _write(section, out, data):
    parts = [section.title, table2(section), *(settings_table(section, table) for table in SETTINGS)]
    if section.configuration('table6/i1'):
        parts += [table6(section), table7(section)]
    stem = f'{section.family}_{section.data}'.strip('_').replace('/', '_')
    pictures = {'Figure 3: PCKh curves': out / f'figure3_{stem}.png',
                'Figure 2: heat maps of H1 and I1': out / f'figure2_{stem}.jpg'}
    figure3(section, pictures['Figure 3: PCKh curves'])
    if data and Path(data).resolve().name == section.data:
        figure2(section, data, pictures['Figure 2: heat maps of H1 and I1'])
    parts += [f'### {title}\n\n![{title}]({path.name})\n' for title, path in pictures.items() if path.exists()]
    return '\n'.join(part for part in parts if part)


def by_other_decodings(section) -> Optional[str]:
    """The section with all of its networks by every decoding, as Markdown; None where it has no heat maps."""
    parts = [by_decoding(section),
             studied(section, 'local', 'The integral by its window and beta', decodings.local_table),
             studied(section, 'modes', 'Decodings where nine tenths of a normalised map lie in 5 x 5 cells (one mode) '
                     'and elsewhere (several)', decodings.modes_table, older=True)]
    return '\n'.join([section.title, *filter(None, parts)]) if any(parts) else None
