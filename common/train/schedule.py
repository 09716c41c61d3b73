"""The learning rate's schedule: "1e-3, dropped to 1e-5 when validation saturates" (section 6.1), or fixed drops."""


class Schedule:
    """The rates of a run, one after the other, and its end.

    Without `drops`, the next rate is taken once `patience` epochs have brought no better score than the best so far,
    and the run ends when that happens at the last rate. With `drops`, the rate changes after these epochs (counted
    from 1). At most `epochs` in all. scores: of the epochs that a resumed run has behind it; it goes on as if these
    settings had held from its start, so that it may be given others.
    """

    def __init__(self, rates, patience, drops, epochs, scores=()):
        self._rates, self._patience, self._drops, self._epochs = rates, patience, drops, epochs
        self.epoch, self._saturations, self._waited, self._best = 0, 0, 0, None
        for score in scores:
            self.update(score)

    @property
    def rate(self):
        """The rate of the next epoch."""
        passed = sum(epoch <= self.epoch for epoch in self._drops) or self._saturations
        return self._rates[min(passed, len(self._rates) - 1)]

    @property
    def finished(self):
        return self._saturations >= len(self._rates) or self.epoch >= self._epochs

    def update(self, score):
        """Take the validation score of the epoch just finished (higher is better); True if it is the best so far."""
        self.epoch += 1
        best = self._best is None or score > self._best
        self._best = score if best else self._best
        self._waited = 0 if best else self._waited + 1
        if not self._drops and self._waited >= self._patience:
            self._saturations += 1
            self._waited = 0
        return best
