"""The learning rate's schedule: "1e-3, dropped to 1e-5 when validation saturates" (section 6.1), or fixed drops."""


class Schedule:
    """The rates of a run, one after the other, and its end.

    Without `drops`, the next rate is taken once `patience` epochs have brought no better score than the best so far,
    and the run ends when that happens at the last rate. With `drops`, the rate changes after these epochs (counted
    from 1). At most `epochs` in all. `state` holds everything that changes, as plain numbers for the checkpoint.
    """

    def __init__(self, rates, patience, drops, epochs):
        self._rates, self._patience, self._drops, self._epochs = rates, patience, drops, epochs
        self.state = {'epoch': 0, 'phase': 0, 'waited': 0, 'best': None, 'best_epoch': 0, 'finished': False}

    @property
    def rate(self):
        return self._rates[self.state['phase']]

    def update(self, score):
        """Take the validation score of the epoch just finished (higher is better); True if it is the best so far."""
        s = self.state
        s['epoch'] += 1
        best = s['best'] is None or score > s['best']
        s['waited'] = 0 if best else s['waited'] + 1
        if best:
            s['best'], s['best_epoch'] = score, s['epoch']
        if self._drops:
            s['phase'] = sum(epoch <= s['epoch'] for epoch in self._drops)
        elif s['waited'] >= self._patience:
            s['finished'] = s['phase'] == len(self._rates) - 1
            s['phase'] = min(s['phase'] + 1, len(self._rates) - 1)
            s['waited'] = 0
        s['finished'] = s['finished'] or s['epoch'] >= self._epochs
        return best
