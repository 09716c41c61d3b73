"""COCO as the programs of `common` know it: people of annotations or of a detector, how they are scored, the paper."""
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple, Optional, Tuple, Union

import numpy as np

from common.data.crop import Sample, fit
from common.dataset import Dataset
from common.errors import InputError
from common.predict.boxes import PADDING, box_nms, is_outside
from pose_coco import paper
from pose_coco.ap import COLUMNS, average_precision, format_table
from pose_coco.layout import (PERSON, annotation_files, has_annotations, read_detections, read_split, results_file,
                              write_results)
from pose_coco.results import by_image, to_records
from pose_coco.skeleton import JOINTS, SKELETON

ANNOTATED = 'annotated boxes'


class People(NamedTuple):
    """N people: what the network sees of them, and what results need beside it."""

    samples: list                             # N `data.crop.Sample`
    image_ids: np.ndarray                     # (N,) int64
    areas: np.ndarray                         # (N,) float64, of the samples' boxes in pixels^2, by which Simple
                                              # Baselines and MMPose scale the OKS of two detections
    box_scores: np.ndarray                    # (N,) float64, 1 for annotated boxes
    truth: Optional[dict] = None              # `layout.read_split`, of an annotated split
    about: dict = {'boxes': ANNOTATED}        # whose boxes they are


def person_box(bbox, size) -> Tuple[float, float, float, float]:
    """The box (cx, cy, w, h) around COCO's [x, y, width, height] that has the aspect ratio of `size` (width, height).

    The shorter side grows until the ratio fits, then both grow by 1.25. The centre moves by -0.5 from COCO's
    coordinates, where the first pixel begins at 0, to ours, where its centre is at 0.
    """
    x, y, w, h = bbox
    return x + w / 2 - 0.5, y + h / 2 - 0.5, *fit(PADDING * w, PADDING * h, size)


def load_people(data, split, size, boxes=None, score_threshold=0.0, iou_threshold=1.0) -> People:
    """The `People` of a split (see `layout.read_split`) for an input of `size` (width, height).

    Without `boxes` they are the annotated ones, save crowds, those without a keypoint and those with a box below a
    pixel. boxes: a detector's file (`layout.read_detections`) instead. Of its people those count that have at least
    the score; of two whose boxes in one image have an IoU above the threshold, the better one (1: both). They have no
    visible joints. InputError where a file cannot be used or nobody is left.
    """
    annotated = has_annotations(data, split)
    if not (annotated or boxes):
        raise InputError(f'{data}: nobody is annotated in {split}; --boxes FILE says where people are')
    source = read_split(data, split, keypoints=annotated)
    images = {image['id']: image for image in source['images']}
    if boxes:
        unknown = [0] * (3 * len(JOINTS))
        people = [{**box, 'keypoints': unknown} for box in _detected(boxes, images, score_threshold, iou_threshold)]
    else:
        people = [{**person, 'score': 1.0} for person in source['annotations'] if _is_usable(person)]
    if not people:
        raise InputError(f'{data}: {split} has no person with a keypoint and a box')
    return _gather(people, images, size)._replace(truth=source if annotated else None,
                                                  about={'boxes': _whose(boxes, score_threshold, iou_threshold)})


def _is_usable(person):
    return not person['iscrowd'] and any(person['keypoints'][2::3]) and min(person['bbox'][2:]) >= 1


def _gather(people, images, size):
    keypoints = np.array([person['keypoints'] for person in people], np.float32).reshape(len(people), len(JOINTS), 3)
    visible = (keypoints[..., 2] > 0).astype(np.float32)
    samples = [_sample(images[person['image_id']], person_box(person['bbox'], size), *labels)
               for person, *labels in zip(people, keypoints[..., :2], visible)]
    return People(samples, np.array([person['image_id'] for person in people], np.int64),
                  np.array([sample.box[2] * sample.box[3] for sample in samples]),
                  np.array([person['score'] for person in people], np.float64))


def _sample(image, box, joints, visible):
    return Sample(image['path'], box, joints, visible, (image['width'], image['height']))


# --- detections ----------------------------------------------------------------------------------------------------

def _whose(boxes, score_threshold, iou_threshold):
    """Whose boxes they are, as results say it."""
    if not boxes:
        return ANNOTATED
    return (Path(boxes).name + f', score >= {score_threshold:g}' * (score_threshold > 0)
            + f', IoU <= {iou_threshold:g}' * (iou_threshold < 1))


def _detected(path, images, score_threshold, iou_threshold):
    """The records of a detections file to use, in its order; those that are of no use are counted in a warning."""
    people = [record for record in read_detections(path)
              if record['category_id'] == PERSON and record['score'] >= score_threshold]
    if not people:
        raise InputError(f'{path}: has no person (category_id {PERSON}) with a score of at least {score_threshold}')
    problems = [_problem(record, images) for record in people]
    counts = ', '.join(f'{count} {problem}' for problem, count in Counter(filter(None, problems)).items())
    people = [record for record, problem in zip(people, problems) if not problem]
    if not people:
        raise InputError(f'{path}: none of its people can be used: {counts}')
    if counts:
        print(f'warning: {path}: people left out: {counts}', file=sys.stderr)
    return people if iou_threshold >= 1 else _distinct(people, iou_threshold)


def _problem(record, images):
    """Why a detection is of no use; None where it is."""
    image = images.get(record['image_id'])
    if image is None:
        return 'in images that the split does not have'
    if min(record['bbox'][2:]) < 1:
        return 'with a box below a pixel'
    if is_outside(record['bbox'], image['width'], image['height']):
        return 'outside of their image'
    return None


def _distinct(people, threshold):
    """The records without those whose box in the same image is that of a better one."""
    boxes, scores, image_ids = (np.array([person[key] for person in people])
                                for key in ('bbox', 'score', 'image_id'))
    kept = [members[box_nms(boxes[members], scores[members], threshold)] for members in by_image(image_ids)]
    return [people[index] for index in np.sort(np.concatenate(kept))]


# --- the data set --------------------------------------------------------------------------------------------------

class Coco(Dataset):
    """COCO, or any data in its layout (`layout`); AP decides."""

    name, folder, layout = 'coco', 'data/coco', "folder in COCO's layout"
    skeleton, metrics, decides, scored = SKELETON, COLUMNS, 'AP', True
    reference, paper = 'ResNet-101 at 256 x 256 on test-dev', paper.SCORES
    saved_as = "a .json, or a folder for a file of the name that COCO's server wants"

    def people(self, source, size) -> People:
        return load_people(source.data, source.split, size, **source.options)

    def files(self, source) -> list:
        return [source.options.get('boxes'), *annotation_files(source.data, source.split)]

    def score(self, people, joints, scores) -> dict:
        return average_precision(people.truth, to_records(people, joints, scores))

    def table(self, result, paper=None) -> str:
        return format_table(result, paper)

    def save(self, path, people, joints, scores):
        records = to_records(people, joints, scores)
        write_results(path, records)
        print(f'{len(records)} poses in {path}')

    def save_path(self, path, source, name) -> Union[str, Path]:
        suffix = Path(path).suffix
        if suffix and suffix != '.json' and not Path(path).is_dir():
            raise InputError(f'{path}: results are written to a .json file, or into a folder')
        return path if suffix == '.json' else results_file(path, source.split, name)

    def add_source_options(self, parser):
        parser.add_argument('--boxes', metavar='FILE', help="a detector's boxes in COCO's result format")
        parser.add_argument('--box-score', type=float, default=0.0, metavar='S',
                            help='use the boxes of at least this score (default: 0)')
        parser.add_argument('--box-iou', type=float, default=1.0, metavar='IOU',
                            help='of two boxes that overlap more than this, use the better one (default: 1, use both)')

    def source_options(self, args) -> dict:
        for name, value, default in (('--box-score', args.box_score, 0), ('--box-iou', args.box_iou, 1)):
            if not 0 <= value <= 1:
                raise InputError(f'{name} {value:g}: expected a number from 0 to 1')
            if value != default and not args.boxes:
                raise InputError(f'{name} {value:g}: is of the boxes that --boxes names')
        return {'boxes': args.boxes, 'score_threshold': args.box_score, 'iou_threshold': args.box_iou}


COCO = Coco()
