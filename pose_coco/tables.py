"""Table 8 of the paper from results on the disk (`scripts/paper_tables.py`)."""
from common import provenance, results
from common.guard.rules import is_number_or_null, is_object
from common.results import NOBODY, NOT_RUN, markdown, mean_and_spread
from pose_coco import paper
from pose_coco.ap import COLUMNS

# What the table shows of a result, as `rules.check_record` takes it: of all, and of those on a validation split.
ALWAYS = {**{column: (is_number_or_null, 'a number or null') for column in COLUMNS}, **results.BOXES}
VALIDATED = {'decodings': (lambda value: is_object(value, value, _are_scores), f'objects with {", ".join(COLUMNS)}')}


def _are_scores(value):
    return is_object(value, COLUMNS, is_number_or_null)


def sections(found) -> list:
    """COCO's sections of what `results.collect` found; InputError for a result that the table cannot show."""
    return results.sections(found, 'coco', ALWAYS, VALIDATED)


def write(parts) -> str:
    """The sections with their Table 8, as Markdown."""
    return '\n'.join(f'{section.title}\n{table8(section)}' for section in parts)


def table8(section) -> str:
    rows = []
    for name, (backbone, *figures) in paper.TABLE8.items():
        method = name.rpartition('/')[2].upper() if results.entry(name) else ''
        rows.append([f'{method}, paper' if method else name, backbone, 'test-dev', *(f'{v:.1f}' for v in figures)])
        if method:
            rows += _ours(section, name, method)
    known = [name.rpartition('/')[2] for name in paper.SCORES]
    own = [f'table8/{method}' for method in section.methods('table8', known) if method not in known]
    for name in own:
        rows += _ours(section, name, name.rpartition('/')[2])
    if not any(section.results(name) for name in (*paper.SCORES, *own)):
        return f'### Table 8: COCO\n\n{NOBODY}\n'
    return '### Table 8: COCO\n\n' + markdown(['', 'backbone', 'tested on', *COLUMNS], rows)


def _ours(section, entry, method):
    """Rows for each split and source of boxes an entry was tested on, by its own decoding and the local integral."""
    cfg = section.configuration(entry)
    if not cfg:
        return []
    tests = {}
    for result in section.results(entry):
        tests.setdefault((result['split'], result['boxes']), []).append(result)
    rows = []
    for (split, boxes), seeds in tests.items():
        on_them = ' (trained on them)' * provenance.is_trained_on(seeds[0]['config']['data'], split)
        local = [result['decodings']['local'] for result in seeds if _is_of_its_decodings(result)]
        for label, scores in ((f'{method}, ours', seeds), (f'{method}, ours, local integral', local)):
            if scores:
                rows.append([label, _network(seeds[0]['config']), f'{split}, {boxes}{on_them}',
                             *(mean_and_spread([score[column] for score in scores]) for column in COLUMNS)])
    return rows or [[f'{method}, ours', _network(cfg), '', *[NOT_RUN] * len(COLUMNS)]]


def _network(cfg):
    """'ResNet-101 (256 x 256)', of a configuration."""
    return f'{cfg["network"]["backbone"].replace("resnet", "ResNet-")} ({" x ".join(map(str, cfg["input"]["size"]))})'


def _is_of_its_decodings(result):
    """Whether a result has the local integral of the test that its scores are of; an answer of COCO's server has not.

    Its copy of a test's JSON may still hold the decodings of another split.
    """
    found = result.get('decodings', {})
    own = found.get(result['config']['test']['decode'], {})
    return 'local' in found and all(own.get(column) == result[column] for column in COLUMNS)
