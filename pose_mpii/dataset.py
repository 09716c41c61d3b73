"""MPII as the programs of `common` know it: its people, how they are scored, and the paper's figures."""
from pathlib import Path
from typing import Tuple

import numpy as np

from common.data.crop import Sample, fit
from common.dataset import Dataset, People
from common.provenance import ROOT
from pose_mpii import paper
from pose_mpii.layout import annotation_file, ground_truth_file, parts, read_split
from pose_mpii.pckh import FOUND, counted, distances, format_table, pck, rules
from pose_mpii.predictions import prediction_suffix, save_predictions
from pose_mpii.skeleton import JOINTS, SKELETON
from pose_mpii.truth import joined, of_split, unit


def person_box(center, scale, size) -> Tuple[float, float, float, float]:
    """MPII practice: the square (cx, cy, side, side) in 0-based pixels around a person.

    center: 1-based pixels; scale: the person's height / 200 px. The centre moves down by 15 * scale, so that feet are
    in; the side is 200 * 1.25 * scale. For an input `size` (width, height) that is no square it is the box around it.
    """
    side = 200 * 1.25 * scale
    return center[0] - 1, center[1] - 1 + 15 * scale, *fit(side, side, size)


def load_samples(data, split, size, person=SKELETON) -> list:
    """The people of a split, for an input of `size`, as a list of `Sample` in the order of the annotation file.

    person: the `Skeleton` of their joints. A split without joints (test) gives joints that are all invisible.
    InputError as `layout.read_split`.
    """
    return to_samples(data, read_split(data, split, person), size, person)


def to_samples(data, records, size, person=SKELETON) -> list:
    """The `Sample`s of records (`layout.read_split`)."""
    count = len(person.joints)
    unknown = {'joints': np.ones((count, 2)), 'joints_vis': np.zeros(count), 'width': None, 'height': None}
    samples = []
    for record in records:
        record = {**unknown, **record}
        stored = record['width'], record['height']
        samples.append(Sample(str(Path(data) / 'images' / record['image']),
                              person_box(record['center'], record['scale'], size),
                              np.asarray(record['joints'], np.float32) - 1,
                              np.asarray(record['joints_vis'], np.float32), None if None in stored else stored))
    return samples


class Mpii(Dataset):
    """MPII, or any data in its layout (`layout`), with MPII's joints or one's own; AUC decides, of PCKh or `rules`."""

    name, folder, layout = 'mpii', 'data/mpii', 'folder in the MPII layout'
    decides = 'AUC'
    saved_as = '.mat or .json'
    reference = 'this row on MPII, ResNet-50 at 256 x 256 unless it says otherwise'
    released = ROOT / 'models/i1_resnet18.params'

    def __init__(self, person=SKELETON):
        self.skeleton, self.rules = person, rules(person)
        self.metrics = self.rules.metrics
        self.paper = paper.SCORES if person.joints == JOINTS else {}

    def with_skeleton(self, skeleton) -> 'Mpii':
        return type(self)(skeleton)

    def samples(self, source, size) -> list:
        return load_samples(source.data, source.split, size, self.skeleton)

    def people(self, source, size) -> People:
        records = {part: read_split(source.data, part, self.skeleton) for part in parts(source.split)}
        samples = [sample for part in records.values()
                   for sample in to_samples(source.data, part, size, self.skeleton)]
        if 'test' in records and not any('joints' in record and any(record.get('joints_vis', ()))
                                         for record in records['test']):
            return People(samples)
        truth = joined(of_split(source.data, part, self.skeleton, own) for part, own in records.items())
        return People(samples, truth, unit(source.data, source.split, self.skeleton))

    def files(self, source) -> list:
        return [path(source.data, part) for part in parts(source.split)
                for path in (annotation_file, ground_truth_file)]

    def score(self, people, joints, scores) -> dict:
        return pck(joints + 1, *people.truth, self.rules)

    def table(self, result, paper=None) -> str:
        return format_table(result, paper, self.rules)

    def save(self, path, people, joints, scores):
        save_predictions(path, joints + 1)

    def save_path(self, path, source, name) -> str:
        prediction_suffix(path)
        return path

    def counted(self, people) -> np.ndarray:
        return counted(people.truth.visible, self.rules.scored)

    def found(self, people, joints) -> np.ndarray:
        return distances(joints + 1, *people.truth, self.rules) <= FOUND

    def only(self, people, chosen) -> People:
        return people._replace(truth=people.truth._replace(visible=chosen))


MPII = Mpii()
