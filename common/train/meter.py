"""What an epoch's training comes to: its mean losses and its speed."""
import time

import numpy as np

from common.errors import InputError


class Meter:
    """Mean losses over the images of an epoch seen so far, and how many these are.

    `state` holds the sums, as plain numbers for the checkpoint.
    """
    NAMED = 5                                 # images in a message

    def __init__(self, title, samples, state=None):
        self.title, self._samples = title, samples
        self.state = state or {'steps': 0, 'images': 0, 'sums': [0.0, 0.0]}
        self._start, self._before, self.speed = time.monotonic(), self.images, None

    @property
    def steps(self):
        return self.state['steps']

    @property
    def images(self):
        return self.state['images']

    def add(self, losses, indices):
        """Add one step's losses, as `train_step` returns them, of these samples; InputError if one is not finite."""
        losses = np.concatenate([part.asnumpy() for part in losses], axis=1)[:, :len(indices)]
        self.state['steps'] += 1
        finite = np.isfinite(losses).all(axis=0)
        if not finite.all():
            names = [self._samples[index].image for index in indices[~finite]]
            more = f' and {len(names) - self.NAMED} more' * (len(names) > self.NAMED)
            raise InputError(f'{self.title}, step {self.steps}: the loss of {", ".join(names[:self.NAMED])}{more} is '
                             'not finite')
        self.state['images'] += len(indices)
        self.state['sums'] = [total + float(value) for total, value in zip(self.state['sums'], losses.sum(axis=1))]

    def means(self):
        heatmap_loss, joint_loss = (total / max(1, self.images) for total in self.state['sums'])
        return {'heatmap_loss': heatmap_loss, 'joint_loss': joint_loss}

    def stop(self):
        """Set `speed`: images per second, since this process took the epoch up."""
        self.speed = (self.images - self._before) / max(time.monotonic() - self._start, 1e-3)

    def average(self, total):
        """Make them those of all workers. total: a function that adds up a vector over them."""
        images, *sums, speed = total([self.images, *self.state['sums'], self.speed])
        self.state = {**self.state, 'images': round(images), 'sums': sums}
        self.speed = speed

    def __str__(self):
        return ', '.join(f'{name.replace("_", " ")} {value:.4f}' for name, value in self.means().items())
