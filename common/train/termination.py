"""Ending a run in good order when a scheduler (SIGTERM) or the user (Ctrl-C) asks for it."""
import signal
import threading
from typing import Any

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
