"""Videos, cameras and many files in the demo."""
import json
import os
import signal
import struct

import cv2
import numpy as np
import pytest

from common.data import video
from common.errors import InputError
from common.predict import poses
from pose_mpii import demo as program


@pytest.fixture
def shown(experiments, params, monkeypatch):
    """A function that runs the demo with options, of the H1 network at 64 x 64."""
    monkeypatch.setattr(poses, 'UNSURE', 0)   # random parameters are sure of nothing

    def shown(*options):
        argv = ['--cfg', experiments / 'h1.yaml', '--params', params['h1'], '--set', 'input.size=[64, 64]', *options]
        program.main([str(word) for word in argv])
    return shown


def write(path, count=6, shape=(64, 96), rate=10):
    """A video whose frames are bright above and dark below."""
    frame = np.zeros((*shape, 3), np.uint8)
    frame[:shape[0] // 2] = 250, 20, 20
    video.write(path, rate, [frame] * count)
    return path


def turned(path):
    """Have an .mp4 say that it is to be turned by a quarter to the right, as phones do."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b'tkhd') + 4 + 4 + 5 * 4 + 2 * 4 + 4 * 2
    content[matrix:matrix + 36] = struct.pack('>9i', 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


# --- reading and writing -------------------------------------------------------------------------------------------

def test_a_name_with_a_colon_is_no_address(tmp_path, monkeypatch):
    write(tmp_path / 'x.mp4').rename(tmp_path / '12:30.mp4')
    monkeypatch.chdir(tmp_path)
    assert len(list(video.read('12:30.mp4').frames)) == 6


def test_a_video_is_upright(shown, tmp_path):
    shown(turned(write(tmp_path / 'phone.mp4')), '--out', tmp_path / 'out.avi')
    for path in ('phone.mp4', 'out.avi'):
        frame = next(video.read(tmp_path / path).frames)
        assert frame.shape == (96, 64, 3)
        assert np.median(frame[:, 40:, 0]) > 150 > np.median(frame[:, :20, 0])  # what was above is right


@pytest.mark.parametrize('rate, near', [(29.97003, 29.97), (66.66667, 66.67), (240.3456, 240.35), (700.123, 700.1),
                                        (0.05, 0.05)])
def test_a_rate_that_mpeg_4_cannot_hold_is_rounded(tmp_path, rate, near):
    for suffix in ('.mp4', '.avi'):
        read = video.read(write(tmp_path / f'x{suffix}', rate=rate))
        assert read.rate == pytest.approx(near, abs=0.006) and len(list(read.frames)) == 6


def test_a_video_that_ends_early_is_a_warning(shown, tmp_path, capsys):
    path = write(tmp_path / 'x.avi', count=40)
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    shown(path, '--out', tmp_path / 'out.avi')
    count = len(list(video.read(tmp_path / 'out.avi').frames))
    assert 10 < count < 30
    assert f'x.avi: ends after {count} frames of 40 that it announces' in capsys.readouterr().err
    shown(write(tmp_path / 'whole.avi'), '--out', tmp_path / 'out.avi')
    assert 'announces' not in capsys.readouterr().err


def test_a_video_says_how_fast_it_was_and_takes_the_flip_test_only_if_asked(shown, tmp_path, monkeypatch, capsys):
    flips, infer = [], poses.inference.infer
    monkeypatch.setattr(poses.inference, 'infer', lambda cfg, *args: flips.append(cfg.test.flip) or infer(cfg, *args))
    path = write(tmp_path / 'x.mp4')
    for options in ((), ('--flip-test',), ('--set', 'test.flip=true')):
        shown(path, '--out', tmp_path / 'out.mp4', *options)
    assert flips == [False, True, True]
    assert '6 frames in ' in capsys.readouterr().out


def test_people_keep_their_numbers_in_a_video(shown, tmp_path):
    (tmp_path / 'boxes.json').write_text(json.dumps([       # whose order changes from frame to frame
        {'image_id': number, 'bbox': [x, 8, 30, 40], 'score': score} for number in range(6)
        for x, score in ((4, 0.9 - 0.2 * (number % 2)), (56, 0.8))]))
    shown(write(tmp_path / 'x.avi'), '--boxes', tmp_path / 'boxes.json', '--out', tmp_path / 'out.avi',
          '--json', tmp_path / 'x.json')
    found = json.loads((tmp_path / 'x.json').read_text())
    assert len(found) == 12
    assert {(person['person'], person['box'][0] < 40) for person in found} == {(0, True), (1, False)}


# --- cameras and streams -------------------------------------------------------------------------------------------

def test_a_stream_is_written_to_a_video(shown, tmp_path, capsys):
    shown('--camera', write(tmp_path / 'stream.avi'), '--out', tmp_path / 'out.mp4', '--json', tmp_path / 'x.json')
    assert len(list(video.read(tmp_path / 'out.mp4').frames)) == 6 == len(json.loads((tmp_path / 'x.json').read_text()))
    assert ' a second' in capsys.readouterr().out


def test_a_camera_with_a_detectors_file(shown, tmp_path):
    """Its boxes are of frames' numbers."""
    (tmp_path / 'boxes.json').write_text('[{"image_id": 1, "bbox": [8, 8, 40, 40]}]')
    shown('--camera', write(tmp_path / 'stream.avi'), '--boxes', tmp_path / 'boxes.json', '--out', tmp_path / 'out.mp4',
          '--json', tmp_path / 'x.json')
    assert [person['image'] for person in json.loads((tmp_path / 'x.json').read_text())] == [1]


def test_somebody_who_leaves_the_picture_ends_no_video(shown, tmp_path):
    boxes = [{'image_id': frame, 'bbox': [frame * 40, 8, 40, 40]} for frame in range(6)]           # of 96 pixels
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    shown(write(tmp_path / 'x.mp4'), '--boxes', tmp_path / 'boxes.json', '--out', tmp_path / 'out.mp4',
          '--json', tmp_path / 'out.json')
    assert len(list(video.read(tmp_path / 'out.mp4').frames)) == 6
    assert [person['image'] for person in json.loads((tmp_path / 'out.json').read_text())] == [0, 1, 2]


def test_a_number_that_no_camera_has(shown, tmp_path):
    with pytest.raises(InputError, match='--camera 99999999999: no camera or stream'):
        shown('--camera', '99999999999', '--out', tmp_path / 'out.mp4')


def test_ctrl_c_ends_a_camera_and_leaves_its_video(shown, tmp_path, monkeypatch):
    def frames():
        for number in range(100):
            if number == 3:
                os.kill(os.getpid(), signal.SIGINT)
            yield np.zeros((64, 96, 3), np.uint8)
        raise AssertionError('never ended')
    monkeypatch.setattr(video, 'camera', lambda name: video.Video(frames(), 10))
    shown('--camera', '0', '--out', tmp_path / 'out.mp4')
    assert 3 <= len(list(video.read(tmp_path / 'out.mp4').frames)) <= 4


def test_a_window_shows_a_camera_until_q_is_pressed(shown, tmp_path, monkeypatch, capsys):
    pictures = []
    monkeypatch.setenv('DISPLAY', ':0')
    monkeypatch.setattr(cv2, 'imshow', lambda title, picture: pictures.append(picture))
    monkeypatch.setattr(cv2, 'waitKey', lambda milliseconds: ord('q') if len(pictures) == 3 else -1)
    monkeypatch.setattr(cv2, 'destroyAllWindows', lambda: None)
    shown('--camera', write(tmp_path / 'stream.avi'))
    assert len(pictures) == 3 and pictures[0].shape == (64, 96, 3) and '3 frames in ' in capsys.readouterr().out


@pytest.mark.parametrize('options, told', [
    (('--camera', '/dev/video99', '--out', 'x.mp4'), '--camera /dev/video99: no camera or stream'),
    (('--camera', '0', '--out', 'x.png'), '--out x.png: videos are written as .mp4 or .avi'),
    (('--camera', 'in.avi'), 'there is no display here'),
    (('--camera', '0', 'in.avi', '--out', 'x.mp4'), 'or else --camera and nothing of these'),
    (('--out', 'x.mp4'), 'expected photographs, a folder of them or a video'),
    (('in.avi', 'a.png', '--out', 'x.mp4'), 'in.avi: expected one folder, photographs'),
    (('in.avi',), '--out is missing')])
def test_bad_sources(shown, tmp_path, monkeypatch, options, told):
    monkeypatch.chdir(tmp_path)
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    write(tmp_path / 'in.avi')
    cv2.imwrite('a.png', np.zeros((64, 64, 3)))
    with pytest.raises(InputError, match=told):
        shown(*options)
    assert sorted(os.listdir()) == ['a.png', 'in.avi']


# --- many files ----------------------------------------------------------------------------------------------------

def test_several_photographs(shown, tmp_path, capsys):
    for name in ('a.jpg', 'b.png', 'c.bmp'):
        cv2.imwrite(str(tmp_path / name), np.zeros((64, 64, 3)))
    (tmp_path / 'bad.jpg').write_text('no picture')
    shown('--out', tmp_path / 'out', *sorted(tmp_path.glob('*.*')))
    assert sorted(os.listdir(tmp_path / 'out')) == ['a.jpg', 'b.png', 'c.bmp.png']
    assert 'warning: left out: bad.jpg: ' in capsys.readouterr().err


def test_two_photographs_of_one_name(shown, tmp_path):
    for name in ('x/a.jpg', 'y/a.jpg'):
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / name), np.zeros((64, 64, 3)))
    with pytest.raises(InputError, match='a.jpg: given for two different photographs'):
        shown(*tmp_path.glob('*/a.jpg'), '--out', tmp_path / 'out')
    with pytest.raises(InputError, match='would overwrite what is read'):
        shown(tmp_path / 'x', '--out', tmp_path / 'x')


@pytest.mark.parametrize('taken, told', [('out', 'out: cannot create this folder'),
                                         ('out/b.jpg/x', 'b.jpg: cannot be written')])
def test_a_place_that_is_taken_is_said_before_the_network_runs(shown, tmp_path, monkeypatch, taken, told):
    monkeypatch.setattr(poses, 'find_poses', lambda *args: pytest.fail('the network has run'))
    for name in ('a.jpg', 'b.jpg'):
        cv2.imwrite(str(tmp_path / name), np.zeros((64, 64, 3)))
    (tmp_path / taken).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / taken).write_text('mine')
    with pytest.raises(InputError, match=told):
        shown(tmp_path / 'a.jpg', tmp_path / 'b.jpg', '--out', tmp_path / 'out')
    assert (tmp_path / taken).read_text() == 'mine'


def test_photographs_that_are_passed_over_are_named_once(shown, tmp_path, capsys):
    folder = tmp_path / 'in'
    folder.mkdir()
    cv2.imwrite(str(folder / 'a.jpg'), np.zeros((64, 64, 3)))
    for name in ('b.gif', 'c.HEIC', 'd.jfif', 'notes.txt'):
        (folder / name).write_text('x')
    shown(folder, '--out', tmp_path / 'out')
    [warning] = [line for line in capsys.readouterr().err.splitlines() if 'left out' in line]
    assert 'in: left out: b.gif, c.HEIC, d.jfif (what is read: .jpg' in warning
