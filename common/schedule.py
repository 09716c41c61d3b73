"""The learning rate's schedule: "1e-3, dropped to 1e-5 when validation saturates" (section 6.1), or fixed drops."""


class Schedule:
    """The rates of a run, one after the other, and its end.

    Without `drops`, the next rate is taken once `patience` epochs have brought no better score than the best so far,
    and the run ends when that happens at the last rate. With `drops`, the rate changes after these epochs (counted
    from 1). At most `epochs` in all. `state` holds everything that changes, as plain numbers for the checkpoint;
    what the configuration decides is not in it, so that a resumed run may be given more epochs or other drops.
    """

    def __init__(self, rates, patience, drops, epochs):
        self._rates, self._patience, self._drops, self._epochs = rates, patience, drops, epochs
        self.state = {'epoch': 0, 'saturations': 0, 'waited': 0, 'best': None, 'best_epoch': 0}

    @property
    def rate(self):
        """The rate of the next epoch."""
        passed = sum(epoch <= self.state['epoch'] for epoch in self._drops) or self.state['saturations']
        return self._rates[min(passed, len(self._rates) - 1)]

    @property
    def finished(self):
        saturated = not self._drops and self.state['saturations'] >= len(self._rates)
        return saturated or self.state['epoch'] >= self._epochs

    def update(self, score):
        """Take the validation score of the epoch just finished (higher is better); True if it is the best so far."""
        s = self.state
        s['epoch'] += 1
        best = s['best'] is None or score > s['best']
        s['waited'] = 0 if best else s['waited'] + 1
        if best:
            s['best'], s['best_epoch'] = score, s['epoch']
        if not self._drops and s['waited'] >= self._patience:
            s['saturations'] += 1
            s['waited'] = 0
        return best
