"""The demo: where it finds people, what it writes, and what is refused."""
import json
import os
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest
from PIL import Image
from runs import full_disk

from common import config
from common.data import video
from common.data.loader import Loader
from common.errors import InputError
from common.predict import inference, poses
from common.programs import demo
from common.programs.cli import run
from pose_mpii import demo as program
from pose_mpii.dataset import load_samples
from pose_mpii.skeleton import JOINTS

TINY = ('input.size=[64, 64]',)


@pytest.fixture
def shown(experiments, params, monkeypatch):
    """A function that runs the demo on an image with options, of the H1 network or another, at 64 x 64.

    Their parameters are random, so that they are sure of nothing: here that is enough.
    """
    monkeypatch.setattr(poses, 'UNSURE', 0)

    def shown(image, *options, network='h1'):
        argv = ['--cfg', experiments / f'{network}.yaml', '--params', params[network], '--set', *TINY, image, *options]
        program.main([str(word) for word in argv])
    return shown


@pytest.fixture
def photograph(tiny_data):
    return tiny_data / 'images' / 'valid_000002.jpg'


def joints_of(path):
    return [np.array([[joint['x'], joint['y']] for joint in entry['joints']]) for entry in json.loads(path.read_text())]


def rgb(path):
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def test_the_program_and_its_page_say_when_a_person_is_not_drawn(root):
    page = (root / 'pose_mpii/demo.md').read_text()
    assert f'mean score is below {poses.UNSURE} ' in demo.__doc__ and f'of at least {poses.UNSURE}.' in page


@pytest.mark.parametrize('network, flip', [('h1', False), ('h1', True), ('r1', False)])
def test_a_photograph_gives_the_joints_of_the_test_program(shown, experiments, params, tiny_data, tmp_path, network,
                                                           flip):
    cfg = config.load(experiments / f'{network}.yaml', [*TINY, f'test.flip={str(flip).lower()}'])
    net = inference.load_network(cfg, params[network], [mx.cpu()])
    samples = load_samples(tiny_data, 'valid', cfg.input.size)[2:3]
    expected = inference.predict(cfg, net, Loader(samples, cfg.input.size, 1), [mx.cpu()], '')[0]

    cx, cy, w, h = samples[0].box
    out, found = tmp_path / 'new' / 'pose.png', tmp_path / 'pose.json'
    shown(samples[0].image, f'--box={cx - (w - 1) / 2:.6f},{cy - (h - 1) / 2:.6f},{w:.6f},{h:.6f}', '--out', out,
          '--json', found, *['--flip-test'] * flip, network=network)
    [entry] = json.loads(found.read_text())
    assert entry['image'] == 'valid_000002.jpg' and [joint['name'] for joint in entry['joints']] == list(JOINTS)
    np.testing.assert_allclose(joints_of(found)[0], expected[cfg.test.decode][0], atol=0.006)

    before, after = rgb(samples[0].image), rgb(out)
    assert before.shape == after.shape
    low, high = joints_of(found)[0].min(axis=0) - 6, joints_of(found)[0].max(axis=0) + 6
    y, x = np.nonzero((before != after).any(axis=2))
    assert len(x) > 10 and low[0] < x.min() and x.max() < high[0] and low[1] < y.min() and y.max() < high[1]


def test_a_photograph_is_upright(shown, photograph, tmp_path):
    tagged = tmp_path / 'phone.jpg'
    with Image.open(photograph) as image:
        exif = image.getexif()
        exif[0x112] = 6                       # a quarter turn clockwise to show it
        image.crop((0, 0, 96, 60)).save(tagged, exif=exif, quality=95)
    shown(tagged, '--out', tmp_path / 'out.png')
    assert rgb(tmp_path / 'out.png').shape == (96, 60, 3)


def test_a_folder(shown, photograph, tmp_path):
    folder, out, found = tmp_path / 'in', tmp_path / 'out', tmp_path / 'found.json'
    folder.mkdir()
    image = cv2.imread(str(photograph))
    for index, name in enumerate(('b.jpg', 'a.PNG', 'c.bmp')):
        cv2.imwrite(str(folder / name), image[:, index:])
    (folder / 'notes.txt').write_text('no image')
    shown(folder, '--out', out, '--json', found)
    assert sorted(path.name for path in out.iterdir()) == ['a.PNG', 'b.jpg', 'c.bmp.png']
    assert [entry['image'] for entry in json.loads(found.read_text())] == ['a.PNG', 'b.jpg', 'c.bmp']
    assert rgb(out / 'c.bmp.png').shape == (96, 94, 3)


def test_what_cannot_be_used_in_a_folder_is_left_out_with_a_warning(shown, photograph, tmp_path, capfd):
    folder, out, found = tmp_path / 'in', tmp_path / 'out', tmp_path / 'found.json'
    folder.mkdir()
    (folder / 'a.jpg').write_text('no picture')
    cv2.imwrite(str(folder / 'b.jpg'), cv2.imread(str(photograph))[:, :20])
    (folder / 'c.jpg').write_bytes(photograph.read_bytes())
    shown(folder, '--out', out, '--json', found, '--box', '30,0,60,96')
    assert [path.name for path in out.iterdir()] == ['c.jpg']
    assert [entry['image'] for entry in json.loads(found.read_text())] == ['c.jpg']
    warnings = [line for line in capfd.readouterr().err.splitlines() if 'left out' in line]
    assert len(warnings) == 2 and 'a.jpg: not an image' in warnings[0] and 'b.jpg: box 30,0,60,96' in warnings[1]
    (folder / 'c.jpg').unlink()
    with pytest.raises(InputError, match='none of its 2 photographs can be used'):
        shown(folder, '--out', out, '--box', '30,0,60,96')


@pytest.mark.parametrize('suffix', ['.avi', '.mp4'])
def test_a_video(shown, tmp_path, suffix):
    source, out, found = tmp_path / f'in{suffix}', tmp_path / f'out{suffix}', tmp_path / 'found.json'
    pictures = [np.full((80, 64, 3), 20 + 10 * index, np.uint8) for index in range(20)]
    video.write(source, 12.5, pictures)
    shown(source, '--out', out, '--json', found, '--cpus', '2')
    (before, rate), (after, same_rate) = video.read(source), video.read(out)
    before, after = list(before), list(after)
    assert rate == same_rate == 12.5 and len(before) == len(after) == 20
    assert [entry['image'] for entry in json.loads(found.read_text())] == list(range(20))
    for frame, drawn, joints in zip(before, after, joints_of(found)):
        assert abs(np.median(drawn) - np.median(frame)) < 5                     # the frames are in order
        x, y = np.clip(np.round(joints[0]).astype(int), 0, (63, 79))
        around = np.s_[max(y - 3, 0):y + 4, max(x - 3, 0):x + 4]
        assert np.abs(drawn[around].astype(int) - frame[around]).max() > 20
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(['found.json', f'in{suffix}', f'out{suffix}'])


def test_of_a_long_video_nothing_is_kept_that_nobody_asked_for(shown, tmp_path, monkeypatch):
    video.write(tmp_path / 'in.avi', 10, [np.full((80, 64, 3), 90, np.uint8)] * 3)
    kept = []
    monkeypatch.setattr(poses, 'record', lambda *args: kept.append(args))
    shown(tmp_path / 'in.avi', '--out', tmp_path / 'out.avi')
    assert not kept
    shown(tmp_path / 'in.avi', '--out', tmp_path / 'out.avi', '--json', tmp_path / 'found.json')
    assert len(kept) == 3


@pytest.mark.parametrize('text', [
    '#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\nreal.mp4\n#EXT-X-ENDLIST\n',
    'ffconcat version 1.0\nfile real.mp4\n'])
def test_a_list_of_videos_is_none(tmp_path, text):
    video.write(tmp_path / 'real.mp4', 10, [np.zeros((64, 64, 3), np.uint8)] * 3)
    (tmp_path / 'list.mp4').write_text(text)
    with pytest.raises(InputError, match='list.mp4: not a video that can be decoded'):
        video.read(tmp_path / 'list.mp4')


@pytest.mark.parametrize('suffix', ['.mov', '.mkv', '.ts'])
def test_containers_of_video_are_known_by_their_begin(tmp_path, suffix):
    """Whatever the file is called."""
    writer = cv2.VideoWriter(str(tmp_path / f'x{suffix}'), cv2.VideoWriter_fourcc(*'mp4v'), 10, (64, 64))
    for _ in range(5):
        writer.write(np.zeros((64, 64, 3), np.uint8))
    writer.release()
    frames, _ = video.read((tmp_path / f'x{suffix}').rename(tmp_path / 'x.mp4'))
    assert len(list(frames)) == 5


def test_heat_maps_of_a_photograph(shown, photograph, tmp_path):
    shown(photograph, '--out', tmp_path / 'pose.png', '--heatmaps', tmp_path / 'maps.png')
    height, width = rgb(tmp_path / 'maps.png').shape[:2]
    assert height > 800 and width > 800       # 4 x 4 maps


@pytest.mark.parametrize('image, options, told', [
    ('gone.jpg', (), 'gone.jpg: no such file or folder'),
    ('text.txt', (), 'text.txt: expected one folder, photographs ('),
    ('text.jpg', (), 'text.jpg: not an image that can be decoded'),
    ('cut.jpg', (), 'cut.jpg: this JPEG is truncated'),
    ('empty', ('--out', 'x'), 'empty: no image in this folder'),
    ('text.mp4', ('--out', 'x.mp4'), 'text.mp4: not a video that can be decoded'),
    ('text.avi', ('--out', 'x.mp4'), 'text.avi: not a video that can be decoded'),
    ('good.avi', (), '--out out.png: videos are written as .mp4 or .avi'),
    ('good.avi', ('--out', 'x.mp4', '--heatmaps', 'y.png'), '--heatmaps y.png: is for a single photograph'),
    ('good.jpg', ('--out', 'x.gif'), 'x.gif: pictures are written as .png or .jpg'),
    ('good.jpg', ('--out', 'good.jpg'), 'good.jpg: would overwrite what is read'),
    ('good.jpg', ('--out', 'text.txt/x.png'), 'text.txt: cannot create this folder'),
    ('good.jpg', ('--heatmaps', 'y.pdf'), 'y.pdf: pictures are written as'),
    ('good.jpg', ('--json', 'empty'), 'empty: cannot be written'),
    ('good.jpg', ('--box', '1,2,3'), '--box 1,2,3: expected x,y,w,h'),
    ('good.jpg', ('--box', 'a,2,3,4'), '--box a,2,3,4: expected x,y,w,h'),
    ('good.jpg', ('--box', ''), '--box : expected x,y,w,h'),
    ('good.jpg', ('--box', '0,0,nan,5'), '--box 0,0,nan,5: expected x,y,w,h'),
    ('good.jpg', ('--box', '10,10,0,5'), '--box 10,10,0,5: expected x,y,w,h'),
    ('good.jpg', ('--box', '10,10,1e-310,1e-310'), 'such as 275,22,350,575; w and h at least 0.001'),
    ('good.jpg', ('--box', '96,0,20,20'), 'box 96,0,20,20: expected a part of the image, which has 96 x 96 pixels'),
    ('good.jpg', ('--box=-30,0,30,20',), 'box -30,0,30,20: expected a part of the image'),
    ('good.jpg', ('--box', '0,0,1e9,1e9'), 'expected a part of the image')])
def test_bad_input(shown, photograph, tmp_path, monkeypatch, capfd, image, options, told):
    monkeypatch.chdir(tmp_path)
    for name in ('text.txt', 'text.jpg', 'text.mp4', 'text.avi'):
        (tmp_path / name).write_text('no picture')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'good.jpg').write_bytes(photograph.read_bytes())
    (tmp_path / 'cut.jpg').write_bytes(photograph.read_bytes()[:-300])
    video.write(tmp_path / 'good.avi', 10, [np.zeros((64, 64, 3), np.uint8)] * 3)
    with pytest.raises(SystemExit) as end:
        run(lambda: shown(image, '--out', 'out.png', *options))
    lines = [line for line in capfd.readouterr().err.replace('\r', '\n').splitlines() if line.strip()]
    assert end.value.code == 2 and lines[-1].startswith('error: ') and told in lines[-1]
    assert all(line.startswith('demo: ') for line in lines[:-1])                # the progress bar
    assert not (tmp_path / 'out.png').exists() and not (tmp_path / 'x.mp4').exists()


def test_outputs_do_not_take_each_others_place(shown, photograph, tmp_path):
    picture = tmp_path / 'good.jpg'
    picture.write_bytes(photograph.read_bytes())
    for option in ('--heatmaps', '--json'):
        with pytest.raises(InputError, match='good.jpg: would overwrite what is read'):
            shown(picture, '--out', tmp_path / 'x.png', option, picture)
    with pytest.raises(InputError, match='x.png: given for two different outputs'):
        shown(picture, '--out', tmp_path / 'x.png', '--heatmaps', tmp_path / 'x.png')
    assert picture.read_bytes() == photograph.read_bytes()


def test_names_that_are_not_utf8(shown, photograph, tmp_path):
    folder = os.fsencode(tmp_path)
    for suffix in (b'.jpg', b'.mp4'):
        with open(folder + b'/caf\xe9' + suffix, 'wb') as file:
            file.write(photograph.read_bytes())
    shown(os.fsdecode(folder + b'/caf\xe9.jpg'), '--out', tmp_path / 'x.png')
    assert rgb(tmp_path / 'x.png').shape == rgb(photograph).shape
    with pytest.raises(InputError, match='give the video a name without'):
        video.read(Path(os.fsdecode(folder + b'/caf\xe9.mp4')))


@pytest.mark.parametrize('suffix', ['.mp4', '.avi'])
def test_a_video_that_does_not_fit_leaves_the_earlier_one(tmp_path, suffix):
    path, random = tmp_path / f'x{suffix}', np.random.default_rng(0)
    frames = [random.integers(0, 255, (128, 128, 3), np.uint8) for _ in range(30)]
    video.write(path, 10, frames)
    earlier = path.read_bytes()
    with full_disk(len(earlier) // 3), pytest.raises(InputError, match=f'x{suffix}: cannot be written'):
        video.write(path, 10, frames)
    assert path.read_bytes() == earlier and os.listdir(tmp_path) == [path.name]


def test_an_interrupted_folder_leaves_the_joints_of_what_is_drawn(shown, photograph, tmp_path, monkeypatch):
    folder, save = tmp_path / 'in', demo.visualise.save
    folder.mkdir()
    for number in range(3):
        (folder / f'{number}.jpg').write_bytes(photograph.read_bytes())

    def interrupted(path, picture):
        if path.name == '2.jpg':
            raise KeyboardInterrupt
        save(path, picture)
    monkeypatch.setattr(demo.visualise, 'save', interrupted)
    with pytest.raises(KeyboardInterrupt):
        shown(folder, '--out', tmp_path / 'out', '--json', tmp_path / 'x.json')
    assert sorted(os.listdir(tmp_path / 'out')) == ['0.jpg', '1.jpg']
    assert [entry['image'] for entry in json.loads((tmp_path / 'x.json').read_text())][:2] == ['0.jpg', '1.jpg']


def test_a_regression_network_has_no_heat_maps(shown, photograph, tmp_path):
    with pytest.raises(InputError, match='regression network'):
        shown(photograph, '--out', tmp_path / 'x.png', '--heatmaps', tmp_path / 'y.png', network='r1')
