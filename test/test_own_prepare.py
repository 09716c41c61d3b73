"""Annotations in COCO's format with other names, as MPII's layout."""
import shutil

import numpy as np
import pytest
from own import LIMBS, NAMES, ORDER, as_coco, prepared, write
from PIL import Image

from common.errors import InputError
from pose_mpii import from_coco, prepare
from pose_mpii.dataset import person_box
from pose_mpii.layout import read_split


@pytest.fixture(scope='module')
def data(tiny_data, tmp_path_factory):
    """A folder that `prepare.py --coco` made of one file."""
    return prepared(tiny_data, tmp_path_factory.mktemp('own'))


def test_records_are_what_the_file_says(data, tiny_data):
    whole = read_split(tiny_data, 'train+valid')
    skeleton = from_coco.skeleton.read(data / 'skeleton.yaml')
    ours = {record['image']: record for split in ('train', 'valid') for record in read_split(data, split, skeleton)}
    assert len(ours) == len(whole) == 24 and len(read_split(data, 'valid', skeleton)) == 4
    for theirs in whole:
        record, visible = ours[theirs['image']], np.array(theirs['joints_vis'])[list(ORDER)]
        points = np.array(theirs['joints'])[list(ORDER)]
        assert record['joints_vis'] == visible.tolist() and (record['width'], record['height']) == (96, 96)
        np.testing.assert_allclose(np.array(record['joints'])[visible > 0], points[visible > 0], atol=1e-3)
        shown = points[visible > 0]
        x, y, side, _ = person_box(record['center'], record['scale'], (64, 64))        # 0-based, around 1-based points
        np.testing.assert_allclose([x, y], (shown.min(axis=0) + shown.max(axis=0)) / 2 - 1.5, atol=2e-3)
        assert side == pytest.approx(1.25 * np.ptp(shown, axis=0).max(), abs=1e-2)


def test_the_skeleton_is_written_from_the_names_and_kept(data, tiny_data, tmp_path, capsys):
    person = from_coco.skeleton.read(data / 'skeleton.yaml')
    assert person.joints == tuple(name.replace('_', ' ') for name in NAMES) and person.sides == 'RRRLLLRRRLLLMM'
    assert sorted(map(sorted, person.flip_pairs)) == [[0, 5], [1, 4], [2, 3], [6, 11], [7, 10], [8, 9]]
    assert all(person.sides[a] == 'R' for a, _ in person.flip_pairs)
    assert person.limbs == tuple((a - 1, b - 1) for a, b in LIMBS) and person.normalised_by == (13, 12)
    names = [name.replace('R_', 'right').replace('L_', 'left') for name in NAMES[:-1]] + ['tail']
    source = write(tmp_path / 'a.json', as_coco(tiny_data, names=names))
    from_coco.write_skeleton(tmp_path / 'skeleton.yaml', source)
    other = from_coco.skeleton.read(tmp_path / 'skeleton.yaml')
    assert len(other.flip_pairs) == 6 and other.normalised_by is None
    (tmp_path / 'data').mkdir()
    own = (data / 'skeleton.yaml').read_text().replace('Head Top', 'TAIL')
    (tmp_path / 'data/skeleton.yaml').write_text(own)
    prepare.main(['--coco', str(source), '--out', str(tmp_path / 'data')])
    told = capsys.readouterr()
    assert (tmp_path / 'data/skeleton.yaml').read_text() == own and 'put the photographs in' in told.out
    assert 'left out: rightAnkle' in told.err and 'annotated nowhere: R Ankle' in told.err


def test_two_files_are_train_and_valid_with_joints_of_mpii(tiny_data, root, tmp_path, capsys):
    names = ['right ankle', 'right knee', *NAMES[2:12], 'upper-neck', 'HEAD_TOP']
    files = [write(tmp_path / f'{split}.json', as_coco(tiny_data, [split], names)) for split in ('train', 'valid')]
    prepare.main(['--coco', *map(str, files), '--images', str(tiny_data / 'images'), '--out', str(tmp_path / 'data'),
                  '--skeleton', str(root / 'pose_mpii/skeleton.yaml')])
    told = capsys.readouterr()
    assert 'trainval.json: 24 people' in told.out and told.err.count('annotated nowhere: right hip') == 2
    for split in ('train', 'valid'):
        for ours, theirs in zip(read_split(tmp_path / 'data', split), read_split(tiny_data, split)):
            assert ours['image'] == theirs['image'] and not any(ours['joints_vis'][2:8] + ours['joints_vis'][10:])
            assert [ours['joints_vis'][k] for k in (0, 1, 8, 9)] == [theirs['joints_vis'][k] for k in (0, 1, 8, 9)]


def test_photographs_that_are_turned_without_another_size_are_named(tiny_data, tmp_path, capsys):
    images, content = shutil.copytree(tiny_data / 'images', tmp_path / 'images'), as_coco(tiny_data)
    for record, turn in zip(content['images'], (3, 6, 1)):                     # squares
        exif = Image.Exif()
        exif[0x112] = turn
        path = images / record['file_name']
        Image.open(path).save(path, exif=exif)
    prepare.main(['--coco', str(write(tmp_path / 'people.json', content)), '--images', str(images),
                  '--out', str(tmp_path / 'data')])
    told = capsys.readouterr().err
    assert f"{content['images'][0]['file_name']}: has EXIF orientation 3, and 1 more have one that" in told


def test_who_is_outside_of_the_photograph_is_left_out(tiny_data, tmp_path, capsys):
    content = as_coco(tiny_data)
    for annotation, box in zip(content['annotations'][1::2], ([96, 0, 20, 20], [0, -20, 20, 20], [95, 95, 20, 20])):
        annotation['bbox'] = box
    prepare.main(['--coco', str(write(tmp_path / 'people.json', content)), '--out', str(tmp_path / 'data')])
    assert 'people left out: 2 with a box outside of the photograph' in capsys.readouterr().out


def lose(folder, content):
    (folder / content['images'][0]['file_name']).unlink()


def empty(folder, content):
    (folder / content['images'][0]['file_name']).write_bytes(b'')


def turn(folder, content):
    content['images'][0].update(width=80)


def few(folder, content):
    del content['annotations'][6:]


@pytest.mark.parametrize('damage, told', [
    (lose, 'missing .1 of '), (empty, 'this file is empty'), (turn, 'its annotation says width 80'),
    (few, 'has people in fewer than 5 photographs'),
    (lambda _, content: content['categories'].pop(), 'none of its 1 categories is named "person"'),
    (lambda _, content: content['annotations'].clear(), 'no person in it has a keypoint'),
    (lambda _, content: content['annotations'][1].pop('bbox'), 'annotation 1 has no "bbox"')])
def test_what_cannot_be_converted_is_named(tiny_data, tmp_path, damage, told):
    images, content = shutil.copytree(tiny_data / 'images', tmp_path / 'images'), as_coco(tiny_data)
    damage(images, content)
    source = write(tmp_path / 'people.json', content)
    with pytest.raises(InputError, match=told):
        prepare.main(['--coco', str(source), '--images', str(images), '--out', str(tmp_path / 'data')])
    assert not any((tmp_path / 'data/annot').iterdir())
    assert not (tmp_path / 'data/images').exists()                # no link that others would be left with


def annot(out):
    (out / 'annot').write_text('mine')


def images(out):
    (out / 'images').mkdir()


@pytest.mark.parametrize('take, told', [(annot, 'annot: cannot create this folder'),
                                        (images, 'images: cannot be made a link to')])
def test_a_place_that_is_taken_is_said_before_photographs_are_read(tiny_data, tmp_path, monkeypatch, take, told):
    monkeypatch.setattr(from_coco, 'read_splits', lambda *args: pytest.fail('photographs were read'))
    source = write(tmp_path / 'people.json', as_coco(tiny_data))
    take(tmp_path)
    with pytest.raises(InputError, match=told):
        prepare.main(['--coco', str(source), '--images', str(tiny_data / 'images'), '--out', str(tmp_path)])
    assert not (tmp_path / 'skeleton.yaml').exists()
