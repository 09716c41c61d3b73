"""Which joints of which people are scored, and by what, for joints of one's own and for MPII's."""
import json
import shutil

import numpy as np
import pytest
import yaml
from own import as_coco, prepared, write

from common.errors import InputError
from pose_mpii import evaluate, from_coco, pckh, prepare, test
from pose_mpii.dataset import MPII
from pose_mpii.layout import ground_truth_file, read_split
from pose_mpii.skeleton import SKELETON


@pytest.fixture(scope='module')
def data(tiny_data, tmp_path_factory):
    """A folder that `prepare.py --coco` made of one file."""
    return prepared(tiny_data, tmp_path_factory.mktemp('own'))


@pytest.mark.parametrize('joints, pairs, columns', [
    (['HeadTop', 'LAnkle', 'RAnkle'], [[1, 2]], {'HeadTop': [0], 'Ankle': [1, 2]}),
    (['right_wrist', 'nose', 'left_wrist'], [[2, 0]], {'wrist': [0, 2], 'nose': [1]}),
    (['hip', 'left hip', 'right hip'], [[1, 2]], {'hip': [0], 'left hip + right hip': [1, 2]}),
    (['left hip', 'right hip', 'hip'], [[0, 1]], {'left hip + right hip': [0, 1], 'hip': [2]}),
    (['port', 'starboard'], [[0, 1]], {'port + starboard': [0, 1]})])
def test_every_joint_is_in_one_column_of_the_table(joints, pairs, columns):
    person = from_coco.skeleton.from_names({'joints': joints, 'limbs': [],
                                            'flip_pairs': [[joints[a], joints[b]] for a, b in pairs]})
    how, errors = pckh.rules(person), 100 * np.arange(len(joints))             # all joints but the first are missed
    truth = np.zeros((1, len(joints), 2))
    result = pckh.pck(truth + errors[:, None], truth, np.ones((1, len(joints)), bool), np.ones(1), how)
    assert result['joints'] == {name: 100 / len(members) if 0 in members else 0 for name, members in columns.items()}
    assert list(how.groups) == list(columns)


def predictions(data, person, error):
    """The annotated joints of valid, `error` pixels off, as a file."""
    joints = [np.array(record['joints']) + [error, 0] for record in read_split(data, 'valid', person)]
    return str(write(data.parent / 'joints.json', np.stack(joints).tolist()))


@pytest.mark.parametrize('unit, metrics', [
    (None, ['PCK@0.05 of the box', 'PCK@0.01 of the box']),
    (['L Hip', 'R Shoulder'], ['PCK@0.5 of L Hip to R Shoulder', 'PCK@0.1 of L Hip to R Shoulder'])])
def test_without_a_head_the_figures_are_called_by_what_measures(data, tmp_path, unit, metrics):
    tree = yaml.safe_load((data / 'skeleton.yaml').read_text())
    tree.pop('normalised_by')
    path = tmp_path / 'skeleton.yaml'
    path.write_text(yaml.safe_dump({**tree, **({'normalised_by': unit} if unit else {})}))
    person = from_coco.skeleton.read(path)
    records = read_split(data, 'valid', person)
    if unit:
        pair = [person.joints.index(name) for name in unit]
        sizes = [np.hypot(*np.subtract(*np.array(record['joints'])[pair])) for record in records]
        known = np.array([all(record['joints_vis'][joint] for joint in pair) for record in records])
    else:
        sizes, known = [20 * record['scale'] for record in records], np.ones(len(records), bool)
    counts = np.array([record['joints_vis'] for record in records]) * known[:, None]
    error = 0.5 * np.median(sizes)
    found = 100 * counts[error <= 0.5 * np.array(sizes)].sum() / counts.sum()
    evaluate.main(['--pred', predictions(data, person, error), '--data', str(data), '--skeleton', str(path),
                   '--json', str(tmp_path / 'scores.json')])
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert list(scores)[:3] == [*metrics, 'AUC'] and scores[metrics[0]] == pytest.approx(found)


def test_without_its_ground_truth_mpii_is_measured_by_head_and_neck(tiny_data, tmp_path):
    """The sample's head boxes are made of these two joints, so that the scores are the same."""
    data = shutil.copytree(tiny_data, tmp_path / 'data')
    scores = []
    for name in ('with', 'without'):
        evaluate.main(['--pred', predictions(data, SKELETON, 2),
                       '--data', str(data), '--json', str(tmp_path / f'{name}.json')])
        scores.append(json.loads((tmp_path / f'{name}.json').read_text()))
        ground_truth_file(data, 'valid').unlink(missing_ok=True)
    assert scores[0]['PCKh@0.1'] == pytest.approx(scores[1]['PCKh@0.1'], abs=2)


def test_who_cannot_be_measured_is_not_scored_and_counted(data, tmp_path, capsys):
    copy, path = shutil.copytree(data, tmp_path / 'data', symlinks=True), data / 'skeleton.yaml'
    person = from_coco.skeleton.read(path)
    records = read_split(copy, 'valid', person)
    for record in records[:2]:
        record['joints_vis'][12] = 0
    write(copy / 'annot/valid.json', records)
    arguments = ['--data', str(copy), '--skeleton', str(path), '--json', str(tmp_path / 'scores.json')]
    evaluate.main(['--pred', predictions(copy, person, 0), *arguments])
    assert 'valid.json: 2 of 4 people are not scored: errors are measured by' in capsys.readouterr().err
    for record in records:
        record['joints_vis'][12] = 0
    write(copy / 'annot/valid.json', records)
    with pytest.raises(InputError, match='nobody in it can be scored.*two other joints in the '
                                         "skeleton's normalised_by"):
        evaluate.main(['--pred', predictions(copy, person, 0), *arguments])


def test_several_splits_are_tested_as_one(tiny_data, experiments, params, tmp_path):
    counts = []
    for split in ('valid', 'valid+train'):
        test.main(['--cfg', str(experiments / 'h1.yaml'), '--params', str(params['h1']), '--data', str(tiny_data),
                   '--split', split, '--save', str(tmp_path / 'joints.json'), '--set', 'input.size=[64, 64]',
                   '--json', str(tmp_path / 'tested.json')])
        counts.append(len(json.loads((tmp_path / 'joints.json').read_text())['preds']))
    assert counts == [8, 24]
    evaluate.main(['--pred', str(tmp_path / 'joints.json'), '--data', str(tiny_data), '--split', split, '--json',
                   str(tmp_path / 'evaluated.json')])
    tested, evaluated = (json.loads((tmp_path / f'{name}.json').read_text()) for name in ('tested', 'evaluated'))
    assert {key: tested[key] for key in MPII.metrics} == {key: evaluated[key] for key in MPII.metrics}


def test_what_is_read_is_never_written_over(data, tiny_data, tmp_path):
    files = [write(tmp_path / f'{split}.json', as_coco(tiny_data, [split])) for split in ('train', 'valid')]
    (tmp_path / 'annot').mkdir()
    files = [path.rename(tmp_path / 'annot' / path.name) for path in files]
    before = [path.read_text() for path in files]
    with pytest.raises(InputError, match='train.json: would overwrite what is read'):
        prepare.main(['--coco', *map(str, files), '--images', str(tiny_data / 'images'), '--out', str(tmp_path)])
    assert [path.read_text() for path in files] == before
    records = data / 'annot/valid.json'
    with pytest.raises(InputError, match='valid.json: would overwrite what is read'):
        evaluate.main(['--pred', str(tmp_path / 'none.json'), '--data', str(data), '--json', str(records),
                       '--skeleton', str(data / 'skeleton.yaml')])


def test_a_split_without_joints_has_nothing_to_score(tiny_data, tmp_path):
    records = read_split(tiny_data, 'valid')
    (tmp_path / 'annot').mkdir()
    write(tmp_path / 'annot/test.json',
          [{key: record[key] for key in ('image', 'center', 'scale')} for record in records])
    with pytest.raises(InputError, match='test.json: has people without joints, and so no ground truth'):
        evaluate.main(['--pred', predictions(tiny_data, SKELETON, 0), '--data', str(tmp_path), '--split', 'test'])
