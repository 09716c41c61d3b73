"""From the official .mat to the MPII layout: the real structure with its quirks, and made-up releases."""
import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from refused import fails
from scipy.io import savemat

from common.errors import InputError
from pose_mpii.layout import ground_truth_file, read_ground_truth, read_split
from pose_mpii.prepare import main, split_people, validation_people
from pose_mpii.release import read_release

ROOT = Path(__file__).resolve().parents[1]
POINTS = [{'id': k, 'x': 10.0 + k, 'y': 20.0 + k, 'is_visible': '1'} for k in range(16)]
PERSON = {'x1': 5.0, 'y1': 6.0, 'x2': 25.0, 'y2': 36.0, 'scale': 2.5, 'objpos': {'x': 100.0, 'y': 200.0},
          'annopoints': {'point': POINTS}}
EMPTY = np.zeros((0, 0))


def structs(values):
    """Dicts as a MATLAB struct array, [] in the fields that some of them lack."""
    fields = sorted({field for value in values for field in value})
    array = np.empty((1, len(values)), dtype=[(field, object) for field in fields])
    for index, value in enumerate(values):
        array[0, index] = tuple(to_matlab(value.get(field, EMPTY)) for field in fields)
    return array


def to_matlab(value):
    if isinstance(value, list):
        return structs(value)
    return {key: to_matlab(item) for key, item in value.items()} if isinstance(value, dict) else value


def write_release(path, images):
    """images: (name, is_train, annorect), an annorect being a list of dicts (a struct array), a dict or empty."""
    annolist = [{'image': {'name': name}, 'annorect': people} for name, _, people in images]
    savemat(path, {'RELEASE': {'annolist': structs(annolist), 'version': '12',
                               'img_train': np.array([[train for _, train, _ in images]], np.uint8)}})
    return path


def only_person(tmp_path, **changes):
    """How PERSON is read after some fields changed; None removes a field."""
    person = {key: value for key, value in {**PERSON, **changes}.items() if value is not None}
    return read_release(write_release(tmp_path / 'release.mat', [('a.jpg', 1, person), ('b.jpg', 1, EMPTY)]))[0]


# --- the real structure --------------------------------------------------------------------------------------------

@pytest.fixture
def mini(shared):
    return shared / 'mpii_valid' / 'annot' / 'mini_mpii_human_pose_v1_u12_1.mat'


def test_the_mini_release_becomes_the_fields_own_files(tmp_path, shared, mini, capsys):
    main(['--mat', str(mini), '--out', str(tmp_path)])
    annot = shared / 'mpii_valid' / 'annot'
    (tmp_path / 'field' / 'annot').mkdir(parents=True)
    (tmp_path / 'field' / 'annot' / 'valid.json').write_text((annot / 'valid5.json').read_text())
    ours, field = read_split(tmp_path, 'valid'), read_split(tmp_path / 'field', 'valid')
    assert len(ours) == len(field) == 5
    for record, expected in zip(ours, field):
        assert record.keys() == expected.keys()
        assert (record['image'], record['joints_vis']) == (expected['image'], expected['joints_vis'])
        for key in ('center', 'scale', 'joints'):
            np.testing.assert_allclose(record[key], expected[key], atol=1e-3)
    for array, expected in zip(read_ground_truth(ground_truth_file(tmp_path, 'valid')),
                               read_ground_truth(annot / 'gt_valid5.mat')):
        np.testing.assert_allclose(array, expected, atol=1e-3)

    assert read_split(tmp_path, 'trainval') == ours
    assert read_split(tmp_path, 'test') == [
        {'image': '025508722.jpg', 'center': [620, 350], 'scale': 3.2, 'person': 0}]
    printed = capsys.readouterr().out
    assert 'left out: 2953 people' in printed
    assert f'put the photographs in {tmp_path / "images"}' in printed


def test_all_seven_entries_of_the_mini_release_are_read(mini):
    people = read_release(mini)
    assert [(person.image, person.index) for person in people] == [
        ('005808361.jpg', 0), ('052475643.jpg', 0), ('052475643.jpg', 1), ('051423444.jpg', 0), ('004645041.jpg', 0),
        ('060754485.jpg', 0), ('025508722.jpg', 0)]
    bare = people[2]
    assert not bare.visible.any() and bare.head_box is None and bare.scale == 1.5
    assert [person.is_train for person in people] == [True] * 6 + [False]


def test_the_projects_list_is_the_standard_validation_split_in_its_order(shared):
    with open(shared / 'mpii_valid' / 'annot' / 'valid_list.csv', newline='') as file:
        rows = list(csv.reader(file))[1:]
    assert validation_people() == [(image, int(person)) for image, person in rows]
    assert [image for image, _ in validation_people()] == [
        record['image'] for record in read_split(shared / 'mpii_valid', 'valid')]


# --- quirks --------------------------------------------------------------------------------------------------------

def test_a_plain_person_is_read_whole(tmp_path):
    person = only_person(tmp_path)
    np.testing.assert_array_equal(person.joints, [[10 + k, 20 + k] for k in range(16)])
    np.testing.assert_array_equal(person.head_box, [[5, 6], [25, 36]])
    np.testing.assert_array_equal(person.center, [100, 200])
    assert (person.image, person.index, person.is_train, person.scale) == ('a.jpg', 0, True, 2.5)
    assert person.visible.all()


@pytest.mark.parametrize('is_visible', [1, 0, '1', '0', EMPTY, 1.0, ''])
def test_a_point_is_annotated_whatever_is_visible_says(tmp_path, is_visible):
    points = [{**point, 'is_visible': is_visible} for point in POINTS]
    assert only_person(tmp_path, annopoints={'point': points}).visible.all()


def test_points_may_come_without_is_visible_in_any_order_or_as_a_single_struct(tmp_path):
    points = [{'id': k, 'x': float(k), 'y': 5.0} for k in (9, 3)]
    person = only_person(tmp_path, annopoints={'point': points})
    assert list(np.flatnonzero(person.visible)) == [3, 9]
    np.testing.assert_array_equal(person.joints[9], [9, 5])
    np.testing.assert_array_equal(person.joints[~person.visible], 0)
    person = only_person(tmp_path, annopoints={'point': points[0]})
    assert list(np.flatnonzero(person.visible)) == [9]


@pytest.mark.parametrize('annopoints', [None, EMPTY, {'point': EMPTY}, {'other': 1}, [{'point': EMPTY}], 'text',
                                        {'point': {'id': 99, 'x': 1.0, 'y': 1.0}},
                                        {'point': {'id': 3, 'x': EMPTY, 'y': 1.0}}])
def test_a_person_may_have_no_points(tmp_path, annopoints):
    assert not only_person(tmp_path, annopoints=annopoints).visible.any()


@pytest.mark.parametrize('field, changes', [
    ('scale', {'scale': None}), ('scale', {'scale': EMPTY}), ('scale', {'scale': 0.0}), ('scale', {'scale': np.nan}),
    ('scale', {'scale': 'text'}), ('scale', {'scale': np.ones(2)}),
    ('center', {'objpos': None}), ('center', {'objpos': EMPTY}), ('center', {'objpos': {'x': 1.0}}),
    ('center', {'objpos': {'x': EMPTY, 'y': 2.0}}), ('center', {'objpos': {'x': 1.0, 'y': np.inf}}),
    ('head_box', {'y1': None}), ('head_box', {'y1': EMPTY}), ('head_box', {'y1': PERSON['y2']})])
def test_what_is_missing_or_unusable_is_none(tmp_path, field, changes):
    person = only_person(tmp_path, **changes)
    assert getattr(person, field) is None
    assert person.visible.all()


@pytest.mark.parametrize('content, expected', [
    ({'other': 1}, 'holds no RELEASE.annolist'), ({'RELEASE': 5}, 'holds no RELEASE.annolist'),
    ({'RELEASE': {'annolist': EMPTY, 'img_train': EMPTY}}, 'holds no RELEASE.annolist'),
    ({'RELEASE': {'annolist': {'image': {'name': 'a.jpg'}}}}, '1 images, but 0 marks'),
    ({'RELEASE': {'annolist': {'image': EMPTY}, 'img_train': 1}}, r'annolist\(1\) has no image name')])
def test_a_foreign_file_is_named(tmp_path, content, expected):
    savemat(tmp_path / 'foreign.mat', content)
    with pytest.raises(InputError, match=f'foreign.mat: .*{expected}'):
        read_release(tmp_path / 'foreign.mat')


# --- the splits ----------------------------------------------------------------------------------------------------

def test_who_goes_into_which_split(tmp_path):
    (first, _), (second, _), (third, _) = validation_people()[:3]
    assert [index for _, index in validation_people()[:3]] == [0, 0, 0]
    faceless = {**PERSON, 'x1': EMPTY}
    unplaced = {**PERSON, 'objpos': EMPTY}
    unmarked = {**PERSON, 'annopoints': EMPTY}
    splits = split_people(read_release(write_release(tmp_path / 'release.mat', [
        (second, 1, [PERSON, PERSON]), ('free.jpg', 1, [PERSON, faceless, unplaced, unmarked]),
        (first, 1, PERSON), (third, 1, faceless), ('test.jpg', 0, [unplaced, unmarked, {**PERSON, 'scale': EMPTY}])])))
    named = {split: [(person.image, person.index) for person in people] for split, people in splits.items()}
    # official order, not the release's; the neighbour of a validation person, and a validation person without the
    # head box that PCKh needs, are in trainval only
    assert named == {'valid': [(first, 0), (second, 0)],
                     'train': [('free.jpg', 0), ('free.jpg', 1)],
                     'trainval': [(second, 0), (second, 1), ('free.jpg', 0), ('free.jpg', 1), (first, 0), (third, 0)],
                     'test': [('test.jpg', 1)]}


# --- the command line ----------------------------------------------------------------------------------------------

def prepare(*arguments, cwd):
    return subprocess.run([sys.executable, str(ROOT / 'pose_mpii' / 'prepare.py'), *map(str, arguments)],
                          cwd=str(cwd), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)


def official(path):
    """A release with the first official validation person."""
    return write_release(path, [(validation_people()[0][0], 1, PERSON), ('free.jpg', 1, [PERSON, PERSON])])


def test_prepare_writes_every_file_and_links_the_photographs(tmp_path):
    official(tmp_path / 'release.mat')
    for folder in ('photographs', 'earlier', 'data'):
        (tmp_path / folder).mkdir()
    (tmp_path / 'photographs' / validation_people()[0][0]).touch()
    (tmp_path / 'data' / 'images').symlink_to(tmp_path / 'earlier')
    done = prepare('--mat', 'release.mat', '--out', 'data', '--images', 'earlier', cwd=tmp_path)
    assert done.returncode == 0 and done.stderr.startswith('warning: earlier: has none of the photographs, such as 0')
    for _ in range(2):                                     # a second run replaces the first's files
        done = prepare('--mat', 'release.mat', '--out', 'data', '--images', 'photographs', cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, '')
    assert 'train.json: 2 people' in done.stdout and 'put the photographs' not in done.stdout
    assert sorted(path.name for path in (tmp_path / 'data' / 'annot').iterdir()) == [
        'gt_valid.mat', 'test.json', 'train.json', 'trainval.json', 'valid.json']
    assert os.path.samefile(tmp_path / 'data' / 'images', tmp_path / 'photographs')
    assert len(read_split(tmp_path / 'data', 'train')) == 2


@pytest.mark.parametrize('arguments, expected', [
    (['--mat', 'none.mat', '--out', 'data'], 'none.mat: cannot be read'),
    (['--mat', 'text.mat', '--out', 'data'], 'text.mat: not a MATLAB file'),
    (['--mat', 'cut.mat', '--out', 'data'], 'cut.mat: not a MATLAB file'),
    (['--mat', 'other.mat', '--out', 'data'], 'other.mat: annotates nobody of the official validation split'),
    (['--mat', 'release.mat', '--out', 'text.mat'], 'text.mat: cannot create this folder'),
    (['--mat', 'release.mat', '--out', 'data', '--images', 'none'], 'none: no such folder of photographs'),
    (['--mat', 'release.mat', '--out', 'full', '--images', '.'], 'images: cannot be made a link to .')])
def test_prepare_says_in_one_line_what_is_wrong(tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    official(tmp_path / 'release.mat')
    (tmp_path / 'text.mat').write_text('hello\n' * 100)
    (tmp_path / 'cut.mat').write_bytes((tmp_path / 'release.mat').read_bytes()[:3000])
    write_release(tmp_path / 'other.mat', [('free.jpg', 1, PERSON)])
    (tmp_path / 'data').mkdir()
    (tmp_path / 'full' / 'images').mkdir(parents=True)
    (tmp_path / validation_people()[0][0]).touch()
    assert expected in fails(main, arguments)
    assert not list(tmp_path.glob('*/annot'))
