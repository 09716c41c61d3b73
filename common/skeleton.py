"""The joints of a person: their names, which of them change places in a mirrored image, and the limbs between them.

A skeleton is a small YAML file, which `data.skeleton` of an experiment names (`pose_mpii/skeleton.yaml`):

    joints: [right ankle, right knee, ..., left wrist]        # in the order of the annotations
    flip_pairs: [[right ankle, left ankle], ...]
    limbs: [[right ankle, right knee], ...]
    optional: [pelvis, thorax]                                # may be left out: joints that not all data have, ...
    detours: [[upper neck, right shoulder], ...]              # ... and limbs that are drawn where these are not shown
    normalised_by: [head top, upper neck]                     # their distance is the unit of errors (PCKh's head size);
                                                              # may be left out: these two, where it has them, or none
    sides: RRRLLL...                                          # right, left or middle; may be left out: by the names
"""
import re
from pathlib import Path
from typing import NamedTuple, Optional, Tuple

from common.errors import InputError
from common.guard import yaml_text
from common.guard.rules import Wrong

KEYS, MORE = ('joints', 'flip_pairs', 'limbs'), ('optional', 'detours', 'normalised_by', 'sides')
PAIRS = ('flip_pairs', 'limbs', 'detours')
HEAD_SIZE = ['head top', 'upper neck']        # what errors are measured by where a skeleton does not say it


class Skeleton(NamedTuple):
    """K joints of a person; pairs hold their indices."""

    joints: Tuple[str, ...]                   # names
    flip_pairs: Tuple[Tuple[int, int], ...]   # joints that change places when the image is mirrored
    limbs: Tuple[Tuple[int, int], ...]        # what is drawn as a line
    optional: Tuple[int, ...] = ()            # joints that not all data have
    detours: Tuple[Tuple[int, int], ...] = () # limbs instead of those of joints in `optional` that are not shown
    normalised_by: Optional[Tuple[int, int]] = None            # the joints whose distance is the unit of errors
    sides: str = ''                           # a letter a joint: the person's right (R), left (L) or middle (M)


def read(path) -> Skeleton:
    """The skeleton in a file; InputError that names it where it holds none."""
    try:
        return from_names(check(yaml_text.read(Path(path))))
    except Wrong as error:
        raise InputError(f'{path}: {error}') from None


def of(cfg) -> Skeleton:
    """The skeleton of a configuration."""
    return from_names(cfg.data.skeleton)


def from_names(tree) -> Skeleton:
    """A skeleton of the file's content, which `check` has passed."""
    index = {name: number for number, name in enumerate(tree['joints'])}
    pairs = {key: tuple(tuple(index[name] for name in pair) for pair in tree.get(key, ())) for key in PAIRS}
    optional = tuple(index[name] for name in tree.get('optional', ()))
    unit = tree.get('normalised_by') or (HEAD_SIZE if {*HEAD_SIZE} <= {*index} else None)
    sides = tree.get('sides') or ''.join(map(_side, tree['joints']))
    return Skeleton(tuple(tree['joints']), optional=optional, sides=sides,
                    normalised_by=unit and tuple(index[name] for name in unit), **pairs)


def used(tree, scored=True) -> list:
    """What of a file's content a network is trained for; scored: and what its scores go by. The rest is drawn."""
    return [tree.get(key) for key in ('joints', 'flip_pairs', *(('optional', 'normalised_by') if scored else ()))]


def _side(name):
    """R or L where a word of a joint's name is right or left, or r or l; else M."""
    said = {word.lower() for word in words(name)}
    return 'R' if said & {'right', 'r'} else 'L' if said & {'left', 'l'} else 'M'


def words(name) -> list:
    """The words of a joint's name: 'LeftAnkle', 'Left_Ankle' and 'Left Ankle' are Left, Ankle; 'LAnkle' is L, Ankle."""
    return re.findall(r'[A-Z]?[^\W_A-Z]+|[A-Z](?=[A-Z][a-z])|[A-Z]+', name)


def check(tree) -> dict:
    """The content of a skeleton's file with nothing else in it; `rules.Wrong` that says what is wrong."""
    if not isinstance(tree, dict) or not set(KEYS) <= set(tree) <= {*KEYS, *MORE}:
        raise Wrong(f'expected {", ".join(KEYS)} and perhaps {", ".join(MORE)}')
    joints = tree['joints']
    if not isinstance(joints, list) or not joints or not all(_is_label(name) for name in joints):
        raise Wrong('joints: expected a list of names')
    if len(set(joints)) < len(joints):
        raise Wrong('joints: a name stands twice')
    for key in PAIRS:
        pairs = tree.get(key, [])
        for pair in pairs if isinstance(pairs, list) else [pairs]:
            if not _is_pair(pair, joints):
                raise Wrong(f'{key}: expected a list of pairs of joints; {yaml_text.shown(pair)} is none')
    left_out = tree.get('optional', [])
    if not isinstance(left_out, list) or not all(map(_is_label, left_out)) or not set(left_out) <= set(joints):
        raise Wrong('optional: expected a list of joints')
    if 'normalised_by' in tree and not _is_pair(tree['normalised_by'], joints):
        raise Wrong('normalised_by: expected two joints')
    sides = tree.get('sides', len(joints) * 'M')
    if not isinstance(sides, str) or len(sides) != len(joints) or not {*sides} <= {*'RLM'}:
        raise Wrong(f'sides: expected {len(joints)} letters R, L or M, one a joint')
    flipped = [name for pair in tree['flip_pairs'] for name in pair]
    if len(set(flipped)) < len(flipped):
        raise Wrong('flip_pairs: a joint stands in two of them')
    return dict(tree)


def _is_pair(value, joints):
    return isinstance(value, list) and len(value) == 2 and all(map(_is_label, value)) and len({*value} & {*joints}) == 2


def _is_label(name):
    return isinstance(name, str) and name.isprintable() and 0 < len(name) <= 80
