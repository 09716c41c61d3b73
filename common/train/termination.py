"""Ending a run in good order when a scheduler (SIGTERM) or the user (Ctrl-C) asks for it."""
import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import Any, Iterator

from common.errors import Terminated


class Termination:
    """Within this context the first SIGTERM or Ctrl-C is noted in `signal`; a second one acts as it does elsewhere."""

    def __init__(self, enabled=True):
        self._enabled = enabled and threading.current_thread() is threading.main_thread()
        self._before, self._at_once = {}, False
        self.signal = None

    def __enter__(self):
        if self._enabled:
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_):
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number, frame):
        self.signal = number
        self.__exit__()
        if self._at_once:
            raise Terminated(number, 'while validating')

    def give_up(self, function, *args) -> Any:
        """function(*args), or None as soon as the signal comes: for what is long and can be repeated."""
        self._at_once = True
        try:
            return function(*args)
        except Terminated:
            return None
        finally:
            self._at_once = False


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
