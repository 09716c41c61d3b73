"""Where a result is from: the data set and whom it annotates, and the project's commit."""
import hashlib
import os
import subprocess
from pathlib import Path
from typing import Optional

import numpy as np

from common import config
from common.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


def data_name(folder) -> str:
    """What a data set is called in results: its folder's own name."""
    return Path(os.path.realpath(folder)).name


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
    is meant (`is_trained_on`).
    """
    if is_trained_on(data, data.valid):
        return
    both = {_identity(s.image, s) for s in train} & {_identity(s.image, s) for s in valid}
    if both:
        raise InputError(f'{len(both)} people of data.valid {data.valid} are in data.train {data.train}, too, such as '
                         f'the one in {Path(min(both).partition("|")[0]).name}: the scores would be of people it was '
                         'trained on')


def is_trained_on(data, split) -> bool:
    """Whether the section `data` of a configuration says by a name that a split is trained on: 'train2014+val2014', or
    'trainval', which holds the validation split."""
    return split in data['train'].split('+') or (split == data['valid'] and 'trainval' in data['train'])


def _identity(image, sample):
    """A person's image and place in it, as text."""
    return f'{image}|{sample.box[0]:.0f},{sample.box[1]:.0f}'


def of_test(cfg, data, split) -> dict:
    """What makes a test's JSON say by itself where it is from (read by `results.collect`)."""
    return {'experiment': cfg.name, 'data': data_name(data), 'split': split, 'commit': commit(),
            'seed': cfg.train.seed, 'config': config.sections(cfg)}


def commit() -> Optional[str]:
    """The project's commit, with -dirty where files were changed since; None outside a git checkout of it."""
    if not (ROOT / '.git').exists():
        return None
    try:
        found = subprocess.run(['git', 'describe', '--always', '--dirty', '--abbrev=40', '--exclude=*'],   # no tag
                               capture_output=True, text=True, cwd=ROOT)
    except OSError:                           # no git here
        return None
    return found.stdout.strip() or None
