"""COCO's people as samples for `common`: from the annotations, or from the boxes of a person detector."""
import sys
from collections import Counter, namedtuple

import numpy as np

from common.data.crop import Sample, fit
from common.errors import InputError
from pose_coco.layout import PERSON, read_detections, read_split
from pose_coco.nms import by_image, suppress
from pose_coco.skeleton import JOINTS

PADDING = 1.25                                # the box grows by this factor, as in Simple Baselines

People = namedtuple('People', 'samples image_ids areas box_scores')
People.__doc__ = """N people: what the network sees of them, and what results need beside it.

samples: N `common.crop.Sample`; image_ids: (N,) int64; areas: (N,) float64, of the samples' boxes in pixels^2, by
which Simple Baselines and MMPose scale the OKS of two detections; box_scores: (N,) float64, 1 for annotated boxes."""


def person_box(bbox, size):
    """The box (cx, cy, w, h) around COCO's [x, y, width, height] that has the aspect ratio of `size` (width, height).

    The shorter side grows until the ratio fits, then both grow by 1.25. The centre moves by -0.5 from COCO's
    coordinates, where the first pixel begins at 0, to ours, where its centre is at 0.
    """
    x, y, w, h = bbox
    return x + w / 2 - 0.5, y + h / 2 - 0.5, *fit(PADDING * w, PADDING * h, size)


def load_people(data, split, size, boxes=None, score_threshold=0.0, iou_threshold=1.0):
    """The `People` of a split (see `layout.read_split`) for an input of `size` (width, height).

    Without `boxes` they are the annotated ones, save crowds, those without a keypoint and those with a box below a
    pixel. boxes: a detector's file (`layout.read_detections`) instead. Of its people those count that have at least
    the score; of two whose boxes in one image have an IoU above the threshold, the better one (1: both). They have no
    visible joints. InputError where a file cannot be used or nobody is left.
    """
    source = read_split(data, split, keypoints=boxes is None)
    images = {image['id']: image for image in source['images']}
    if boxes is None:
        people = [{**person, 'score': 1.0} for person in source['annotations'] if _is_usable(person)]
        if not people:
            raise InputError(f'{data}: {split} has no person with a keypoint and a box')
    else:
        unknown = [0] * (3 * len(JOINTS))
        people = [{**box, 'keypoints': unknown} for box in _detected(boxes, images, score_threshold, iou_threshold)]
    return _gather(people, images, size)


def _is_usable(person):
    return not person['iscrowd'] and any(person['keypoints'][2::3]) and min(person['bbox'][2:]) >= 1


def _gather(people, images, size):
    keypoints = np.array([person['keypoints'] for person in people], np.float32).reshape(len(people), len(JOINTS), 3)
    visible = (keypoints[..., 2] > 0).astype(np.float32)
    samples = [Sample(images[person['image_id']]['path'], person_box(person['bbox'], size), *labels)
               for person, *labels in zip(people, keypoints[..., :2], visible)]
    return People(samples, np.array([person['image_id'] for person in people], np.int64),
                  np.array([sample.box[2] * sample.box[3] for sample in samples]),
                  np.array([person['score'] for person in people], np.float64))


# --- detections ----------------------------------------------------------------------------------------------------

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
    x, y, w, h = record['bbox']
    if min(w, h) < 1:
        return 'with a box below a pixel'
    if x >= image['width'] or y >= image['height'] or x + w <= 0 or y + h <= 0:
        return 'outside of their image'
    return None


def _distinct(people, threshold):
    """The records without those whose box in the same image is that of a better one."""
    boxes, scores, image_ids = (np.array([person[key] for person in people])
                                for key in ('bbox', 'score', 'image_id'))
    kept = [members[box_nms(boxes[members], scores[members], threshold)] for members in by_image(image_ids)]
    return [people[index] for index in np.sort(np.concatenate(kept))]


def box_nms(boxes, scores, threshold):
    """Drop the boxes (N, 4) whose IoU with a kept one of a higher score is above the threshold.

    Returns the indices of the kept ones, best first; of equal scores (N,) the first index is the higher.
    """
    return suppress(iou(boxes[:, np.newaxis], boxes) > threshold, scores)


def iou(boxes, others):
    """Intersection over union of boxes (..., 4), [x, y, width, height], that broadcast."""
    start = np.maximum(boxes[..., :2], others[..., :2])
    end = np.minimum(boxes[..., :2] + boxes[..., 2:], others[..., :2] + others[..., 2:])
    common = np.maximum(end - start, 0).prod(axis=-1)
    return common / (boxes[..., 2:].prod(axis=-1) + others[..., 2:].prod(axis=-1) - common)
