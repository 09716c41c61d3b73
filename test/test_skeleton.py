"""Skeletons: what their files hold, where experiments name them, and what is wrong with those that are none."""
import pytest
import yaml

from common import config, skeleton
from common.errors import InputError
from common.guard.rules import Wrong
from pose_coco.skeleton import SKELETON as COCO
from pose_mpii.skeleton import SKELETON as MPII

TREE = {'joints': ['left eye', 'right eye', 'nose'], 'flip_pairs': [['left eye', 'right eye']],
        'limbs': [['nose', 'left eye'], ['nose', 'right eye']]}


def test_pairs_are_of_indices_and_sides_of_names():
    small = skeleton.from_names(skeleton.check({**TREE, 'optional': ['nose'], 'detours': [['left eye', 'right eye']]}))
    assert small == (('left eye', 'right eye', 'nose'), ((0, 1),), ((2, 0), (2, 1)), (2,), ((0, 1),), None, 'LRM')
    assert MPII.normalised_by == (9, 8) and COCO.normalised_by is None
    named = skeleton.from_names(skeleton.check({**TREE, 'sides': 'MMR', 'normalised_by': ['nose', 'left eye']}))
    assert (named.normalised_by, named.sides) == ((2, 0), 'MMR')
    names = ['AnkleLeft', 'R_Wrist', 'l.hip', 'LKnee', 'Nose', 'upper neck', 'rump']
    assert skeleton.from_names({'joints': names, 'flip_pairs': [], 'limbs': []}).sides == 'LRLLMMM'
    assert skeleton.from_names(TREE).optional == skeleton.from_names(TREE).detours == ()


@pytest.mark.parametrize('person, middle', [(MPII, {'pelvis', 'thorax', 'upper neck', 'head top'}), (COCO, {'nose'})])
def test_a_mirrored_person_has_its_sides_exchanged(person, middle):
    for a, b in person.flip_pairs:
        assert person.joints[a].partition(' ')[2] == person.joints[b].partition(' ')[2]
        assert {person.sides[a], person.sides[b]} == {'L', 'R'}
    paired = {person.joints[joint] for pair in person.flip_pairs for joint in pair}
    assert paired | middle == set(person.joints) and not paired & middle


def test_an_experiment_names_it_from_its_own_folder_and_an_option_from_the_users(root, tmp_path, monkeypatch):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'skeleton.yaml').write_text(yaml.safe_dump(TREE))
    path = tmp_path / 'mine' / 'x.yaml'
    path.write_text(f'base: {root}/experiments/mpii/base.yaml\ndata: {{skeleton: skeleton.yaml}}\n')
    assert skeleton.of(config.load(path)) == skeleton.from_names(TREE)
    monkeypatch.chdir(tmp_path)
    cfg = config.load(root / 'experiments/mpii/base.yaml', ['data.skeleton=mine/skeleton.yaml'])
    assert skeleton.of(cfg) == skeleton.from_names(TREE)


@pytest.mark.parametrize('change, told', [
    ({'joints': []}, 'joints: expected'), ({'joints': 'nose'}, 'joints: expected'),
    ({'joints': [1]}, 'joints: expected'), ({'joints': ['nose', 'nose']}, 'a name stands twice'),
    ({'limbs': None}, 'limbs: expected'),
    ({'limbs': 'left\neye'}, 'limbs: expected'), ({'limbs': [['nose', 'nose']]}, 'limbs: expected'),
    ({'limbs': [['nose', 'ear']]}, "['nose', 'ear'] is none"), ({'limbs': [['nose']]}, 'limbs: expected'),
    ({'flip_pairs': [['left eye', 'right eye'], ['left eye', 'nose']]}, 'a joint stands in two'),
    ({'optional': ['ear']}, 'optional: expected'), ({'detours': [[['nose'], 'nose']]}, 'detours: expected'),
    ({'normalised_by': ['nose']}, 'normalised_by: expected two joints'),
    ({'normalised_by': ['nose', 'ear']}, 'normalised_by: expected'),
    ({'normalised_by': None}, 'normalised_by: expected'),
    ({'sides': 'LR'}, 'sides: expected 3 letters'), ({'sides': 'LRX'}, 'sides: expected'),
    ({'sides': 3}, 'sides: expected'),
    ({'limb': []}, 'expected joints, flip_pairs, limbs')])
def test_what_is_wrong_is_said_in_one_line(change, told):
    with pytest.raises(Wrong) as caught:
        skeleton.check({**TREE, **change})
    assert told in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('text, told', [('gone.yaml', 'gone.yaml: cannot be read'), ('5', 'data.skeleton: expected'),
                                        ('"a\\0b"', 'data.skeleton: expected'), ('""', 'cannot be read'),
                                        ('x.yaml', 'data.skeleton: expected joints')])
def test_a_file_that_is_none_is_named(root, tmp_path, text, told):
    path = tmp_path / 'x.yaml'
    path.write_text(f'base: {root}/experiments/mpii/base.yaml\ndata: {{skeleton: {text}}}\n')
    with pytest.raises(InputError) as caught:
        config.load(path)
    assert told in str(caught.value) and '\n' not in str(caught.value)
