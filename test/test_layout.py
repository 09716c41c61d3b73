"""The files of the MPII layout: round trips, the real files, and what is said about unusable ones."""
import copy
import json

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from common.dataset import Source
from common.errors import InputError
from pose_mpii.dataset import MPII, Mpii, person_box
from pose_mpii.layout import (
    annotation_file,
    ground_truth_file,
    read_ground_truth,
    read_split,
    write_ground_truth,
    write_split,
)
from pose_mpii.predictions import read_predictions, save_predictions

RECORD = {'image': 'a/1.jpg', 'center': [10.5, 20], 'scale': 1.25, 'joints': [[float(k), 2.0 * k] for k in range(16)],
          'joints_vis': [1, 0] * 8}


def people(count=3):
    """Joints, visibility and head boxes of some made-up people."""
    random = np.random.default_rng(0)
    joints = random.uniform(1, 500, (count, 16, 2))
    boxes = joints[:, :1] + np.array([[[0, 0], [30, 40]]])
    return joints, random.random((count, 16)) < 0.7, boxes


# --- records -------------------------------------------------------------------------------------------------------

def test_records_survive_a_round_trip_and_arrays_may_stand_for_lists(tmp_path):
    arrays = {key: np.array(value) if isinstance(value, list) else value for key, value in RECORD.items()}
    write_split(tmp_path, 'valid', [RECORD, arrays])
    assert read_split(tmp_path, 'valid') == [RECORD, RECORD]


@pytest.mark.parametrize('size, sides', [((256, 256), (500, 500)), ((192, 256), (500, 500 * 4 / 3)),
                                         ((256, 128), (1000, 500))])
def test_a_persons_box_is_square_or_the_least_one_around_it(size, sides):
    """1-based centre, scale 2: 200 * 1.25 * 2 pixels, the centre 30 lower; in the input's proportions."""
    assert person_box((101, 201), 2, size) == pytest.approx((100, 230, *sides))


def test_a_test_record_needs_no_joints_but_others_do(tmp_path):
    record = {key: RECORD[key] for key in ('image', 'center', 'scale')}
    for split in ('test', 'train'):
        write_split(tmp_path, split, [record])
    assert read_split(tmp_path, 'test') == [record]
    with pytest.raises(InputError, match='record 0 has no "joints"'):
        read_split(tmp_path, 'train')


@pytest.mark.parametrize('change, annotated', [({}, True), ({'joints_vis': [0] * 16}, False),
                                               ({'joints_vis': None}, False),
                                               ({'joints_vis': None, 'joints': None}, False)])
def test_a_test_split_is_scored_where_it_is_annotated(tmp_path, change, annotated):
    write_split(tmp_path, 'test', [{key: value for key, value in {**RECORD, **change}.items() if value is not None}])
    write_ground_truth(ground_truth_file(tmp_path, 'test'), np.array([RECORD['joints']]),
                       np.array([RECORD['joints_vis']]), people(1)[2])
    truth = MPII.people(Source(tmp_path, 'test'), (64, 64)).truth
    assert (truth is not None) == annotated


def test_a_subclass_keeps_what_it_changes():
    class Mine(Mpii):
        decides = 'PCKh@0.1'
    assert Mine().with_skeleton(MPII.skeleton).decides == 'PCKh@0.1'


def test_real_records_are_accepted(shared):
    assert len(read_split(shared / 'mpii_valid', 'valid')) == 2958
    assert len(read_split(shared / 'lspet_mpii', 'train')) == 7871


@pytest.mark.parametrize('field, value', [
    ('image', '/etc/passwd'), ('image', '../secret.jpg'), ('image', 'a/../../b.jpg'), ('image', ''), ('image', '.'),
    ('image', 7), ('image', None), ('image', 'a\0.jpg'), ('image', 'two\nlines.jpg'),
    ('center', [1, 2, 3]), ('center', [1, None]), ('center', [float('nan'), 2]), ('center', 5), ('center', ['1', '2']),
    ('center', [True, 2]), ('center', {}), ('center', [10 ** 400, 2]),
    ('scale', 0), ('scale', -1.5), ('scale', float('inf')), ('scale', float('nan')), ('scale', '1'), ('scale', None),
    ('scale', True), ('scale', 1e-310), ('scale', 0.0039), ('scale', [1.0]),
    ('joints', RECORD['joints'][:15]), ('joints', RECORD['joints'] + [[1, 2]]), ('joints', [[1, 2, 3]] * 16),
    ('joints', [[1, float('inf')]] * 16), ('joints', [[1, 'x']] * 16), ('joints', [1] * 32), ('joints', None),
    ('joints_vis', [1] * 15), ('joints_vis', [2] * 16), ('joints_vis', [0.5] * 16), ('joints_vis', ['1'] * 16),
    ('joints_vis', 1)])
def test_a_bad_field_is_named_with_its_file_and_record(tmp_path, field, value):
    bad = {**copy.deepcopy(RECORD), field: value}
    write_split(tmp_path, 'valid', [RECORD, bad])
    with pytest.raises(InputError) as error:
        read_split(tmp_path, 'valid')
    message = str(error.value)
    assert message.startswith(f'{annotation_file(tmp_path, "valid")}: record 1 has a bad "{field}"')
    assert '\n' not in message


@pytest.mark.parametrize('field', RECORD)
def test_a_missing_field_is_named(tmp_path, field):
    write_split(tmp_path, 'valid', [{key: RECORD[key] for key in RECORD if key != field}])
    with pytest.raises(InputError, match=f'valid.json: record 0 has no "{field}"'):
        read_split(tmp_path, 'valid')


@pytest.mark.parametrize('text, expected', [
    ('[]', 'non-empty list'), ('{}', 'non-empty list'), ('"x"', 'non-empty list'), ('[', 'not valid JSON'),
    ('', 'not valid JSON'), ('[1]', 'record 0 should be an object'), ('[null]', 'record 0 should be an object'),
    ('[{}]', 'record 0 has no "image"')])
def test_a_malformed_file_is_named(tmp_path, text, expected):
    write_split(tmp_path, 'valid', [RECORD])
    annotation_file(tmp_path, 'valid').write_text(text)
    with pytest.raises(InputError, match=f'valid.json: .*{expected}'):
        read_split(tmp_path, 'valid')


def test_a_missing_folder_says_where_mpii_comes_from_and_a_missing_split_who_writes_it(tmp_path):
    with pytest.raises(InputError, match='nowhere: no such folder.*human-pose.mpi-inf.mpg.de.*--sample'):
        read_split(tmp_path / 'nowhere', 'train')
    with pytest.raises(InputError, match='train.json: no such file.*prepare.py'):
        read_split(tmp_path, 'train')


# --- ground truth --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('count', [1, 3])
def test_ground_truth_survives_a_round_trip(tmp_path, count):
    path = ground_truth_file(tmp_path, 'valid')
    write_ground_truth(path, *people(count))
    read = read_ground_truth(path)
    for array, expected in zip(read, people(count)):
        np.testing.assert_array_equal(array, expected)
    assert read[1].dtype == bool


@pytest.mark.parametrize('name', ['gt_valid5.mat', 'gt_valid.mat'])
def test_a_rewritten_real_ground_truth_is_the_same_file(tmp_path, shared, name):
    real = shared / 'mpii_valid' / 'annot' / name
    write_ground_truth(tmp_path / name, *read_ground_truth(real))
    written, expected = loadmat(tmp_path / name), loadmat(real)
    keys = {key for key in expected if not key.startswith('__')}
    assert keys == {key for key in written if not key.startswith('__')}
    for key in keys:
        assert written[key].dtype == expected[key].dtype
        np.testing.assert_array_equal(written[key], expected[key])


def test_the_real_ground_truth_is_that_of_the_real_records(shared):
    records = read_split(shared / 'mpii_valid', 'valid')
    joints, visible, _ = read_ground_truth(ground_truth_file(shared / 'mpii_valid', 'valid'))
    np.testing.assert_allclose(joints, [record['joints'] for record in records], atol=1e-3)
    np.testing.assert_array_equal(visible, [record['joints_vis'] for record in records])


@pytest.mark.parametrize('changes, expected', [
    ({'pos_gt_src': None}, '"pos_gt_src" of shape (16, 2, N)'),
    ({'pos_gt_src': np.ones((2, 16, 3))}, '"pos_gt_src" of shape (16, 2, N)'),
    ({'pos_gt_src': 'text'}, '"pos_gt_src" of shape (16, 2, N)'),
    ({'pos_gt_src': np.ones((16, 2, 4))}, 'hold 4, 3 and 3 people'),
    ({'pos_gt_src': np.full((16, 2, 3), np.nan)}, 'neither finite nor marked'),
    ({'jnt_missing': np.ones((15, 3))}, '"jnt_missing" of shape (16, N)'),
    ({'headboxes_src': np.ones((2, 3))}, '"headboxes_src" of shape (2, 2, N)'),
    ({'headboxes_src': np.ones((2, 2, 3))}, 'empty or non-finite box'),
    ({'dataset_joints': None}, 'dataset_joints should be rank rkne'),
    ({'dataset_joints': np.array(['head'] * 16, dtype=object)}, 'dataset_joints should be rank rkne')])
def test_what_a_ground_truth_lacks_is_named(tmp_path, changes, expected):
    path = tmp_path / 'gt.mat'
    write_ground_truth(path, *people())
    variables = {key: value for key, value in loadmat(path).items() if not key.startswith('__')}
    variables.update(changes)
    savemat(path, {key: value for key, value in variables.items() if value is not None})
    with pytest.raises(InputError) as error:
        read_ground_truth(path)
    assert str(error.value).startswith(f'{path}: ') and expected in str(error.value)


def test_a_joint_that_is_marked_missing_may_be_nan(tmp_path):
    joints, visible, boxes = people()
    joints[~visible] = np.nan
    write_ground_truth(tmp_path / 'gt.mat', joints, visible, boxes)
    np.testing.assert_array_equal(read_ground_truth(tmp_path / 'gt.mat')[0], joints)


@pytest.mark.parametrize('damage', [lambda file: b'', lambda file: file[:len(file) // 2], lambda file: file[::-1],
                                    lambda file: b'\x89PNG' + bytes(500), lambda file: file[:200] + file[201:]])
def test_a_damaged_ground_truth_is_an_input_error(tmp_path, damage):
    path = tmp_path / 'gt.mat'
    write_ground_truth(path, *people())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match='gt.mat: '):
        read_ground_truth(path)


def test_a_missing_ground_truth_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match='gt.mat: cannot be read'):
        read_ground_truth(tmp_path / 'gt.mat')
    with pytest.raises(InputError, match='cannot be read'):
        read_ground_truth(tmp_path)


# --- predictions ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('name', ['preds.mat', 'preds.json'])
def test_predictions_survive_a_round_trip_even_where_not_finite(tmp_path, name):
    predictions = people()[0]
    predictions[1, 2, 0] = np.nan
    save_predictions(tmp_path / name, predictions)
    np.testing.assert_array_equal(read_predictions(tmp_path / name, 3), predictions)


def test_saved_json_is_standard_json_and_a_bare_list_is_read(tmp_path):
    path = tmp_path / 'preds.json'
    save_predictions(path, np.full((1, 16, 2), np.inf))

    def reject(constant):
        raise AssertionError(constant)

    assert json.loads(path.read_text(), parse_constant=reject) == {'preds': [[[None, None]] * 16]}
    path.write_text(json.dumps(people()[0].tolist()))
    np.testing.assert_array_equal(read_predictions(path, 3), people()[0])


@pytest.mark.parametrize('value, expected', [
    ({'pred': []}, 'holds no "preds"'), ({'preds': None}, 'holds no "preds"'), ('text', 'should be (3, 16, 2) numbers'),
    ([[1, 2], [3]], 'should be (3, 16, 2) numbers'), ({'preds': {}}, 'should be (3, 16, 2) numbers'),
    (5, 'has shape (); the ground truth needs (3, 16, 2)'), ([], 'has shape (0,)'),
    (np.zeros((4, 16, 2)).tolist(), 'has shape (4, 16, 2); the ground truth needs (3, 16, 2)'),
    (np.zeros((3, 2, 16)).tolist(), 'has shape (3, 2, 16)')])
def test_unusable_json_predictions_say_what_is_expected(tmp_path, value, expected):
    path = tmp_path / 'preds.json'
    path.write_text(json.dumps(value))
    with pytest.raises(InputError) as error:
        read_predictions(path, 3)
    assert str(error.value).startswith(f'{path}: ') and expected in str(error.value)


@pytest.mark.parametrize('variables, expected', [
    ({'predictions': np.zeros((3, 16, 2))}, 'holds no "preds"'), ({'preds': np.zeros((3, 16, 3))}, '(3, 16, 3)'),
    ({'preds': 'text'}, 'numbers'), ({'preds': np.array(['a', 2], dtype=object)}, 'numbers')])
def test_unusable_mat_predictions_say_what_is_expected(tmp_path, variables, expected):
    savemat(tmp_path / 'preds.mat', variables)
    with pytest.raises(InputError) as error:
        read_predictions(tmp_path / 'preds.mat', 3)
    assert expected in str(error.value)


def test_another_suffix_or_a_missing_file_is_an_input_error(tmp_path):
    for name in ('preds', 'preds.npy', 'preds.pkl'):
        with pytest.raises(InputError, match='.mat or .json'):
            save_predictions(tmp_path / name, people()[0])
        with pytest.raises(InputError, match='.mat or .json'):
            read_predictions(tmp_path / name, 3)
    for name in ('preds.mat', 'preds.json'):
        with pytest.raises(InputError, match=f'{name}: cannot be read'):
            read_predictions(tmp_path / name, 3)
    assert list(tmp_path.iterdir()) == []


def test_a_ground_truth_without_joints_is_named(tmp_path):
    path = tmp_path / 'gt_valid.mat'
    visible = np.zeros((3, 16))
    visible[:, [6, 7]] = 1                    # pelvis and thorax, which do not count
    write_ground_truth(path, np.ones((3, 16, 2)), visible, np.tile([[0.0, 0], [9, 9]], (3, 1, 1)))
    with pytest.raises(InputError, match='gt_valid.mat: has no annotated joint that PCKh counts'):
        read_ground_truth(path)
