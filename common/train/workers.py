"""What several devices, and several processes on a distributed kvstore, have to agree on besides gradients."""
import os
import sys
import threading
from contextlib import contextmanager
from itertools import count
from typing import Iterator

import mxnet as mx
from mxnet.base import _LIB, check_call

from common import runtime
from common.errors import InputError
from common.weights import checkpoint

JOIN = 'POSE_JOIN_SECONDS'                    # in the environment: what scripts/train_dist.py has as --join
UNREACHABLE = ("{worker}: the workers' first exchange is not over after {seconds:g} s (--join SECONDS): does a "
               'firewall close ports between two of the hosts, or is the network too slow for it?')


def share_parameters(trainer, store):
    """Give all workers the first one's parameters, and wait for them; after JOIN seconds, the process ends.

    A `gluon.Trainer` does so in its first step, but goes on to the gradients meanwhile: on the CPU nothing in MXNet
    1.9.1 orders the two, and a worker can be given the sum of gradients for a parameter.
    """
    if not isinstance(store, str):
        seconds = float(os.environ.get(JOIN, 120))
        with time_limit(seconds, UNREACHABLE.format(worker=runtime.worker_name(store.rank), seconds=seconds)):
            trainer._init_kvstore()
            trainer._init_params()
            mx.nd.waitall()


@contextmanager
def time_limit(seconds, message) -> Iterator[None]:
    """End the process with a message when what is done here takes longer: for what MXNet would wait for without end."""
    def end():
        print(f'error: {message}', file=sys.stderr, flush=True)
        os._exit(2)                           # the main thread hears no signal while it is in MXNet

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def leaving_the_others(store) -> Iterator[None]:
    """An error within lets this process end: MXNet would wait at its exit for the others, which wait for gradients."""
    try:
        yield
    except BaseException:
        if not isinstance(store, str):
            check_call(_LIB.MXKVStoreSetBarrierBeforeExit(store.handle, 0))
        raise


class SumOverWorkers:
    """Adds up an array over all workers of a kvstore; of one process alone it is the array itself."""
    keys = count(10 ** 6)                     # in the kvstore, above the keys of the trainer's parameters

    def __init__(self, store, example):
        self._store, self._key, (_, self.workers) = store, next(self.keys), runtime.shard(store)
        if self.workers > 1:
            store.init(self._key, example)

    def __call__(self, array):
        if self.workers > 1:
            self._store.pushpull(self._key, array, out=array)
        return array


class Statistics:
    """The running statistics of batch normalisation, which every device of every worker gathers for itself."""

    def __init__(self, net, contexts, store):
        self._parameters = list(checkpoint.statistics(net).values())
        self._contexts = contexts
        self._sum = SumOverWorkers(store, self._flat())

    def _flat(self):
        return mx.nd.concat(*(parameter.data(self._contexts[0]) for parameter in self._parameters), dim=0)

    def average(self):
        """Give every device of every worker the mean of them all, which is also what is saved."""
        if len(self._contexts) > 1:
            for parameter in self._parameters:
                parameter.set_data(parameter._reduce())
        if self._sum.workers > 1:
            mean, start = self._sum(self._flat()) / self._sum.workers, 0
            for parameter in self._parameters:
                end = start + parameter.shape[0]
                parameter.set_data(mean[start:end])
                start = end


class Workers:
    """What the workers of a kvstore tell each other besides gradients and statistics."""

    NUMBERS = 8                               # of a vector, at most

    def __init__(self, store):
        self._rank = runtime.shard(store)[0]
        self._sum = SumOverWorkers(store, mx.nd.zeros(self.NUMBERS))

    def total(self, numbers) -> list:
        """The sum over all workers of a list of numbers."""
        if self._sum.workers == 1:
            return list(numbers)
        vector = mx.nd.array([*numbers, *[0] * (self.NUMBERS - len(numbers))])
        return self._sum(vector).asnumpy()[:len(numbers)].tolist()

    def require_same(self, facts):
        """InputError in a worker of which something is not as it is of the first one.

        facts: (number below 2 ** 24, which float32 holds, of what, what would be right) of each.
        """
        numbers = [number for number, _, _ in facts]
        for (own, what, right), its in zip(facts, self.total([number * (self._rank == 0) for number in numbers])):
            if own != its:
                raise InputError(f'{runtime.worker_name(self._rank)}: has {own} {what}, rank 0 has {its:.0f}; {right}')

    def first(self, validate, net) -> dict:
        """The metrics of an epoch, which the first worker alone computes; all get those that the schedule goes by."""
        shared = ('score', 'validation_loss')
        metrics = validate(net) if self._rank == 0 else dict.fromkeys(shared, 0.0)
        known = [name for name in shared if name in metrics]
        return {**metrics, **dict(zip(known, self.total([metrics[name] for name in known])))}
