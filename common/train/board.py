"""TensorBoard's scalars and pictures, written at once: no queue and no thread that a full disk could block."""
import sys
import time
from pathlib import Path

import cv2
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import scalar

FOLDER = 'tensorboard'
# The groups that scalars are shown in; what is in none of them is a score.
GROUPS = {'losses': ('heatmap_loss', 'joint_loss', 'validation_loss'),
          'training': ('epoch', 'rate', 'images_per_second', 'skipped', 'best')}


class Board:
    """The events of a run in its folder. Where they cannot be written, one warning says so, and training goes on."""

    def __init__(self, folder, first_epoch):
        """first_epoch: what an earlier process wrote of this epoch and later ones is to be forgotten."""
        self._path, self._writer = Path(folder) / FOLDER, None
        self._try(self._open, first_epoch)

    def add(self, epoch, values, picture=None):
        """Write the numbers among {name: value} of an epoch, each in its group, and an RGB picture of predictions."""
        if self._writer:
            self._try(self._write, epoch, values, picture)

    def _open(self, first_epoch):
        self._path.mkdir(exist_ok=True)
        self._writer = EventsWriter(str(self._path / 'events'))
        self._writer.write_event(Event(step=first_epoch, session_log=SessionLog(status=SessionLog.START)))
        self._writer.flush()

    def _write(self, epoch, values, picture):
        summaries = [scalar(f'{_group(name)}/{name}', value) for name, value in values.items()
                     if isinstance(value, (int, float))]
        if picture is not None:
            summaries.append(_image('predictions', picture))
        for summary in summaries:
            self._writer.write_event(Event(wall_time=time.time(), step=epoch, summary=summary))
        self._writer.flush()

    def _try(self, function, *args):
        try:
            function(*args)
        except OSError as error:
            self._writer = None
            print(f'warning: {self._path}: cannot be written ({error.strerror}); training goes on without it',
                  file=sys.stderr)


def _group(name):
    return next((group for group, names in GROUPS.items() if name in names), 'scores')


def _image(name, picture):
    """An RGB image as JPEG, a tenth of the PNG that tensorboardX would make."""
    content = cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
    height, width = picture.shape[:2]
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=content)
    return Summary(value=[Summary.Value(tag=name, image=image)])
