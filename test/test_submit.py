"""Predictions of the test split in the official structure: read back by SciPy and by our reader of the release."""
import subprocess
import sys

import numpy as np
import pytest
from numpy.lib.recfunctions import repack_fields
from scipy.io import loadmat, savemat

from common.errors import InputError
from pose_mpii import prepare
from pose_mpii.layout import read_split, write_split
from pose_mpii.predictions import save_predictions
from pose_mpii.release import read_release
from pose_mpii.submit import main

OFFICIAL = 'mpii_human_pose_v1_u12_1.mat'


@pytest.fixture
def mini(shared):
    return shared / 'mpii_valid' / 'annot' / f'mini_{OFFICIAL}'


@pytest.fixture
def all_test(tmp_path, mini):
    """The mini release with all seven images in the test split, so that it has several people and an empty image."""
    release = loadmat(mini)['RELEASE']
    release['img_train'][0, 0][:] = 0
    savemat(tmp_path / OFFICIAL, {'RELEASE': release})
    return tmp_path / OFFICIAL


def predict(data, people, seed=0):
    """A test.json of (image, person) and predictions for it: DATA/pred.mat, also returned."""
    write_split(data, 'test', [{'image': image, 'person': person, 'center': [1, 1], 'scale': 1.0}
                               for image, person in people])
    predictions = np.random.RandomState(seed).uniform(-20, 1200, (len(people), 16, 2))
    save_predictions(data / 'pred.mat', predictions)
    return predictions


def submit(data, release, **changes):
    options = {'pred': data / 'pred.mat', 'data': data, 'mat': release, 'out': data / 'out.mat', **changes}
    main([str(part) for option, value in options.items() for part in (f'--{option}', value)])
    return options['out']


def read_back(path):
    """The people of a submission, by the reader of the official structure."""
    pred = loadmat(path)['pred']
    savemat(path.with_name('back.mat'), {'RELEASE': {'annolist': pred, 'img_train': np.zeros(pred.shape)}})
    return read_release(path.with_name('back.mat'))


def test_from_the_mini_release_to_its_submission(tmp_path, mini, capsys):
    prepare.main(['--mat', str(mini), '--out', str(tmp_path)])
    records = read_split(tmp_path, 'test')
    predictions = np.arange(32).reshape(1, 16, 2) * 10.25 + 1
    save_predictions(tmp_path / 'pred.json', predictions)
    capsys.readouterr()
    out = submit(tmp_path, mini, pred=tmp_path / 'pred.json')
    assert capsys.readouterr().out == f'{out}: 1 of 1 people in 1 images\n'

    pred = loadmat(out, squeeze_me=True, struct_as_record=False)['pred']
    assert pred.image.name == records[0]['image'] == '025508722.jpg'
    assert (pred.annorect.objpos.x, pred.annorect.objpos.y, pred.annorect.scale) == (620, 350, 3.2)
    points = pred.annorect.annopoints.point
    assert [point.id for point in points] == list(range(16))
    np.testing.assert_array_equal([[point.x, point.y] for point in points], predictions[0])


def test_everything_is_a_struct_array_and_every_number_of_ours_a_double(tmp_path, mini):
    predict(tmp_path, [('025508722.jpg', 0)])
    pred = loadmat(submit(tmp_path, mini), mat_dtype=True)['pred']
    annorect = pred[0, 0]['annorect']
    annopoints = annorect[0, 0]['annopoints']
    points = annopoints[0, 0]['point']
    assert [array.shape for array in (pred, annorect, annopoints, points)] == [(1, 1), (1, 1), (1, 1), (1, 16)]
    assert points.dtype.names == ('x', 'y', 'id')
    assert {(value.shape, value.dtype.str) for value in points[0, 0]} == {((1, 1), '<f8')}


def test_whole_numbers_that_matlab_packed_into_bytes_stay_doubles(tmp_path, mini):
    """MATLAB stores a double 7 as one byte marked as a double; SciPy stores a byte, so the mark is set by hand."""
    release = loadmat(mini)['RELEASE']
    release['annolist'][0, 0]['vididx'][0, 6] = np.array([[7]], np.uint8)
    savemat(tmp_path / OFFICIAL, {'RELEASE': release})
    flags = b'\6\0\0\0' b'\x08\0\0\0'                       # two words of flags follow; the first byte is the class
    packed = (tmp_path / OFFICIAL).read_bytes().replace(flags + b'\x09', flags + b'\6')      # uint8 -> double
    (tmp_path / OFFICIAL).write_bytes(packed)
    predict(tmp_path, [('025508722.jpg', 0)])
    pred = loadmat(submit(tmp_path, tmp_path / OFFICIAL), mat_dtype=True)['pred']
    assert pred[0, 0]['vididx'] == 7 and pred[0, 0]['vididx'].dtype == float


def test_everybody_keeps_the_place_and_only_the_predicted_have_points(tmp_path, all_test, capsys):
    chosen = [('025508722.jpg', 0), ('052475643.jpg', 1), ('005808361.jpg', 0)]      # not the release's order
    predictions = predict(tmp_path, chosen)
    out = submit(tmp_path, all_test)
    before, after = read_release(all_test), read_back(out)
    assert len(before) == 7 and [person.visible.any() for person in after] == [1, 0, 1, 0, 0, 0, 1]
    for old, new in zip(before, after):
        assert (new.image, new.index, new.is_train, new.scale) == (old.image, old.index, False, old.scale)
        np.testing.assert_array_equal(new.center, old.center)
        np.testing.assert_array_equal(new.head_box, old.head_box)
        if (new.image, new.index) in chosen:
            np.testing.assert_array_equal(new.joints, predictions[chosen.index((new.image, new.index))])
    annorects = loadmat(out)['pred']['annorect'][0]
    assert [annorect.shape for annorect in annorects] == [(1, 1), (1, 2), (1, 1), (1, 1), (1, 1), (0, 0), (1, 1)]
    assert annorects[1][0, 0]['annopoints'].shape == (0, 0)
    # single_person: the first of each image, none where there is nobody; 052475643.jpg's is not predicted
    assert capsys.readouterr().out == (f'{out}: 3 of 7 people in 7 images\n'
                                       'without points: 4 of the 6 people whom the evaluation scores (single_person)\n')


def test_only_the_test_images_come_out_and_annopoints_need_not_be_a_field(tmp_path, all_test):
    release = loadmat(all_test)['RELEASE']
    release['img_train'][0, 0][0, 2:] = 1
    annolist = release['annolist'][0, 0]
    annolist['annorect'][0, 1] = repack_fields(annolist['annorect'][0, 1][['scale', 'objpos']])
    savemat(all_test, {'RELEASE': release})
    predictions = predict(tmp_path, [('052475643.jpg', 1)])
    first, empty, filled = read_back(submit(tmp_path, all_test))
    assert (first.image, empty.image, filled.image) == ('005808361.jpg', '052475643.jpg', '052475643.jpg')
    assert not empty.visible.any()
    np.testing.assert_array_equal(filled.joints, predictions[0])


@pytest.mark.parametrize('change, expected', [
    (lambda record: record.pop('person'), r'test.json: record 1 has no whole number "person"'),
    (lambda record: record.update(person=True), r'test.json: record 1 has no whole number "person"'),
    (lambda record: record.update(person=2), r'test.json: record 1 is of person 2 of 052475643.jpg; the release has 2'),
    (lambda record: record.update(person=-1), r'test.json: record 1 is of person -1 of 052475643.jpg'),
    (lambda record: record.update(image='000000001.jpg'), r'record 1 is of person 1 of 000000001.jpg; .* has 0 there'),
    (lambda record: record.update(image='none.jpg'), r'test.json: record 1 is of none.jpg, which is not a test image'),
    (lambda record: record.update(person=0), r'test.json: record 1 is a second one of person 0 of 052475643.jpg')])
def test_a_record_that_fits_no_place_is_named(tmp_path, all_test, change, expected):
    predict(tmp_path, [('052475643.jpg', 0), ('052475643.jpg', 1)])
    records = read_split(tmp_path, 'test')
    change(records[1])
    write_split(tmp_path, 'test', records)
    with pytest.raises(InputError, match=expected):
        submit(tmp_path, all_test)
    assert not (tmp_path / 'out.mat').exists()


def test_a_training_image_is_not_submitted(tmp_path, mini):
    predict(tmp_path, [('005808361.jpg', 0)])
    with pytest.raises(InputError, match='record 0 is of 005808361.jpg, which is not a test image'):
        submit(tmp_path, mini)


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_is_named(tmp_path, all_test, bad):
    predictions = predict(tmp_path, [('005808361.jpg', 0), ('052475643.jpg', 1)])
    predictions[1, 7, 1] = bad
    save_predictions(tmp_path / 'pred.mat', predictions)
    with pytest.raises(InputError, match=r'pred.mat: prediction 1 \(of 052475643.jpg\) is not finite'):
        submit(tmp_path, all_test)


def test_as_many_predictions_as_records(tmp_path, all_test):
    predict(tmp_path, [('005808361.jpg', 0)])
    save_predictions(tmp_path / 'pred.mat', np.ones((2, 16, 2)))
    with pytest.raises(InputError, match=r'pred.mat: "preds" has shape \(2, 16, 2\); .* needs \(1, 16, 2\)'):
        submit(tmp_path, all_test)


def damaged(release, field):
    """A release without a field of RELEASE, or of RELEASE.annolist."""
    whole = loadmat(release)['RELEASE']
    fields = {name: whole[name][0, 0] for name in whole.dtype.names if name != field}
    if field in whole['annolist'][0, 0].dtype.names:
        annolist = fields['annolist']
        fields['annolist'] = repack_fields(annolist[[name for name in annolist.dtype.names if name != field]])
    return {'RELEASE': fields}


@pytest.mark.parametrize('content', [
    lambda mini: {'other': 1}, lambda mini: {'RELEASE': 5}, lambda mini: {'RELEASE': 'text'},
    lambda mini: damaged(mini, 'annolist'), lambda mini: damaged(mini, 'img_train'),
    lambda mini: damaged(mini, 'single_person'), lambda mini: damaged(mini, 'image'),
    lambda mini: damaged(mini, 'annorect'), lambda mini: {'RELEASE': {**damaged(mini, '')['RELEASE'], 'img_train': 0}},
    lambda mini: {'RELEASE': {**damaged(mini, '')['RELEASE'], 'img_train': np.ones((1, 7))}}])
def test_a_file_that_is_not_the_release_is_named(tmp_path, mini, content):
    predict(tmp_path, [('025508722.jpg', 0)])
    savemat(tmp_path / 'foreign.mat', content(mini))
    with pytest.raises(InputError, match='foreign.mat: holds no test images in RELEASE.annolist'):
        submit(tmp_path, tmp_path / 'foreign.mat')


def test_as_a_program_from_another_folder(tmp_path, mini, root):
    predict(tmp_path, [('025508722.jpg', 0)])

    def program(out):
        command = [sys.executable, str(root / 'pose_mpii' / 'submit.py'), '--pred', 'pred.mat', '--data', '.',
                   '--mat', str(mini), '--out', out]
        return subprocess.run(command, cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True)
    assert program('out.mat').stdout == 'out.mat: 1 of 1 people in 1 images\n'
    assert (tmp_path / 'out.mat').exists()
    refused = program('out.json')
    assert (refused.returncode, refused.stderr) == (2, 'error: out.json: should end in .mat\n')
