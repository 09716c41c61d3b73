"""TensorBoard's scalars: what is written, and that no fault of the disk stops a training."""
import errno
import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from runs import run
from tensorboardX.proto.event_pb2 import Event

from common import config
from common.train.board import FOLDER, Board
from common.train.meter import Meter
from common.train.run import Run


def events(folder):
    """The events in a folder's files: each record is a length (8 bytes), its checksum (4), the event, its checksum."""
    found = []
    for path in sorted((folder / FOLDER).iterdir()):
        content = path.read_bytes()
        while content:
            length = int.from_bytes(content[:8], 'little')
            found.append(Event.FromString(content[12:12 + length]))
            content = content[16 + length:]
    return found


def test_numbers_are_on_the_disk_at_once(tmp_path):
    board = Board(tmp_path, 3)
    board.add(3, {'AUC': 41.5, 'validation_loss': 2.5, 'rate': 0.5, 'best': True, 'decodings': {}, 'name': 'x'})
    _, start, *scalars = events(tmp_path)
    assert start.step == 3 and start.HasField('session_log')
    assert {event.summary.value[0].tag: event.summary.value[0].simple_value for event in scalars} == {
        'scores/AUC': 41.5, 'losses/validation_loss': 2.5, 'training/rate': 0.5, 'training/best': 1}
    assert all(event.step == 3 for event in scalars)


def test_a_picture_is_one_to_look_at(tmp_path):
    picture = np.full((40, 60, 3), (255, 0, 0), np.uint8)
    Board(tmp_path, 1).add(1, {}, picture)
    image = events(tmp_path)[-1].summary.value[0].image
    shown = cv2.imdecode(np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert (image.height, image.width) == shown.shape[:2] == (40, 60)
    assert shown[20, 30, 2] > 250 and shown[20, 30, 0] < 5


def test_a_disk_that_fails_costs_one_warning(tmp_path, monkeypatch, capsys):
    board = Board(tmp_path, 1)

    def full(_):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(board._writer, 'write_event', full)
    for epoch in (1, 2, 3):
        board.add(epoch, {'score': 1.0})
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'tensorboard: cannot be written (No space left on device); training goes on' in error


def test_a_folder_that_cannot_be_made_costs_one_warning(tmp_path, capsys):
    (tmp_path / FOLDER).touch()
    Board(tmp_path, 1).add(1, {'score': 1.0})
    assert capsys.readouterr().err.count('cannot be written') == 1


@pytest.mark.parametrize('clock', [(100.0, 100.0), (100.0, 90.0)])
def test_a_clock_that_stands_still_or_goes_back_gives_a_speed(monkeypatch, clock):
    times = iter(clock)
    monkeypatch.setattr('common.train.meter.time', SimpleNamespace(monotonic=lambda: next(times)))
    meter = Meter('x', [])
    meter.state['images'] = 10
    meter.stop()
    assert 0 < meter.speed < 1e6


def test_an_epochs_speed_is_that_of_all_its_images_and_seconds():
    meter = Meter('x', [], state={'steps': 1, 'images': 80, 'skipped': 0, 'sums': [8.0, 60.0], 'seconds': 40.0})
    meter.stop()
    assert meter.speed == pytest.approx(2, rel=0.01)


def test_losses_are_shown_without_their_weights_and_only_where_there_are_any():
    meter = Meter('x', [], weights=(1.0, 30.0), state={'steps': 1, 'images': 4, 'skipped': 0, 'sums': [8.0, 60.0]})
    assert meter.means() == {'heatmap_loss': 2.0, 'joint_loss': 0.5}
    assert str(meter) == 'heatmap loss 2.0000, joint loss 0.5000'
    meter = Meter('x', [], weights=(2.0, False), state={'steps': 1, 'images': 4, 'skipped': 0, 'sums': [8.0, 0.0]})
    assert meter.means() == {'heatmap_loss': 1.0}


@pytest.mark.usefixtures('narrow')
def test_an_epoch_says_where_it_stands(tiny_data, tmp_path, capsys):
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=2')
    first, second = [line for line in capsys.readouterr().out.splitlines() if 'table2/h1 epoch ' in line]
    assert re.match(r'cpu/mpii/table2/h1 epoch 1 of 2: rate 0.001, heatmap loss \d+\.\d{4}, \d+\.\d images/s, '
                    r'validation loss \d+\.\d{4}, AUC \d+\.\d\d \(best\), at most \d+ min left$', first)
    assert 'epoch 2 of 2' in second and 'left' not in second and 'joint' not in first


def test_the_time_left_counts_the_part_of_an_epoch_before_it_was_interrupted(root):
    cfg = config.load(root / 'experiments/cpu/mpii/table2/h1.yaml', ['train.epochs=3'])
    resumed = Run.__new__(Run)                # with nothing but what the line on the screen needs
    resumed._cfg, resumed._loader = cfg, SimpleNamespace(samples=[])
    resumed.trainer = SimpleNamespace(set_learning_rate=lambda rate: None)
    resumed.schedule = SimpleNamespace(epoch=0, rate=0.1, finished=False)
    resumed._begun = {'steps': 1, 'images': 80, 'skipped': 0, 'sums': [8.0, 0.0], 'seconds': 600.0}
    resumed.begin_epoch()
    resumed.schedule.epoch = 1
    shown = resumed._shown({'rate': 0.1, 'images_per_second': 1, 'score': 1, 'best': True, 'skipped': 0})
    assert shown.endswith('at most 20 min left')
