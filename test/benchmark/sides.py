"""What is compared: each library in a process of its own, since their OpenMP runtimes disturb one another.

`Side` is the parent's end. Run as a program this file is the other end: it is told a task, builds what the task names,
runs two steps and answers with their outputs; from then on it answers every number of seconds with a measurement.

A task is a dict: side ('ours', or a key of `peers.SIDES`), kind ('train', 'infer', ...), backbone, size, batch, dtype,
beta, sigma, threads, folder (where network.params and network.npz are, the same parameters for us and for the peers)
and for some sides model (an .onnx file).
"""
import subprocess
import sys
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import SimpleNamespace

import numpy as np

JOINTS = 16


class Side:
    """A library at work on a task, in its own process with this environment. Close it, or use it in a `with`.

    first: what its first two steps returned. InputError where the process ends early; its own message precedes that.
    """

    def __init__(self, task, environment):
        from common.errors import InputError  # not above: the peers' processes know nothing of `common`
        self._error = InputError(f'{task["side"]}, {task["kind"]}: its process ended, see above')
        self._connection, other = Pipe()
        self._process = subprocess.Popen([sys.executable, __file__, str(other.fileno())], env=environment,
                                         pass_fds=[other.fileno()], stdout=2)       # libraries print; the table is ours
        other.close()
        self._connection.send(task)
        self.first = self._answer()

    def measure(self, seconds):
        """(seconds a step, peak resident megabytes so far) of as many whole steps as take that time, at least one."""
        self._connection.send(seconds)
        return self._answer()

    def _answer(self):
        try:
            return self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.wait()
            raise self._error from None

    def close(self):
        self._connection.close()              # it ends by itself then
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def batch(task):
    """Images uint8 (B, S, S, 3), joints (B, K, 2) in pixels, visible (B, K), keys (B,): the same for every side."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (task.batch, 8, 8, 3), np.uint8)
    images = coarse.repeat(task.size // 8, axis=1).repeat(task.size // 8, axis=2)
    images[:, ::2, ::3] //= 2
    joints = rng.uniform(0, task.size - 1, (task.batch, JOINTS, 2))
    visible = rng.random((task.batch, JOINTS)) < 0.9
    return images, *(array.astype(np.float32) for array in (joints, visible, rng.random(task.batch)))


def measure(step, seconds):
    start, steps = time.perf_counter(), 0
    while not steps or time.perf_counter() < start + seconds:
        step()
        steps += 1
    return (time.perf_counter() - start) / steps, peak_memory()


def peak_memory():
    """Peak resident megabytes of this process; `getrusage` would know the parent's too, from before the exec."""
    with open('/proc/self/status') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmHWM')) / 1024


def serve(connection):
    """The other end: build, two steps, then measurements until the parent hangs up."""
    task = SimpleNamespace(**connection.recv())
    if task.side == 'ours':
        from ours import KINDS
        step = KINDS[task.kind](task)
    else:
        from peers import SIDES
        step = SIDES[task.side](task)
    connection.send([step(), step()])
    while True:
        try:
            seconds = connection.recv()
        except EOFError:
            return
        connection.send(measure(step, seconds))


if __name__ == '__main__':
    serve(Connection(int(sys.argv[1])))
