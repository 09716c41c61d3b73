"""MPII as the programs of `common` know it: its people, how they are scored, and the paper's figures."""
from pathlib import Path
from typing import Tuple

import numpy as np

from common.data.crop import Sample, fit
from common.dataset import Dataset, People
from common.errors import InputError
from common.provenance import ROOT
from pose_mpii import paper
from pose_mpii.layout import annotation_file, ground_truth_file, read_ground_truth, read_split
from pose_mpii.pckh import METRICS, counted, format_table, pckh
from pose_mpii.predictions import prediction_suffix, save_predictions
from pose_mpii.skeleton import JOINTS, SKELETON


def person_box(center, scale, size) -> Tuple[float, float, float, float]:
    """MPII practice: the square (cx, cy, side, side) in 0-based pixels around a person.

    center: 1-based pixels; scale: the person's height / 200 px. The centre moves down by 15 * scale, so that feet are
    in; the side is 200 * 1.25 * scale. For an input `size` (width, height) that is no square it is the box around it.
    """
    side = 200 * 1.25 * scale
    return center[0] - 1, center[1] - 1 + 15 * scale, *fit(side, side, size)


def load_samples(data, split, size) -> list:
    """The people of a split, for an input of `size`, as a list of `Sample` in the order of the annotation file.

    A split without joints (test) gives joints that are all invisible. InputError as `layout.read_split`.
    """
    unknown = {'joints': np.ones((len(JOINTS), 2)), 'joints_vis': np.zeros(len(JOINTS))}
    samples = []
    for record in read_split(data, split):
        record = {**unknown, **record}
        samples.append(Sample(str(Path(data) / 'images' / record['image']),
                              person_box(record['center'], record['scale'], size),
                              np.asarray(record['joints'], np.float32) - 1,
                              np.asarray(record['joints_vis'], np.float32)))
    return samples


def load_truth(data, split, samples) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ground truth of a split's samples (`layout.read_ground_truth`).

    InputError as there, and where the two files do not hold the same people in the same order: a joint that both have
    lies more than a pixel apart.
    """
    path = ground_truth_file(data, split)
    joints, visible, head_boxes = read_ground_truth(path, len(samples))
    for index, sample in enumerate(samples):
        both = visible[index] & (sample.visible > 0)
        if np.abs(sample.joints[both] + 1 - joints[index, both]).max(initial=0) > 1:
            raise InputError(f'{path}: person {index} has other joints than record {index} of '
                             f'{annotation_file(data, split)}; both should be of one release, in one order')
    return joints, visible, head_boxes


class Mpii(Dataset):
    """MPII, or any data in its layout (`layout`); PCKh decides."""

    name, folder, layout = 'mpii', 'data/mpii', 'folder in the MPII layout'
    skeleton, metrics, decides = SKELETON, METRICS, 'AUC'
    reference, paper = 'ResNet-50 at 256 x 256 on MPII', paper.SCORES
    released = ROOT / 'models/i1_resnet18.params'

    def samples(self, source, size) -> list:
        return load_samples(source.data, source.split, size)

    def people(self, source, size) -> People:
        samples = self.samples(source, size)
        return People(samples, None if source.split == 'test' else load_truth(source.data, source.split, samples))

    def files(self, source) -> list:
        return [annotation_file(source.data, source.split), ground_truth_file(source.data, source.split)]

    def score(self, people, joints, scores) -> dict:
        return pckh(joints + 1, *people.truth)

    def table(self, result, paper=None) -> str:
        return format_table(result, paper)

    def save(self, path, people, joints, scores):
        save_predictions(path, joints + 1)

    def save_path(self, path, source, name) -> str:
        prediction_suffix(path)
        return path

    def counted(self, people) -> np.ndarray:
        return counted(people.truth[1])

    def only(self, people, chosen) -> People:
        joints, _, head_boxes = people.truth
        return people._replace(truth=(joints, chosen, head_boxes))


MPII = Mpii()
