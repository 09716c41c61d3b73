"""Samples to batches: threads decode, crop and augment whole batches ahead of the consumer.

Threads suffice because OpenCV releases the interpreter's lock while it decodes and warps. Every random number depends
on nothing but the seed, the epoch and the sample, so neither the number of threads nor a resumed run changes a batch.
"""
import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Iterator, NamedTuple

import numpy as np

from common import files, skeleton
from common.data.crop import Augmentation, check, crop_matrix, crop_sample, random_view
from common.data.images import read_image
from common.errors import AnnotationError, InputError, StorageError
from common.runtime import available_cores, stream


class Batch(NamedTuple):
    """B crops with K joints each, as NumPy arrays."""

    images: np.ndarray                        # uint8 (B, H, W, 3) RGB
    joints: np.ndarray                        # float32 (B, K, 2) in input pixels
    visible: np.ndarray                       # float32 (B, K), 1 where a joint carries loss
    keys: np.ndarray                          # float32 (B,) in [0, 1), a random number for each crop, from which the
                                              # device makes its own
    matrices: np.ndarray                      # float64 (B, 2, 3), source to input pixels
    indices: np.ndarray                       # int64 (B,) into the samples
    read: np.ndarray                          # bool (B,): false where the image could not be decoded


class Loader:
    """Batches of crops of `samples`, a sequence of `data.crop.Sample` with the same number of joints.

    size: of the crops, (width, height).
    augment: an `Augmentation`, to train: the crops vary, every epoch has an order of its own, and images that cannot be
    decoded are skipped. None, to test: samples come as they are, in their order, and such an image is an InputError.
    seed: (seed, phase), with which the streams of random numbers begin (`runtime.stream`).
    shard: (rank, count) for one of several workers: its part of every epoch. The parts are disjoint and equally long,
    save that the last ones start over with the first samples where `count` does not divide their number.
    threads: by default one for each core this process may use.

    The slot of an image that is skipped holds another one of the batch, or of the one before where it has none that is
    good, without visible joints and marked as not `read`; a warning goes to stderr once for each file, and only where
    there is no batch before either is that an InputError. A file that cannot be read at all is a StorageError in any
    case.
    """

    def __init__(self, samples, size, batch_size, augment=None, seed=(0, 0), shard=(0, 1), threads=None):
        self.samples, self.size, self.batch_size = samples, tuple(size), batch_size
        self.augment, self.seed, self.shard = augment, seed, shard
        self.threads = threads or available_cores()
        self._skipped = set()

    def _share(self):
        """The number of samples in this worker's part of an epoch."""
        return -(-len(self.samples) // self.shard[1])

    def order(self, epoch) -> np.ndarray:
        """Indices of this worker's samples in the order of an epoch, int64."""
        count = len(self.samples)
        order = stream(*self.seed, epoch).permutation(count) if self.augment else np.arange(count)
        rank, workers = self.shard
        return np.resize(order, self._share() * workers)[rank::workers]

    def batches(self, epoch=0, first=0) -> Iterator[Batch]:
        """Iterate over the `Batch`es of an epoch from sample `first`; leaving the loop early stops the threads."""
        order = self.order(epoch)
        starts = range(first, len(order), self.batch_size)
        parts = (order[start:start + self.batch_size] for start in starts)
        with closing(_ahead(partial(self._prepare, epoch), parts, self.threads)) as prepared:
            before = None
            for batch, failures in prepared:
                if not batch.read.any():
                    if before is None and first:                               # as if it had never been interrupted
                        before = self._prepare(epoch, order[max(first - self.batch_size, 0):first])[0]
                    if before is None or not before.images.any():
                        raise InputError('a batch without a single image that can be decoded; the first: '
                                         f'{failures[0][1]}')
                    batch.images[:] = np.resize(before.images, batch.images.shape)
                self._report(failures)
                before = batch
                yield batch

    def _report(self, failures):
        for path, message in failures:
            if path not in self._skipped:
                self._skipped.add(path)
                print(f'warning: {message}; skipped', file=sys.stderr)

    def _prepare(self, epoch, indices):
        """The batch of these samples, and a list of (path, message) for those whose image cannot be decoded."""
        count, joints, (width, height) = len(indices), len(self.samples[0].joints), self.size
        batch = Batch(np.zeros((count, height, width, 3), np.uint8), np.zeros((count, joints, 2), np.float32),
                      np.zeros((count, joints), np.float32), np.zeros(count, np.float32), np.zeros((count, 2, 3)),
                      indices, np.ones(count, bool))
        failures = []
        for slot, index in enumerate(indices):
            try:
                self._fill(batch, slot, epoch)
            except (StorageError, AnnotationError):            # not this photograph's fault: going on would hide that
                raise
            except InputError as error:
                if not self.augment:
                    raise
                batch.read[slot] = False
                failures.append((self.samples[index].image, str(error)))
        if failures and batch.read.any():     # what batch normalisation sees is nothing foreign
            batch.images[~batch.read] = batch.images[np.resize(np.flatnonzero(batch.read), len(failures))]
        return batch, failures

    def _fill(self, batch, slot, epoch):
        """Fill one slot of a batch; where the image cannot be decoded, its key and matrix only."""
        index = int(batch.indices[slot])
        sample = self.samples[index]
        rng = stream(*self.seed, epoch, index)
        batch.keys[slot] = rng.random(dtype=np.float32)
        view, flip_pairs = (random_view(self.augment, rng), self.augment.flip_pairs) if self.augment else ((), ())
        batch.matrices[slot] = matrix = crop_matrix(sample.box, self.size, *view)
        _, batch.joints[slot], batch.visible[slot] = crop_sample(sample, self.size, matrix, flip_pairs,
                                                                 out=batch.images[slot])


def _ahead(function, items, threads):
    """Yield function(item) of every item in order, computed by threads, at most `threads` + 1 items ahead.

    An exception of `function` is raised here in its turn. When the generator is closed, no thread is left.
    """
    items, pending = iter(items), deque()
    pool = ThreadPoolExecutor(threads)
    try:
        pending.extend(pool.submit(function, item) for item in islice(items, threads + 1))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in islice(items, 1))
            yield result
    finally:
        for future in pending:
            future.cancel()
        pool.shutdown()


def training_loader(cfg, samples, phase=0, shard=(0, 1)) -> Loader:
    """Shuffled and augmented batches of samples; images that cannot be decoded are skipped with a warning.

    phase: how many networks this one starts from, each from the one before it: it sees new crops, not theirs once more.
    Samples whose image is not there are left out, and counted in a warning; InputError where none is.
    """
    check(samples, skeleton.of(cfg).joints)
    samples = _with_image(samples)
    if not any(sample.visible.any() for sample in samples):
        raise InputError(f'data.train is {cfg.data.train}: nobody in it has an annotated joint')
    augment = Augmentation(cfg.augment.rotation, cfg.augment.scale, cfg.augment.flip, skeleton.of(cfg).flip_pairs)
    return Loader(samples, cfg.input.size, cfg.train.batch_size, augment, (cfg.train.seed, phase), shard)


def _with_image(samples):
    """The samples whose image is there."""
    images = dict.fromkeys(sample.image for sample in samples)
    absent = {image: None for image in images if not os.path.exists(image)}
    if absent:
        message = f'{next(iter(absent))}: missing ({len(absent)} of {len(images)} images to train on)'
        if len(absent) == len(images):
            raise InputError(message)
        print(f'warning: {message}; they are left out', file=sys.stderr)
    return [sample for sample in samples if sample.image not in absent]


def require_readable(sizes):
    """InputError for the first image that is missing, cannot be read or has another size: at once, not after an hour.

    sizes: {path: (width, height) that an annotation says, or None}.

    JPEGs are decoded at an eighth of their size, by all cores: 3,000 photographs of 500 x 375 pixels take 3 seconds.
    """
    files.require_images(sizes)
    with closing(_ahead(lambda item: read_image(item[0], step=8, announced=item[1]), sizes.items(),
                        available_cores())) as images:
        deque(images, maxlen=0)


def ordered_loader(cfg, samples) -> Loader:
    """Batches of samples in their order, each once; InputError if an image is missing (`files.require_images`)."""
    check(samples, skeleton.of(cfg).joints)
    files.require_images([sample.image for sample in samples])
    return Loader(samples, cfg.input.size, cfg.test.batch_size)
