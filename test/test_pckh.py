"""PCKh: hand-worked cases, an independent reference, real files and the command line."""
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from refused import fails
from scipy.io import savemat

from common.errors import InputError
from pose_mpii import evaluate as program
from pose_mpii.layout import ground_truth_file, read_ground_truth, write_ground_truth, write_split
from pose_mpii.paper import SCORES
from pose_mpii.pckh import ALPHAS, distances, format_table, head_sizes, pckh, rules
from pose_mpii.predictions import save_predictions
from pose_mpii.skeleton import GROUPS, PELVIS, SKELETON, THORAX

ROOT = Path(__file__).resolve().parents[1]
BOX = [[100.0, 100.0], [130.0, 140.0]]          # diagonal 50, so a head size of 30 pixels


def one_person(**offsets):
    """A person whose joints are all at (200, 200) and predicted there, but for some `j<index>=(dx, dy)`."""
    joints = np.full((1, 16, 2), 200.0)
    predictions = joints.copy()
    for name, offset in offsets.items():
        predictions[0, int(name[1:])] += offset
    return predictions, joints, np.ones((1, 16), bool), np.array([BOX])


def reference(predictions, joints, visible, boxes):
    """PCKh in whole numbers, joint by joint, for distances and head sizes that are whole numbers of pixels."""
    hits, hits_of, total, total_of = [0] * 51, {}, 0, {}
    for n in range(len(joints)):
        width, height = (int(side) for side in boxes[n][1] - boxes[n][0])
        diagonal = math.isqrt(width ** 2 + height ** 2)
        assert diagonal ** 2 == width ** 2 + height ** 2
        for k in range(16):
            if k in (PELVIS, THORAX) or not visible[n][k]:
                continue
            groups = [name for name, members in GROUPS.items() if k in members]
            total += 1
            for group in groups:
                total_of[group] = total_of.get(group, 0) + 1
            if not np.isfinite(predictions[n][k]).all():
                continue
            dx, dy = (int(d) for d in predictions[n][k] - joints[n][k])
            for alpha in range(51):
                # sqrt(dx^2 + dy^2) <= alpha / 100 * 6 / 10 * diagonal, squared and without fractions
                hit = (dx ** 2 + dy ** 2) * 1000 ** 2 <= (alpha * 6 * diagonal) ** 2
                hits[alpha] += hit
                for group in groups if alpha == 50 else ():
                    hits_of[group] = hits_of.get(group, 0) + hit
    values = [100 * hit / total for hit in hits]
    return values, {name: 100 * hits_of.get(name, 0) / total_of[name] if name in total_of else None
                    for name in GROUPS}


def approximately(result):
    return {key: approximately(value) if isinstance(value, dict) else pytest.approx(value)
            for key, value in result.items()}


def test_the_ground_truth_itself_scores_100():
    result = pckh(*one_person())
    assert result == {'PCKh@0.5': 100, 'PCKh@0.1': 100, 'AUC': 100, 'joints': dict.fromkeys(GROUPS, 100),
                      'curve': [100] * 51}


def test_the_bound_is_correct_and_a_little_more_is_not():
    # 15 pixels are 0.5 of a head of 30, 3 pixels are 0.1; each joint is one of the 14 that count
    result = pckh(*one_person(j0=(15, 0), j1=(15.001, 0), j2=(0, -3), j3=(0, 3.001)))
    assert result['PCKh@0.5'] == pytest.approx(100 * 13 / 14)
    assert result['PCKh@0.1'] == pytest.approx(100 * 11 / 14)
    assert result['joints'] == {**dict.fromkeys(GROUPS, 100), 'Knee': 50}
    # of the 51 alphas, joint 0 is correct at one, joint 1 at none, joint 2 at 41 and joint 3 at 40
    assert result['AUC'] == pytest.approx(100 * (10 * 51 + 1 + 0 + 41 + 40) / (14 * 51))


def test_a_shift_of_three_tenths_of_a_head_is_right_at_half_and_wrong_at_a_tenth():
    predictions, joints, visible, boxes = one_person()
    result = pckh(predictions + [9.0, 0.0], joints, visible, boxes)
    assert (result['PCKh@0.5'], result['PCKh@0.1']) == (100, 0)
    assert result['AUC'] == pytest.approx(100 * 21 / 51)


def test_pelvis_thorax_and_joints_without_annotation_do_not_count():
    predictions, joints, visible, boxes = one_person(j6=(900, 0), j7=(900, 0), j9=(900, 0), j0=(900, 0))
    visible[0, [0, 9]] = False
    result = pckh(predictions, joints, visible, boxes)
    assert result['PCKh@0.5'] == 100
    assert result['joints'] == {**dict.fromkeys(GROUPS, 100), 'Head': None}
    json.dumps(result, allow_nan=False)


def test_the_neck_counts_in_the_mean_and_in_the_servers_head_only():
    result = pckh(*one_person(j8=(900, 0)))
    assert result['PCKh@0.5'] == pytest.approx(100 * 13 / 14)
    assert result['joints'] == {**dict.fromkeys(GROUPS, 100), 'Head+neck': 50}


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings('error')
def test_predictions_that_are_not_finite_are_wrong(value):
    result = pckh(*one_person(j4=(value, 0)))
    assert result['PCKh@0.5'] == pytest.approx(100 * 13 / 14)
    assert result['joints']['Knee'] == 50


@pytest.mark.filterwarnings('error')
def test_ground_truth_without_annotation_may_be_nan_and_none_at_all_is_an_error():
    predictions, joints, visible, boxes = one_person()
    joints[0, 3], visible[0, 3] = np.nan, False
    assert pckh(predictions, joints, visible, boxes)['PCKh@0.5'] == 100
    visible[:] = False
    visible[0, [PELVIS, THORAX]] = True
    with pytest.raises(InputError, match='no annotated joint'):
        pckh(predictions, joints, visible, boxes)


@pytest.mark.parametrize('seed', range(5))
def test_random_people_with_ties_agree_with_whole_number_arithmetic(seed):
    random = np.random.default_rng(seed)
    count = 60
    joints = random.integers(1, 400, (count, 16, 2)).astype(float)
    sides = random.choice([[30, 40], [300, 400], [400, 300]], count)            # head sizes of 30 and 300 pixels
    corners = random.integers(1, 400, (count, 2)).astype(float)
    boxes = np.stack([corners, corners + sides], axis=1)
    offsets = np.round(random.uniform(-0.3, 0.3, (count, 16, 2)) * sides.max(axis=1)[:, np.newaxis, np.newaxis])
    offsets[:, ::2, 0] = 0          # along one axis the distances are whole too: many are ties with an alpha
    predictions = joints + offsets
    predictions[random.random((count, 16)) < 0.02] = np.nan
    visible = random.random((count, 16)) < 0.8
    found = distances(predictions, joints, visible, head_sizes(boxes), rules(SKELETON))
    assert np.isin(found, ALPHAS).sum() > 50           # the data does contain ties

    values, groups = reference(predictions, joints, visible, boxes)
    assert pckh(predictions, joints, visible, boxes) == approximately(
        {'PCKh@0.5': values[50], 'PCKh@0.1': values[10], 'AUC': sum(values) / 51, 'joints': groups, 'curve': values})


def test_the_curve_has_51_points_that_never_fall(shared):
    truth = read_ground_truth(ground_truth_file(shared / 'mpii_valid', 'valid'))
    noise = np.random.default_rng(0).normal(scale=10, size=truth[0].shape)
    values = pckh(truth[0] + noise, *truth)['curve']
    assert len(values) == 51 and (np.diff(values) >= 0).all()
    result = pckh(truth[0] + noise, *truth)
    assert (values[50], values[10], np.mean(values)) == (result['PCKh@0.5'], result['PCKh@0.1'], result['AUC'])


def test_the_real_validation_split_is_scored(shared):
    joints, visible, boxes = read_ground_truth(ground_truth_file(shared / 'mpii_valid', 'valid'))
    assert pckh(joints, joints, visible, boxes)['AUC'] == 100
    heads = 0.6 * np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1)
    shifted = pckh(joints + heads[:, np.newaxis, np.newaxis] * [0.18, 0.24], joints, visible, boxes)
    assert (shifted['PCKh@0.5'], shifted['PCKh@0.1']) == (100, 0)


def test_the_table_has_the_papers_columns_and_row():
    result = pckh(*one_person(j9=(20, 0)))
    header, ours, paper = (line.split() for line in format_table(result, SCORES['table2/i1']).splitlines())
    assert header == ['Head', 'Sho.', 'Elb.', 'Wri.', 'Hip', 'Knee', 'Ank.', 'Head+neck', 'Mean', '|', '@0.5', '@0.1',
                      'AUC']
    assert ours == ['ours', '0.0'] + ['100.0'] * 6 + ['50.0', '92.9', '|', '92.9', '92.9', '92.9']
    assert paper == ['paper'] + ['-'] * 8 + ['87.3', '|', '87.3', '29.3', '58.3']
    assert len({len(line) for line in format_table(result, SCORES['table2/i1']).splitlines()}) == 1


# --- the command line ----------------------------------------------------------------------------------------------

def evaluate(*arguments, cwd, module=False):
    script = ['-m', 'pose_mpii.evaluate'] if module else [str(ROOT / 'pose_mpii' / 'evaluate.py')]
    return subprocess.run([sys.executable, *script, *map(str, arguments)], cwd=str(cwd), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True)


@pytest.fixture
def data(tmp_path):
    """A data folder with the ground truth of one person, and predictions of it in both formats."""
    predictions, *truth = one_person(j9=(20, 0))
    write_ground_truth(ground_truth_file(tmp_path, 'valid'), *truth)
    for name in ('preds.mat', 'preds.json'):
        save_predictions(tmp_path / name, predictions)
    return tmp_path


@pytest.mark.parametrize('name, module', [('preds.mat', False), ('preds.json', True)])
def test_evaluate_prints_the_table_and_writes_json(data, name, module):
    done = evaluate('--pred', data / name, '--data', data, '--split', 'valid', '--json', data / 'new' / 'result.json',
                    cwd=ROOT if module else data, module=module)
    assert (done.returncode, done.stderr) == (0, '')
    expected = pckh(*one_person(j9=(20, 0)))
    assert done.stdout == format_table(expected) + '\n'
    assert json.loads((data / 'new' / 'result.json').read_text()) == expected


@pytest.mark.parametrize('options, expected', [
    ({'--pred': 'none.mat'}, 'none.mat: cannot be read'),
    ({'--pred': 'preds.npy'}, 'preds.npy: predictions are kept in .mat or .json files'),
    ({'--pred': 'empty.mat'}, 'empty.mat: holds no "preds"'),
    ({'--pred': 'two.mat'}, 'two.mat: "preds" has shape (2, 16, 2); the ground truth needs (1, 16, 2)'),
    ({'--pred': 'complex.mat'}, 'complex.mat: "preds" should be (1, 16, 2) numbers'),
    ({'--split': 'train'}, 'train.json: no such file'),
    ({'--split': '../annot/valid'}, "'../annot/valid': expected a split, such as valid"),
    ({'--data': 'nowhere'}, 'nowhere: no such folder'),
    ({'--json': 'preds.mat/result.json'}, 'cannot create this folder'),
    ({'--json': 'annot'}, 'annot: cannot be written')])
def test_evaluate_says_in_one_line_what_is_wrong(data, monkeypatch, options, expected):
    savemat(data / 'empty.mat', {'other': 1})
    savemat(data / 'complex.mat', {'preds': np.ones((1, 16, 2)) * 1j})
    save_predictions(data / 'two.mat', np.zeros((2, 16, 2)))
    options = {'--pred': 'preds.mat', '--data': '.', **options}
    monkeypatch.chdir(data)
    assert expected in fails(program.main, [item for pair in options.items() for item in pair])


def test_evaluate_compares_the_ground_truth_with_the_records(data):
    joints, _, _ = read_ground_truth(ground_truth_file(data, 'valid'))
    record = {'image': 'x.jpg', 'center': [200, 200], 'scale': 1, 'joints': joints[0].tolist(),
              'joints_vis': [True] * 16}
    arguments = ['--pred', str(data / 'preds.mat'), '--data', str(data)]
    write_split(data, 'valid', [record])
    program.main(arguments)
    write_split(data, 'valid', [record, record])
    assert 'gt_valid.mat: holds 1 people; the records of its split are 2' in fails(program.main, arguments)
    write_split(data, 'valid', [{**record, 'joints': (joints[0] + 9).tolist()}])
    assert 'gt_valid.mat: person 0 has other joints than record 0' in fails(program.main, arguments)


def test_evaluate_counts_the_scored_joints_that_were_not_predicted(data, capsys):
    predictions = np.full((1, 16, 2), 200.0)
    predictions[0, [0, PELVIS], 1] = np.nan                            # the pelvis is not scored
    save_predictions(data / 'preds.json', predictions)
    program.main(['--pred', str(data / 'preds.json'), '--data', str(data)])
    assert 'preds.json: 1 scored joints have no finite prediction' in capsys.readouterr().err


def test_evaluate_says_where_people_are_measured_by_joints(data, capsys):
    ground_truth_file(data, 'valid').unlink()
    joints = np.full((16, 2), 200.0)
    joints[9, 1] -= 40                        # from the neck to the top of the head; predicted at (220, 200)
    write_split(data, 'valid', [{'image': 'x.jpg', 'center': [200, 200], 'scale': 1, 'joints': joints.tolist(),
                                 'joints_vis': [1] * 16}])
    program.main(['--pred', str(data / 'preds.mat'), '--data', str(data), '--json', str(data / 'result.json')])
    assert 'measured by head top to upper neck' in capsys.readouterr().out
    assert json.loads((data / 'result.json').read_text())['unit'] == 'measured by head top to upper neck'
