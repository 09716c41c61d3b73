"""The generated sample: exact joints, the MPII layout, and the same files every time."""
import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import InputError
from pose_mpii import drawing, sample
from pose_mpii.layout import ground_truth_file, read_ground_truth, read_split
from pose_mpii.sample import annotated, main, write_sample

SIZE = 224


def stream(index):
    return np.random.default_rng([5, index])


def files(folder):
    """Contents by relative path; of .mat files without the header, which holds the date."""
    return {path.relative_to(folder): path.read_bytes()[128 if path.suffix == '.mat' else 0:]
            for path in folder.rglob('*') if path.is_file()}


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sample') / 'set'
    write_sample(folder, train=12, valid=6, seed=3)
    return folder


def test_layout(made):
    splits = {split: read_split(made, split) for split in ('train', 'valid', 'trainval')}
    assert [len(records) for records in splits.values()] == [12, 6, 18]
    assert splits['trainval'] == splits['train'] + splits['valid']
    names = [record['image'] for record in splits['trainval']]
    assert {path.name for path in (made / 'images').iterdir()} == set(names) and len(set(names)) == 18
    assert all(cv2.imread(str(made / 'images' / name)).shape == (SIZE, SIZE, 3) for name in names)


def test_ground_truth_is_of_the_valid_records(made):
    joints, visible, head_boxes = read_ground_truth(ground_truth_file(made, 'valid'))
    records = read_split(made, 'valid')
    np.testing.assert_array_equal(joints, [record['joints'] for record in records])
    np.testing.assert_array_equal(visible, np.array([record['joints_vis'] for record in records]) == 1)
    neck, top = joints[:, 8], joints[:, 9]
    np.testing.assert_allclose(head_boxes.mean(axis=1), (neck + top) / 2)
    head_sizes = 0.6 * np.linalg.norm(head_boxes[:, 1] - head_boxes[:, 0], axis=1)
    np.testing.assert_allclose(head_sizes, 0.75 * np.linalg.norm(top - neck, axis=1))


def test_records_have_the_form_and_proportions_of_mpii(made, shared):
    real = json.loads((shared / 'mpii_valid/annot/valid5.json').read_text())
    joints, visible, head_boxes = read_ground_truth(shared / 'mpii_valid/annot/gt_valid5.mat')
    ours = read_split(made, 'valid')
    assert [list(record) for record in ours[:5]] == [list(record) for record in real]
    np.testing.assert_allclose(head_boxes.mean(axis=1), joints[:, 8:10].mean(axis=1), atol=1)
    head_sizes = 0.6 * np.linalg.norm(head_boxes[:, 1] - head_boxes[:, 0], axis=1)
    np.testing.assert_allclose(head_sizes, 0.75 * np.linalg.norm(joints[:, 9] - joints[:, 8], axis=1), rtol=0.02)


def test_annotated_joints_are_in_the_picture_and_in_the_crop():
    records = [annotated('x.jpg', stream(index), SIZE)[1] for index in range(150)]
    joints = np.array([record['joints'] for record in records])
    visible = np.array([record['joints_vis'] for record in records]) == 1
    assert (joints[visible] >= 1).all() and (joints[visible] <= SIZE).all()
    assert (joints[~visible] == 0).all() and 0 < (~visible).mean() < 0.1
    assert visible[:, [8, 9]].all()                                  # PCKh needs the head
    for record, own, seen in zip(records, joints, visible):
        middle = np.add(record['center'], (0, 15 * record['scale']))
        side = 200 * 1.25 * record['scale']
        assert (np.abs(own[seen] - middle) < 0.48 * side).all()
        assert 100 <= 200 * record['scale'] <= 170


def test_noise_is_of_the_annotated_joints_alone():
    offsets = []
    for index in range(40):
        picture, exact, head_box = annotated('x.jpg', stream(index), SIZE)
        same_picture, off, same_head_box = annotated('x.jpg', stream(index), SIZE, noise=0.02)
        assert np.array_equal(picture, same_picture) and np.array_equal(head_box, same_head_box)
        assert all(np.array_equal(exact[key], off[key]) for key in ('center', 'scale'))
        both = np.logical_and(exact['joints_vis'], off['joints_vis'])
        offsets.extend((off['joints'] - exact['joints'])[both] / (200 * 1.25 * exact['scale']))
    assert np.std(offsets, axis=0) == pytest.approx(0.02, rel=0.1) and abs(np.mean(offsets)) < 0.002


def test_joints_lie_on_the_drawn_person():
    for index in range(60):
        rng = stream(index)
        body = drawing.Body(rng)
        parts = drawing.person_parts(rng, body)
        black, white = np.zeros((300, 300, 3), np.uint8), np.full((300, 300, 3), 255, np.uint8)
        for canvas in (black, white):
            drawing.paint(canvas, parts, 160, (150, 150))
        drawn = (black == white).all(axis=2)                         # what the person covers
        columns, rows = np.rint(body.joints[:, :2] * 160 + 150).astype(int).T
        rows[9] += 1                                                 # the head top is on the edge
        assert drawn[rows, columns].all()
        assert drawn.mean() < 0.2


def test_a_scene_changes_the_background_at_its_joints(monkeypatch):
    monkeypatch.setattr(drawing, 'photographed', lambda rng, canvas: canvas)
    for index in range(40):
        picture, joints, _ = drawing.scene(stream(index), SIZE)
        changed = (picture != drawing.background(stream(index), SIZE)).any(axis=2)
        columns, rows = np.rint(joints[((joints > 1) & (joints < SIZE - 2)).all(axis=1)]).astype(int).T
        assert changed[rows, columns].all()
        assert changed.mean() < 0.5


def test_views_from_the_front_and_from_behind():
    bodies = [drawing.Body(stream(index)) for index in range(300)]
    left_on_the_left = np.array([body.joints[3, 0] < body.joints[2, 0] for body in bodies])
    looking_here = np.array([body.face[2] > 0 for body in bodies])
    assert 0.04 < left_on_the_left.mean() < 0.2
    assert (looking_here == ~left_on_the_left).all()                 # a face is drawn on who is seen from the front


def test_same_seed_same_files_and_a_smaller_sample_is_a_prefix(tmp_path, made):
    write_sample(tmp_path / 'again', train=12, valid=6, seed=3)
    assert files(tmp_path / 'again') == files(made)
    write_sample(tmp_path / 'more', train=14, valid=7, seed=3)
    for split, count in (('train', 12), ('valid', 6)):
        assert read_split(tmp_path / 'more', split)[:count] == read_split(made, split)
    images, fewer = files(tmp_path / 'more' / 'images'), files(made / 'images')
    assert len(images) == 21 and all(images[name] == fewer[name] for name in fewer)


def test_seeds_and_splits_differ(tmp_path, made):
    write_sample(tmp_path / 'other', train=1, valid=1, seed=4)
    other, ours = read_split(tmp_path / 'other', 'train')[0], read_split(made, 'train')[0]
    assert other['joints'] != ours['joints']
    assert ours['joints'] != read_split(made, 'valid')[0]['joints']


def test_the_same_sample_is_kept_and_a_part_or_an_older_one_made_anew(tmp_path, capsys):
    out = tmp_path / 'set'
    out.mkdir()                                                      # an empty folder is fine
    write_sample(out, train=2, valid=1)
    before = (out / 'sample.json').stat()
    write_sample(out, train=2, valid=1)
    assert (out / 'sample.json').stat().st_ino == before.st_ino
    (out / 'images' / 'train_000001.jpg').unlink()                   # an incomplete one is made anew
    write_sample(out, train=2, valid=1)
    assert len(list((out / 'images').iterdir())) == 3
    assert f'{out}: held a part of this sample, or older drawings' in capsys.readouterr().out
    about = json.loads((out / 'sample.json').read_text())
    (out / 'sample.json').write_text(json.dumps({**about, 'maker': 'pose_mpii/sample.py 1'}))
    write_sample(out, train=3, valid=1)
    assert len(read_split(out, 'train')) == 3 and 'older drawings' in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ['set']


def test_a_sample_of_another_size_is_left_alone(tmp_path):
    write_sample(tmp_path / 'set', train=3, valid=1)
    before = files(tmp_path / 'set')
    with pytest.raises(InputError, match='set: holds a sample with train 3; name a new folder, or remove it'):
        write_sample(tmp_path / 'set', train=2, valid=1)
    assert files(tmp_path / 'set') == before


@pytest.mark.parametrize('name, text', [('notes.txt', 'mine'), ('sample.json', '{"maker": "me"}'),
                                        ('sample.json', '[1]'), ('sample.json', '{')])
def test_a_foreign_folder_is_left_alone(tmp_path, name, text):
    (tmp_path / 'set').mkdir()
    (tmp_path / 'set' / name).write_text(text)
    with pytest.raises(InputError, match='set'):
        write_sample(tmp_path / 'set', train=1, valid=1)
    assert files(tmp_path / 'set') == {Path(name): text.encode()}


def test_files_added_to_a_sample_are_not_removed(tmp_path):
    write_sample(tmp_path / 'set', train=1, valid=1)
    (tmp_path / 'set' / 'results').mkdir()
    with pytest.raises(InputError, match='set'):
        write_sample(tmp_path / 'set', train=2, valid=1)
    assert (tmp_path / 'set' / 'results').is_dir()


def test_a_file_in_the_way(tmp_path):
    (tmp_path / 'set').write_text('mine')
    with pytest.raises(InputError, match='set'):
        write_sample(tmp_path / 'set', train=1, valid=1)


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(sample, 'write_ground_truth', fail)
    with pytest.raises(InputError, match='No space left'):
        write_sample(tmp_path / 'set', train=1, valid=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('option', ['train', 'valid', 'seed', 'size'])
def test_values_out_of_range(tmp_path, option):
    with pytest.raises(InputError, match=f'{option}: -1'):
        write_sample(tmp_path / 'set', **{option: -1})
    assert not list(tmp_path.iterdir())


def test_the_program(tmp_path):
    program = Path(sample.__file__).resolve()
    arguments = ['--train', '2', '--valid', '1', '--seed', '9', '--out', 'new/set']
    done = subprocess.run([sys.executable, str(program), *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ''
    assert 'not MPII' in done.stdout and 'http://human-pose.mpi-inf.mpg.de' in done.stdout
    main(['--train', '2', '--valid', '1', '--seed', '9', '--out', str(tmp_path / 'same')])
    assert files(tmp_path / 'new' / 'set') == files(tmp_path / 'same')


def test_speed_and_size(made):
    start = time.process_time()
    for index in range(40):
        annotated('x.jpg', stream(index), SIZE)
    assert (time.process_time() - start) / 40 < 0.03                 # about 5 ms on an idle machine
    sizes = [path.stat().st_size for path in (made / 'images').iterdir()]
    assert np.mean(sizes) * 2300 < 40e6
