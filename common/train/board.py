"""TensorBoard's scalars, written at once: no queue and no thread that a full disk or a lost /dev/shm could block."""
import sys
import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

FOLDER = 'tensorboard'


class Board:
    """The events of a run in its folder. Where they cannot be written, one warning says so, and training goes on."""

    def __init__(self, folder, first_epoch):
        """first_epoch: what an earlier process wrote of this epoch and later ones is to be forgotten."""
        self._path, self._writer = Path(folder) / FOLDER, None
        self._try(self._open, first_epoch)

    def add(self, epoch, values):
        """Write the numbers among {name: value} of an epoch."""
        if self._writer:
            self._try(self._write, epoch, values)

    def _open(self, first_epoch):
        self._path.mkdir(exist_ok=True)
        self._writer = EventsWriter(str(self._path / 'events'))
        self._writer.write_event(Event(step=first_epoch, session_log=SessionLog(status=SessionLog.START)))
        self._writer.flush()

    def _write(self, epoch, values):
        for name, value in values.items():
            if isinstance(value, (int, float)):
                self._writer.write_event(Event(wall_time=time.time(), step=epoch, summary=scalar(name, value)))
        self._writer.flush()

    def _try(self, function, *args):
        try:
            function(*args)
        except OSError as error:
            self._writer = None
            print(f'warning: {self._path}: cannot be written ({error.strerror}); training goes on without it',
                  file=sys.stderr)
