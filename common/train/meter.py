"""What an epoch's training comes to: its mean losses and its speed."""
import time

import numpy as np

from common.errors import InputError


class Meter:
    """Mean losses over the images of an epoch that were read so far, and how many these are.

    `state` holds the sums, as plain numbers for the checkpoint. weights: those of the losses in `LOSSES`, with which
    they come here and without which they are shown; false for one that the method has not.
    """
    LOSSES = 'heatmap_loss', 'joint_loss'
    NAMED = 5                                 # images in a message

    def __init__(self, title, samples, weights=(1.0, 1.0), state=None):
        self.title, self._samples, self._weights = title, samples, dict(zip(self.LOSSES, weights))
        self.state = {'steps': 0, 'images': 0, 'skipped': 0, 'sums': [0.0, 0.0], 'seconds': 0.0, **(state or {})}
        self._clock, self.speed = time.monotonic(), None

    @property
    def steps(self) -> int:
        return self.state['steps']

    @property
    def images(self) -> int:
        return self.state['images']

    @property
    def passed(self) -> int:
        """The number of samples that the epoch has behind it, read or not."""
        return self.images + self.state['skipped']

    def add(self, losses, batch):
        """Add one step's losses, as `train_step` returns them, of a batch; InputError if one is not finite."""
        self._take_time()
        indices = batch.indices
        losses = np.concatenate([part.asnumpy() for part in losses], axis=1)[:, :len(indices)]
        self.state['steps'] += 1
        finite = np.isfinite(losses).all(axis=0)
        if not finite.all():
            names = [self._samples[index].image for index in indices[~finite]]
            more = f' and {len(names) - self.NAMED} more' * (len(names) > self.NAMED)
            raise InputError(f'{self.title}, step {self.steps}: the loss of {", ".join(names[:self.NAMED])}{more} is '
                             'not finite')
        self.state['images'] += int(batch.read.sum())
        self.state['skipped'] += int((~batch.read).sum())
        self.state['sums'] = [total + float(value) for total, value in zip(self.state['sums'], losses.sum(axis=1))]

    def means(self) -> dict:
        """{'heatmap_loss': ., 'joint_loss': .}, without the weights; what the method has not is left out."""
        return {name: total / max(1, self.images) / weight
                for (name, weight), total in zip(self._weights.items(), self.state['sums']) if weight}

    def stop(self):
        """Set `speed`: images per second of training, before the epoch was interrupted, too."""
        self._take_time()
        self.speed = self.images / max(self.state['seconds'], 1e-3)

    def _take_time(self):
        before, self._clock = self._clock, time.monotonic()
        self.state['seconds'] += self._clock - before

    def average(self, total):
        """Make them those of all workers. total: a function that adds up a vector over them."""
        images, skipped, *sums, self.speed = total([self.images, self.state['skipped'], *self.state['sums'],
                                                    self.speed])
        self.state = {**self.state, 'images': round(images), 'skipped': round(skipped), 'sums': sums}

    def __str__(self):
        return ', '.join(f'{name.replace("_", " ")} {value:.4f}' for name, value in self.means().items())
