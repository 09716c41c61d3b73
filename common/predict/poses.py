"""The poses of the people in images, several people at a time."""
from itertools import chain, islice
from typing import Any, Iterator, NamedTuple, Optional

import numpy as np

from common.data.crop import crop_matrix, cut
from common.errors import InputError
from common.predict import boxes, inference

PER_CONTEXT = 8                               # images, and then people, at a time for each device
# A person's mean score below which the network is not sure that there is one. Of i1_resnet18, it is below this for 4 %
# of 400 people of Leeds Sports Pose Extended's validation part (0.81 on average), for 12 % of them in crops of the
# whole photographs (0.72), and for 93 % of 284 crops of the same photographs beside the person (0.16).
UNSURE = 0.45
SAME = 0.5                                    # two boxes are one person's that share this part of the smaller one


class Pose(NamedTuple):
    """A person found in an image."""

    box: tuple                                # (x, y, width, height), what the network was to see
    heatmaps: Optional[np.ndarray]            # (K, h, w), None for regression
    joints: np.ndarray                        # (K, 2) in the image's 0-based pixels
    scores: np.ndarray                        # (K,) in 0..1
    trained: np.ndarray                       # (K,) bool: the joints that the network was ever trained to find
    box_score: Optional[float] = None         # a detector's
    number: int = 0                           # of the person in the image or video

    @property
    def score(self) -> float:
        """The mean score of the joints that were trained."""
        return float(self.scores[self.trained].mean())

    @property
    def sure(self) -> bool:
        """Whether there is a person, as far as the network knows (a regression network never doubts)."""
        return self.score >= UNSURE


class Scene(NamedTuple):
    """An image and the people in it."""

    label: Any                                # a file's name or a frame's number
    image: np.ndarray                         # RGB uint8 (H, W, 3)
    poses: list                               # of `Pose`


def find_poses(cfg, net, images, contexts, at_once=PER_CONTEXT) -> Iterator[Scene]:
    """Yield the `Scene` of each of the images by the configured decoding, few at a time, and all their people together.

    images: (label, RGB uint8 (H, W, 3), `boxes.Boxes`), or None for the boxes where one person fills the image. A box
    is what the network sees: with room around the person, as `boxes.grown` makes it of a tight one.
    InputError where a box is not of its image, and where what the network puts out is not a number.
    """
    images, people = iter(images), at_once * len(contexts)
    for batch in iter(lambda: list(islice(images, people)), []):
        batch = [(label, image, whole(image) if found is None else found) for label, image, found in batch]
        crops = [(label, image, boxes.crop_box(box, image.shape, cfg.input.size, label))
                 for label, image, found in batch for box in found.boxes]
        outputs = chain.from_iterable(_infer(cfg, net, crops[i:i + people], contexts)
                                      for i in range(0, len(crops), people))
        for label, image, found in batch:
            scores = [None] * len(found.boxes) if found.scores is None else found.scores
            yield Scene(label, image, [Pose(tuple(box), *next(outputs), net.trained_joints(), score, number)
                                       for number, (box, score) in enumerate(zip(found.boxes, scores))])


def whole(image) -> boxes.Boxes:
    """One person who fills the image."""
    height, width = image.shape[:2]
    return boxes.Boxes(np.array([[0, 0, width, height]], float))


def _infer(cfg, net, crops, contexts):
    """The heat maps, joints and scores of each of a few (label, image, box); InputError naming one without numbers."""
    images = np.stack([cut(image, box, cfg.input.size) for _, image, box in crops])
    found = inference.find(cfg, net, images, contexts)
    joints = inference.to_source(found.joints, [crop_matrix(box, cfg.input.size) for _, _, box in crops])
    for (label, _, _), points, sure in zip(crops, joints, found.scores):
        if not (np.isfinite(points).all() and np.isfinite(sure).all()):
            raise InputError(f'{label}: what the network finds there is not a number; its parameters are of no use')
    return zip([None] * len(crops) if found.heatmaps is None else found.heatmaps, joints, found.scores)


def surest(poses) -> list:
    """Of poses in boxes that may be anything's (`people.propose`), those of people: each once, where it is surest."""
    sure = [pose for pose in poses if pose.sure]
    if not sure:
        return []
    found = np.array([pose.box for pose in sure])
    areas = found[:, 2:].prod(axis=1)
    shared = boxes.intersection(found[:, None], found) / np.minimum(areas[:, None], areas)
    kept = boxes.suppress(shared > SAME, [pose.score for pose in sure])
    return [sure[index]._replace(number=number) for number, index in enumerate(kept)]


def record(label, pose, names) -> dict:
    """A person as the demo's --json has it; names: of the joints."""
    joints = [{'name': name, 'x': round(float(x), 2), 'y': round(float(y), 2), 'score': round(float(score), 3),
               'trained': bool(trained)}
              for name, (x, y), score, trained in zip(names, pose.joints, pose.scores, pose.trained)]
    return {'image': label, 'person': pose.number, 'box': [round(float(side), 2) for side in pose.box],
            **({} if pose.box_score is None else {'box_score': round(float(pose.box_score), 3)}),
            'score': round(pose.score, 3), 'sure': pose.sure, 'joints': joints}


def doubt(scene) -> str:
    """What is to be said of an image in which nobody is found, or of whom the network is not sure; else ''."""
    unsure = [pose.score for pose in scene.poses if not pose.sure]
    if not scene.poses:
        return 'nobody is found'
    return f'{len(unsure)} of {len(scene.poses)} people are not drawn: the network is not sure that they are there ' \
           f'(mean score {max(unsure):.2f}; {UNSURE} is enough)' if unsure else ''
