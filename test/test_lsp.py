"""Leeds Sports Pose Extended in MPII's layout: the real annotations, and what is no such release."""

import numpy as np
import pytest
from scipy.io import savemat

from common.errors import InputError
from pose_mpii.layout import ground_truth_file, read_ground_truth, read_split
from pose_mpii.lsp import read_lsp
from pose_mpii.pckh import pckh
from pose_mpii.prepare import main

# Nearly the same photographs as three of valid, which an older version of the program left in train.
ALIKE = ('im00660.jpg', 'im05545.jpg', 'im07174.jpg')


@pytest.fixture
def release(shared, tmp_path):
    """The release's folder: its own joints.mat, and no images but a folder for them."""
    folder = tmp_path / 'lspet'
    (folder / 'images').mkdir(parents=True)
    (folder / 'joints.mat').symlink_to(shared / 'lspet_mpii/lspet_joints.mat')
    return folder


def test_the_release_becomes_the_annotation_files_there(release, shared, tmp_path):
    main(['--lsp', str(release), '--out', str(tmp_path / 'out')])
    for split in ('train', 'valid', 'trainval'):
        ours, theirs = read_split(tmp_path / 'out', split), read_split(shared / 'lspet_mpii', split)
        theirs = [record for record in theirs if record['image'] not in ALIKE]
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs):
            assert (one['image'], one['joints_vis']) == (other['image'], other['joints_vis'])
            for field in ('center', 'scale', 'joints'):
                np.testing.assert_allclose(one[field], other[field], atol=1e-3)
    for one, other in zip(*(read_ground_truth(ground_truth_file(data, 'valid'))
                            for data in (tmp_path / 'out', shared / 'lspet_mpii'))):
        np.testing.assert_allclose(one, other, atol=1e-3)
    assert (tmp_path / 'out/images').resolve() == (release / 'images').resolve()


def test_the_head_size_is_the_distance_of_head_and_neck(release, tmp_path):
    """Predictions half of that distance off are the last to count at 0.5."""
    main(['--lsp', str(release), '--out', str(tmp_path)])
    joints, visible, boxes = read_ground_truth(ground_truth_file(tmp_path, 'valid'))
    half = np.linalg.norm(joints[:, 9] - joints[:, 8], axis=1)[:, np.newaxis, np.newaxis] / 2
    assert pckh(joints + half * [0.999, 0], joints, visible, boxes)['PCKh@0.5'] == 100
    assert pckh(joints + half * [1.001, 0], joints, visible, boxes)['PCKh@0.5'] == 0


def test_people_with_too_little_are_left_out(tmp_path):
    joints = np.zeros((14, 3, 10000))
    joints[:, :2] = np.arange(14)[:, np.newaxis, np.newaxis] * 10.0
    joints[:, 2] = 1
    joints[7:, 2, 0] = 0                      # image 1: seven joints
    joints[6:, 2, 1] = 0                      # image 2: eight of them, the head among them
    joints[12:, 2, 1] = 1
    joints[12:, :2, 8000] = [[50, 50], [50, 53.9]]            # image 8001: a head of 3.9 pixels
    joints[13, 2, 8001] = 0                   # image 8002: no head top
    joints[:, :2, 2] = 50                     # image 3: all joints in one place
    savemat(tmp_path / 'joints.mat', {'joints': joints})
    splits = read_lsp(tmp_path)
    assert [person.image for person in splits['train'][:2]] == ['im00002.jpg', 'im00004.jpg']
    assert splits['train'][0].visible.sum() == 8
    assert splits['valid'][0].image == 'im08003.jpg'
    assert len(splits['trainval']) == 7998 - len(ALIKE) + 998


@pytest.mark.parametrize('variables', [{'joints': np.zeros((3, 14, 2000))}, {'points': np.zeros((14, 3, 10000))}])
def test_another_file_is_named(tmp_path, variables):
    savemat(tmp_path / 'joints.mat', variables)
    with pytest.raises(InputError, match=r'joints.mat: should hold numbers "joints" of shape \(14, 3, 10000\)'):
        read_lsp(tmp_path)


@pytest.mark.parametrize('options', [[], ['--images', '.']])
def test_a_release_without_anybody_to_validate_on_is_named(tmp_path, options):
    savemat(tmp_path / 'joints.mat', {'joints': np.zeros((14, 3, 10000))}, do_compression=True)
    with pytest.raises(InputError, match='joints.mat: annotates nobody of images 8001 to 9000'):
        main(['--lsp', str(tmp_path), '--out', str(tmp_path / 'out'), *options])


def test_a_release_is_asked_for(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(['--out', str(tmp_path)])
    assert '--mat' in capsys.readouterr().err
