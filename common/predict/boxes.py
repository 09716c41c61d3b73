"""Boxes [x, y, width, height] of people, as COCO has them: in pixels, x and y from the edge of the first one."""
import re
from pathlib import Path
from typing import NamedTuple, Optional, Tuple

import numpy as np

from common import files
from common.data.crop import fit
from common.errors import InputError
from common.guard.rules import check_records, is_list, is_number, is_text

PADDING = 1.25                                # a detector's box grows by this factor, as in Simple Baselines
LEAST_SCORE, SAME = 0.5, 0.6                  # of a detector's boxes used, and the IoU above which two are one person's
LEAST_SIDE = 0.001                            # of a box, in pixels: the crop of a smaller one is a single colour
PERSON = 1                                    # the category's id in COCO's own files, in detections and in results


class Boxes(NamedTuple):
    """The people of an image, N of them."""

    boxes: np.ndarray                         # (N, 4), what a network is to see of each
    scores: Optional[np.ndarray] = None       # (N,), a detector's


def parse(text) -> Tuple[float, float, float, float]:
    """'x,y,w,h' as four floats; InputError if it is not that, or empty."""
    try:
        x, y, w, h = (float(part) for part in text.split(','))
    except ValueError:
        x = y = w = h = np.nan
    if not (np.isfinite([x, y, w, h]).all() and min(w, h) >= LEAST_SIDE):
        raise InputError(f'--box {text}: expected x,y,w,h in pixels, such as 275,22,350,575; w and h at least '
                         f'{LEAST_SIDE}')
    return x, y, w, h


def crop_box(box, shape, size, label='') -> Tuple[float, float, float, float]:
    """The least box (cx, cy, w, h), of `common.data.crop`, around `box` that has the proportions of the input's `size`.

    It may reach beyond the image; InputError, which begins with the label of the image (its name or a frame's number),
    if it lies outside, or is more than ten times as large.
    """
    height, width = shape[:2]
    x, y, w, h = box
    if is_outside(box, width, height) or max(w, h) > 10 * max(width, height):
        where = f'frame {label}: ' if isinstance(label, int) else f'{label}: ' * bool(label)
        raise InputError(f'{where}box {x:g},{y:g},{w:g},{h:g}: expected a part of the image, which has '
                         f'{width} x {height} pixels')
    return x + (w - 1) / 2, y + (h - 1) / 2, *fit(w, h, size)


def is_outside(box, width, height) -> bool:
    """Whether a box has nothing in common with an image of this size."""
    x, y, w, h = box
    return x >= width or y >= height or x + w <= 0 or y + h <= 0


def within(found, shape) -> Boxes:
    """`Boxes` without those that have nothing in common with an image (H, W, 3) of this shape."""
    kept = np.array([not is_outside(box, shape[1], shape[0]) for box in found.boxes], bool)
    return Boxes(found.boxes[kept], found.scores[kept])


def grown(boxes) -> np.ndarray:
    """Boxes (N, 4) with the same centres and sides `PADDING` times as long."""
    start, sides = boxes[:, :2], boxes[:, 2:]
    return np.hstack([start - (PADDING - 1) / 2 * sides, PADDING * sides])


# --- overlaps ------------------------------------------------------------------------------------------------------

def intersection(boxes, others) -> np.ndarray:
    """The area that boxes (..., 4), which broadcast, have in common."""
    start = np.maximum(boxes[..., :2], others[..., :2])
    end = np.minimum(boxes[..., :2] + boxes[..., 2:], others[..., :2] + others[..., 2:])
    return np.maximum(end - start, 0).prod(axis=-1)


def iou(boxes, others) -> np.ndarray:
    """Intersection over union of boxes (..., 4) that broadcast."""
    common = intersection(boxes, others)
    return common / (boxes[..., 2:].prod(axis=-1) + others[..., 2:].prod(axis=-1) - common)


def suppress(similar, scores) -> np.ndarray:
    """Drop every detection that is similar to a kept one of a higher score; of equal scores the first is the higher.

    similar: (N, N) bool; scores: (N,). Returns the indices of the kept ones, best first.
    """
    order = np.argsort(-np.asarray(scores), kind='stable')
    differs = ~similar[np.ix_(order, order)]
    keep = np.ones(len(order), bool)
    for index in range(len(order)):
        if keep[index]:
            keep[index + 1:] &= differs[index, index + 1:]
    return order[keep]


def box_nms(boxes, scores, threshold) -> np.ndarray:
    """Drop the boxes (N, 4) whose IoU with a kept one of a higher score is above the threshold.

    Returns the indices of the kept ones, best first; of equal scores (N,) the first index is the higher.
    """
    return suppress(iou(boxes[:, np.newaxis], boxes) > threshold, scores)


def detected(boxes, scores) -> Boxes:
    """Of a detector's boxes (N, 4) and scores (N,) those to use: sure enough, each person once, with space around."""
    sure = scores >= LEAST_SCORE
    boxes, scores = boxes[sure], scores[sure]
    kept = box_nms(boxes, scores, SAME)
    return Boxes(grown(boxes[kept]), scores[kept])


# --- a detector's file ---------------------------------------------------------------------------------------------

_FIELDS = {'bbox': (lambda value: is_list(value, length=4) and min(value[2:]) >= LEAST_SIDE,
                    f'[x, y, width, height] in pixels, the last two at least {LEAST_SIDE}'),
           'image_id': (lambda value: type(value) is int, 'a whole number'),
           'file_name': (is_text, "an image's name"),
           'category_id': (is_number, 'a number'),
           'score': (is_number, 'a number')}


def read(path) -> dict:
    """A detector's file in COCO's result format: {image: `detected`}.

    An image is called by its number (`image_id`) or, where a record has that, by its name (`file_name`). Without a
    category_id a record is of a person, without a score it is sure. InputError where the file is none.
    """
    records = files.read_json(path)
    if not isinstance(records, list):
        raise InputError(f"{path}: expected a list of boxes, in COCO's result format")
    check_records(path, 'box', records, _FIELDS, optional=('file_name', 'image_id', 'category_id', 'score'))
    found = {}
    for index, record in enumerate(records):
        if 'file_name' not in record and 'image_id' not in record:
            raise InputError(f'{path}: box {index} has no "image_id"')
        if record.get('category_id', PERSON) == PERSON:
            found.setdefault(record.get('file_name', record.get('image_id')), []).append(record)
    return {image: detected(np.array([record['bbox'] for record in people], float),
                            np.array([record.get('score', 1) for record in people], float))
            for image, people in found.items()}


def names_of(label) -> tuple:
    """What `read` may call an image: its name, or the number at its end, before the suffix; a frame its number."""
    digits = None if isinstance(label, int) else re.search(r'\d+$', Path(label).stem)
    return (label, int(digits[0])) if digits else (label,)


def of_image(found, label) -> Boxes:
    """What `read` found for an image of a name, or for a frame of a number."""
    nobody = Boxes(np.zeros((0, 4)), np.zeros(0))
    return next((found[name] for name in names_of(label) if name in found), nobody)


# --- from frame to frame -------------------------------------------------------------------------------------------

class Tracks:
    """Numbers for the people of a video: a person keeps the number of the nearest box of the frames just before."""

    REACH, PATIENCE = 0.5, 10                 # in the box's longer side; frames in which a person may not be found

    def __init__(self):
        self._last, self._frame, self._count = {}, 0, 0

    def numbers(self, boxes) -> list:
        """The number of each of the next frame's boxes (N, 4); each is given once, the nearest pair first."""
        self._frame += 1
        self._last = {number: (box, frame) for number, (box, frame) in self._last.items()
                      if self._frame - frame <= self.PATIENCE}
        pairs = sorted((_distance(box, last), index, number) for index, box in enumerate(boxes)
                       for number, (last, _) in self._last.items())
        given = {}
        for distance, index, number in pairs:
            if distance < self.REACH and index not in given and number not in given.values():
                given[index] = number
        for index, box in enumerate(boxes):
            if index not in given:
                given[index], self._count = self._count, self._count + 1
            self._last[given[index]] = box, self._frame
        return [given[index] for index in range(len(boxes))]


def _distance(box, other):
    """From centre to centre, in the other box's longer side."""
    (x, y, w, h), (u, v, width, height) = box, other
    return np.hypot(x + w / 2 - u - width / 2, y + h / 2 - v - height / 2) / max(width, height)
