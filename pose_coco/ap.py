"""Average precision of keypoints, COCO's metric, by its own evaluation (pycocotools)."""
import io
from contextlib import redirect_stdout

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pose_coco.layout import PERSON

# The columns of Table 8: the mean over OKS thresholds of 0.5, 0.55, ..., 0.95, two of these, and the mean for people
# of 32^2 to 96^2 pixels and for larger ones. Then COCO's average recall in the same order.
COLUMNS = ('AP', 'AP50', 'AP75', 'APM', 'APL')
FIGURES = (*COLUMNS, 'AR', 'AR50', 'AR75', 'ARM', 'ARL')


def average_precision(dataset, records) -> dict:
    """{each of FIGURES: percent, or None where there is nobody of that size}.

    dataset: images and annotations as `layout.read_annotations` or `layout.read_split` return them; records: as of
    `layout.read_results`. As COCO does, the best 20 of an image count.
    """
    # pycocotools takes an annotation with id 0 for no match, so they are numbered anew.
    people = [{**person, 'id': number} for number, person in enumerate(dataset['annotations'], start=1)]
    with redirect_stdout(io.StringIO()):      # it reports every step
        truth = _index(dataset['images'], people)
        # With more than the keypoints in a record, pycocotools would take the person's size from that.
        found = [{key: record[key] for key in ('image_id', 'category_id', 'keypoints', 'score')} for record in records]
        evaluation = COCOeval(truth, truth.loadRes(found) if found else _index(dataset['images'], []), 'keypoints')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {column: 100 * float(value) if value >= 0 else None for column, value in zip(FIGURES, evaluation.stats)}


def _index(images, annotations):
    coco = COCO()
    coco.dataset = {'images': images, 'annotations': annotations, 'categories': [{'id': PERSON, 'name': 'person'}]}
    coco.createIndex()
    return coco


def format_table(result, paper=None) -> str:
    """A result of `average_precision` in columns; `paper`: a second row, the five figures of Table 8."""
    rows = [['', *FIGURES], ['ours', *(_shown(result[figure]) for figure in FIGURES)]]
    if paper:
        rows.append(['paper', *map(_shown, paper)])
    return '\n'.join(' '.join(f'{text:>5}' for text in row) for row in rows)


def _shown(value):
    return '-' if value is None else f'{value:.1f}'
