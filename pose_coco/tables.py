"""Table 8 of the paper from results on the disk (`scripts/paper_tables.py`)."""
from common import results
from common.results import NOT_RUN, markdown, mean_and_spread
from pose_coco import paper
from pose_coco.ap import COLUMNS


def write(found):
    """Sections with Table 8, as Markdown, of what `results.collect` found."""
    sections = results.sections(found, 'coco')
    for section in sections:
        section.require((*COLUMNS, 'boxes'), ('decodings',))
    return '\n'.join('\n'.join(part for part in (section.title, table8(section), section.sources()) if part)
                     for section in sections)


def table8(section):
    rows = []
    for name, (backbone, *figures) in paper.TABLE8.items():
        method = name.rpartition('/')[2].upper() if results.cell(name) else ''
        rows.append([f'{method}, paper' if method else name, backbone, 'test-dev', *(f'{v:.1f}' for v in figures)])
        if method:
            rows += _ours(section, name, method)
    return '### Table 8: COCO\n\n' + markdown(['', 'backbone', 'tested on', *COLUMNS], rows)


def _ours(section, cell, method):
    """Rows for each split and source of boxes a cell was tested on, by its own decoding and the local integral."""
    cfg = section.configuration(cell)
    if not cfg:
        return []
    backbone = f'{cfg.network.backbone.replace("resnet", "ResNet-")} ({" x ".join(map(str, cfg.input.size))})'
    tests = {}
    for result in section.results(cell):
        tests.setdefault((result['split'], result['boxes']), []).append(result)
    rows = []
    for (split, boxes), seeds in tests.items():
        local = [result['decodings']['local'] for result in seeds if 'decodings' in result]    # not of COCO's server
        for label, scores in ((f'{method}, ours', seeds), (f'{method}, ours, local integral', local)):
            if scores:
                rows.append([label, backbone, f'{split}, {boxes}',
                             *(mean_and_spread([score[column] for score in scores]) for column in COLUMNS)])
    return rows or [[f'{method}, ours', backbone, '', *[NOT_RUN] * len(COLUMNS)]]
