"""Whose annotations a network has seen: digests to compare them by, and people who are in two splits."""
import hashlib
from pathlib import Path

import numpy as np

from common.errors import InputError


def digest(samples) -> str:
    """Of people's images and joints: sixteen hex digits, whatever folder the images are in and whatever the input."""
    found = hashlib.sha256()
    for sample in samples:
        found.update(_identity(Path(sample.image).name, sample).encode())
        found.update(np.concatenate([sample.joints.ravel(), sample.visible]).astype(np.float32).tobytes())
    return found.hexdigest()[:16]


def check_apart(data, train, valid):
    """InputError where somebody of the validation samples is among those to train on, in the same image and place.

    data: the section of the configuration. Where `data.train` says by its name that it holds the validation split, it
    is meant ('trainval', 'train2014+val2014').
    """
    if 'trainval' in data.train or data.valid in data.train.split('+'):
        return
    both = {_identity(s.image, s) for s in train} & {_identity(s.image, s) for s in valid}
    if both:
        raise InputError(f'{len(both)} people of data.valid {data.valid} are in data.train {data.train}, too, such as the '
                         f'one in {Path(min(both).partition("|")[0]).name}: the scores would be of people it was trained on')


def _identity(image, sample):
    """A person's image and place in it, as text."""
    return f'{image}|{sample.box[0]:.0f},{sample.box[1]:.0f}'
