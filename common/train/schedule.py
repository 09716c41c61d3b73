"""The learning rate's schedule: it drops when the loss on the validation set saturates (section 6.1)."""
import math


class Schedule:
    """The rates of a run, one after the other, and its end.

    Without `train.drops`, the next rate is taken once `train.patience` epochs have brought no lower validation loss
    than the lowest so far (with `train.saturates: score`, no better score), and the run ends when that happens at the
    last rate. With drops, the rate changes after these epochs (counted from 1). At most `train.epochs` in all.
    """

    def __init__(self, train, history=()):
        """train: the section of the configuration; history: the epochs, dicts with 'score' and 'validation_loss', that
        a resumed run has behind it. It goes on as if the settings had held from its start, so that it may be given
        others.
        """
        self._train = train
        self.epoch, self._saturations, self._waited, self._best, self._lowest = 0, 0, 0, None, math.inf
        for line in history:
            self.update(line)

    @property
    def rate(self) -> float:
        """The rate of the next epoch."""
        passed = sum(epoch <= self.epoch for epoch in self._train.drops) or self._saturations
        return self._train.rates[min(passed, len(self._train.rates) - 1)]

    @property
    def finished(self) -> bool:
        return self._saturations >= len(self._train.rates) or self.epoch >= self._train.epochs

    def update(self, metrics) -> bool:
        """Take the metrics of the epoch just finished; True if its 'score' (higher is better) is the best so far."""
        self.epoch += 1
        best = self._best is None or metrics['score'] > self._best
        self._best = metrics['score'] if best else self._best
        if self._train.saturates == 'loss' and 'validation_loss' in metrics:
            gained = metrics['validation_loss'] < self._lowest                 # not where it is NaN
            self._lowest = metrics['validation_loss'] if gained else self._lowest
        else:
            gained = best
        self._waited = 0 if gained else self._waited + 1
        if not self._train.drops and self._waited >= self._train.patience:
            self._saturations += 1
            self._waited = 0
        return best
