"""What the programs ask of a data set. `pose_mpii` and `pose_coco` each make one record; a third needs no more.

`experiments/own.md` goes through a data set of one's own, step by step.
"""
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from common import files
from common.errors import InputError
from common.skeleton import Skeleton


class Source(NamedTuple):
    """Where people come from."""

    data: str                                 # the data set's folder
    split: str
    options: dict = {}                        # what `Dataset.source_options` made of the command line


class People(NamedTuple):
    """The people of a split."""

    samples: list                             # of N `data.crop.Sample`
    truth: Any = None                         # what `Dataset.score` compares with; None where the split has none
    about: dict = {}                          # what a result's JSON says of them, such as whose boxes they are


class Dataset:
    """A data set: make a class of it that fills in what stands here, and hand an instance to the programs."""

    name: str                                 # `data.set` of its experiments
    folder: str                               # the default of --data
    layout: str                               # what kind of folder that is, for --help
    skeleton: Skeleton
    metrics: tuple                            # the keys of a result that are printed, logged and in tables
    decides: str                              # that of them by which epochs are compared, higher is better
    saved_as: str = 'JSON'                    # what `save` writes, for --help
    scored: bool = False                      # whether `score` and `save` need the joints' scores
    reference: str = ''                       # what the paper's figures are of
    paper: dict = {}                          # {a table's entry, such as 'table2/i1': the paper's figures by `metrics`}
    released: Optional[Path] = None           # .params of a trained network, its .yaml beside it

    def with_skeleton(self, skeleton) -> 'Dataset':
        """This data set as that of people with a configuration's `Skeleton`; InputError where it has only its own."""
        if skeleton.joints != self.skeleton.joints:
            raise InputError(f'data.skeleton has other joints than {self.name}, whose are '
                             f'{", ".join(self.skeleton.joints)}')
        return self

    def samples(self, source, size) -> list:
        """The `data.crop.Sample`s of a split to train on, for an input of `size` (width, height)."""
        return self.people(source, size).samples

    def people(self, source, size) -> People:
        """The people of a split, for an input of `size` (width, height)."""
        raise NotImplementedError

    def files(self, source) -> list:
        """The files that a split is read from, which no output may overwrite."""
        raise NotImplementedError

    def score(self, people, joints, scores) -> dict:
        """A result, {metric: percent, ...}, of joints (N, K, 2) in 0-based source pixels, and scores (N, K) or None."""
        raise NotImplementedError

    def table(self, result, paper=None) -> str:
        """A result as text, with the paper's figures in a second row."""
        rows = {'ours': [result[metric] for metric in self.metrics], **({'paper': paper} if paper else {})}
        return '\n'.join(f'{name:>5} ' + ', '.join(f'{metric} {value:.1f}' for metric, value in zip(self.metrics, row))
                         for name, row in rows.items())

    def save(self, path, people, joints, scores):
        """Write predictions, as of `score`, to a file: here JSON, the joints' [x, y] for each person."""
        files.write_json(path, joints.round(2).tolist())

    def save_path(self, path, source, name) -> Union[str, Path]:
        """Where --save writes for an experiment's name; InputError for a path that cannot be."""
        return path

    def counted(self, people) -> Optional[np.ndarray]:
        """Which joints the score counts (N, K), and `only` may leave some of out; None where it is not of joints.

        A data set that says it fills in `only`, too, and `found` if it can.
        """
        return None

    def found(self, people, joints) -> Optional[np.ndarray]:
        """Which of the `counted` joints (N, K) these joints, as of `score`, are near enough to, by the first metric.

        None where the data set does not say it.
        """
        return None

    def only(self, people, chosen) -> People:
        """The people with nothing but the joints `chosen` (N, K) to be scored."""
        raise NotImplementedError

    def add_source_options(self, parser):
        """Add the command line's options that say where people come from, besides --data and --split."""

    def source_options(self, args) -> dict:
        """`Source.options` of a parsed command line; InputError for values that cannot be."""
        return {}
