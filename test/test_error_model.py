"""The model of the paper's tables: against closed forms on made people, and on the real annotations."""
import json
import math
import shutil

import cv2
import numpy as np
import pytest

from common import config, grid
from common.errors import InputError
from pose_mpii import error_model
from pose_mpii.error_model import People, agreement, argmax, explain, fit, gain, pairs, quarter
from pose_mpii.paper import SCORES
from pose_mpii.pckh import METRICS

TENTH = 2.56                                  # pixels of PCKh@0.1 in these tests, a hundredth of the crop, as in MPII
WIDTH = 16                                    # pixels of a cell; four times TENTH are less


@pytest.fixture(scope='module')
def people():
    """Joints that are everywhere in their cells alike (Roberts' R2 sequence)."""
    joints = 256 * np.modf(np.arange(32000)[:, np.newaxis] * [0.7548776662466927, 0.5698402909980532])[0]
    head = 10 * TENTH / 0.6 / math.sqrt(2)    # a square's side
    return People(joints.reshape(2000, 16, 2), np.ones((2000, 16), bool), np.tile([[0, 0], [head, head]], (2000, 1, 1)))


def within(distance, noise):
    """Percent of joints within a distance of where they should be: Rayleigh's distribution."""
    return 100 * (1 - math.exp(-distance ** 2 / (2 * noise ** 2)))


@pytest.mark.parametrize('noise', [1.5, 3, 6])
def test_exact_joints_are_within_a_threshold_by_rayleighs_distribution(people, noise):
    half, tenth, area = people.scores(people.found(noise))
    assert (half, tenth) == pytest.approx((within(5 * TENTH, noise), within(TENTH, noise)), abs=0.2)
    assert area == pytest.approx(np.mean([within(10 * alpha * TENTH, noise) for alpha in np.arange(51) / 100]), abs=0.2)
    assert people.scores(people.found(noise), 0.9) == pytest.approx([0.9 * half, 0.9 * tenth, 0.9 * area])


@pytest.mark.parametrize('noise, share', [(2, 0.95), (4, 0.8)])
def test_the_noise_is_found_from_the_two_scores(people, noise, share):
    assert fit(people, (share * within(5 * TENTH, noise), share * within(TENTH, noise))) == pytest.approx(noise, 0.01)


def test_scores_that_no_noise_has_are_an_error(people):
    with pytest.raises(InputError, match='no noise of 0.05 to 100 pixels gives PCKh@0.5 50 and PCKh@0.1 60'):
        fit(people, (50, 60))


def test_cells_much_finer_than_the_noise_cost_nothing(people):
    joints = people.found(3)
    assert people.scores(argmax(joints, 0.02)) == pytest.approx(people.scores(joints), abs=0.02)
    assert gain(people, 0.01, 0.03) == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize('reading, discs', [('argmax', 1), ('quarter', 4), ('quarter off', 1), ('half off', 1 / 4)])
def test_without_noise_the_joints_that_are_right_lie_in_discs_about_what_is_read(people, reading, discs):
    tenth = people.scores(error_model.READINGS[reading](people.found(0), WIDTH))[1]
    assert tenth == pytest.approx(100 * discs * math.pi * TENTH ** 2 / WIDTH ** 2, rel=0.05)


def test_readings_in_order_of_what_they_lose(people):
    joints = people.found(3)
    scores = [people.scores(read(joints, 8)) for read in error_model.READINGS.values()]
    centre, moved, quarter_off, half_off = np.array(scores)[:, 1:]                    # PCKh@0.1 and AUC
    assert (people.scores(joints)[1:] > moved).all() and (moved > centre).all()
    assert (centre > quarter_off).all() and (quarter_off > half_off).all()


@pytest.mark.parametrize('ratio', [1.5, 3, 5])
def test_the_gain_is_that_of_a_closed_form_where_cells_are_wide(people, ratio):
    """The maximum is right where the joint is near its cell's centre, and the noise keeps it in that cell."""
    width = 32
    right = 100 * math.pi * TENTH ** 2 / width ** 2 * math.erf(ratio / math.sqrt(8)) ** 2
    assert gain(people, ratio, width) == pytest.approx(within(TENTH, width / ratio) / right, rel=0.05)


def test_cells_are_those_of_the_grid():
    joints = np.array([[-0.4, 7.4], [7.6, 15.4]])                                    # cell 0 ends at 7.5
    assert argmax(joints, 8).tolist() == [[3.5, 3.5], [11.5, 11.5]]
    assert argmax(joints, 8, 0.5).tolist() == [[-0.5, -0.5], [7.5, 7.5]]
    assert quarter(joints, 8).tolist() == [[1.5, 5.5], [9.5, 13.5]]


def test_every_different_pair_of_tables_2_to_5_is_there_once_with_its_experiments_cells(root):
    assert [pair.name for pair in pairs()] == [
        'table2/h1', 'table2/h2', 'table2/h3', 'table3/a/h1', 'table3/b/h1', 'table3/c/h1', 'table4/resnet18/h1',
        'table4/resnet101/h1', 'table5/stages2/h1', 'table5/stages3/h1', 'table5/stages4/h1']
    for pair in pairs():
        cfg = config.load(root / 'experiments' / 'mpii' / f'{pair.name}.yaml')
        assert pair.cells == cfg.input.size[0] / grid.stride(cfg.network.deconvolutions)
        assert pair.h == SCORES[pair.name]


# --- the real annotations ------------------------------------------------------------------------------------------

def test_mpiis_heads_are_all_a_tenth_of_the_crop_and_its_row_is_the_one_shown(shared, root):
    people = error_model.load(shared / 'mpii_valid', 'valid')
    for noise in (2, 4):
        assert people.scores(people.found(noise))[1] == pytest.approx(within(TENTH, noise), abs=0.2)
    line = explain(people, pairs()[0])
    assert line['model']['integral']['PCKh@0.1'] == pytest.approx(29.3, abs=0.05)            # fitted
    assert line['model']['argmax']['PCKh@0.5'] == pytest.approx(86.8)                        # fitted
    assert line['model']['argmax']['PCKh@0.1'] == pytest.approx(17.2, abs=1)                 # predicted
    shown = json.loads((root / 'results' / 'error_model.json').read_text())['rows'][0]
    for reading, scores in shown['model'].items():
        assert line['model'][reading] == pytest.approx(scores, abs=0.05)


# --- the program ---------------------------------------------------------------------------------------------------

def test_the_program_prints_both_tables_and_writes_the_same_figures_each_time(tiny_data, tmp_path, capsys):
    for name in ('one', 'two'):
        error_model.main(['--data', str(tiny_data), '--json', str(tmp_path / f'{name}.json'),
                          '--picture', str(tmp_path / f'{name}.png')])
    first, second = (json.loads((tmp_path / f'{name}.json').read_text()) for name in ('one', 'two'))
    assert first == second and cv2.imread(str(tmp_path / 'one.png')) is not None
    printed = capsys.readouterr().out
    line = first['rows'][0]
    assert line['given']['argmax'] == {'PCKh@0.5': 86.8, 'PCKh@0.1': 17.2, 'AUC': 52.9}
    predicted = line['model']['argmax']['PCKh@0.1']
    assert f'| `table2/h1` | 8 | {line["noise"]:.2f} | 17.2 | {predicted:.1f} | {predicted - 17.2:+.1f} |' in printed
    assert f'within 1 point in {agreement(first["rows"], 1)} of 11 rows' in printed
    assert agreement(first['rows'], 100) == 11 and agreement(first['rows'], -1) == 0


def measured(root, folder, **changes):
    """A folder of results with the drawings' H1 and I1, whose test.json of H1 has `changes`."""
    for method in ('h1', 'i1'):
        result = json.loads((root / 'results' / 'drawn' / 'table2' / method / 'test.json').read_text())
        (folder / method).mkdir(parents=True)
        (folder / method / 'test.json').write_text(json.dumps({**result, **(changes if method == 'h1' else {})}))
    return folder


def test_trained_networks_take_the_papers_place(root, tiny_data, tmp_path, capsys):
    folder = measured(root, tmp_path / 'drawn')
    error_model.main(['--data', str(tiny_data), '--measured', str(folder), '--json', str(tmp_path / 'drawn.json')])
    line, = json.loads((tmp_path / 'drawn.json').read_text())['rows']
    h, i = (json.loads((folder / method / 'test.json').read_text())['decodings'] for method in ('h1', 'i1'))
    assert line['cell'] == 16                                      # 64 pixels and three deconvolutions
    assert line['given'] == {reading: {metric: test[reading][metric] for metric in METRICS}
                             for reading, test in (('argmax', h), ('integral', i), ('local', h))}
    for metric in ('PCKh@0.5', 'PCKh@0.1'):                        # these are fitted
        assert line['model']['integral'][metric] == pytest.approx(i['integral'][metric], abs=0.1)
    assert "H's PCKh@0.1, measured" in capsys.readouterr().out


def test_measured_points_change_the_picture(tmp_path):
    line = {'cell': 8, 'noise': 4, 'given': {name: {'PCKh@0.1': 10} for name in ('argmax', 'local', 'integral')}}
    for name, lines in (('with', [line]), ('without', [])):
        error_model.draw_gain(tmp_path / f'{name}.png', {8: error_model.RATIOS}, lines)
    assert (tmp_path / 'with.png').read_bytes() != (tmp_path / 'without.png').read_bytes()


@pytest.mark.parametrize('changes, expected', [
    ({'decodings': {}}, 'has a bad "decodings": it should be objects argmax, local, integral with PCKh@0.5'),
    ({'config': {}}, 'has a bad "config"'),
    ({'seed': 'one'}, 'has a bad "seed"')])
def test_bad_results_are_said_in_one_line(root, tiny_data, tmp_path, changes, expected):
    folder = measured(root, tmp_path / 'bad', **changes)
    with pytest.raises(InputError) as error:
        error_model.main(['--data', str(tiny_data), '--measured', str(folder)])
    assert f'bad/h1/test.json: a result {expected}' in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('method, section, values, expected', [
    ('h1', 'network', {'deconvolutions': 6}, 'h1/test.json: a result has a bad "config": it should be with a square'),
    ('h1', 'input', {'size': [0, 0]}, 'h1/test.json: a result has a bad "config"'),
    ('h1', 'input', {'size': [64, 96]}, 'h1/test.json: a result has a bad "config"'),
    ('i1', 'input', {'size': [128, 128]}, 'i1/test.json: has heat maps of 32 x 32 cells'),
    ('i1', 'decodings', {'integral': {'PCKh@0.5': 50, 'PCKh@0.1': 60, 'AUC': 40}}, 'one: no noise of 0.05 to 100'),
    ('h1', 'decodings', {'argmax': {'PCKh@0.5': 101, 'PCKh@0.1': 6, 'AUC': 40}}, 'it should be objects argmax')])
def test_networks_that_are_no_pair_are_said_in_one_line(root, tiny_data, tmp_path, method, section, values, expected):
    path = measured(root, tmp_path / 'one') / method / 'test.json'
    result = json.loads(path.read_text())
    (result if section == 'decodings' else result['config'])[section].update(values)
    path.write_text(json.dumps(result))
    with pytest.raises(InputError) as error:
        error_model.main(['--data', str(tiny_data), '--measured', str(tmp_path / 'one')])
    assert expected in str(error.value) and '\n' not in str(error.value)


def test_results_that_are_read_are_not_overwritten(root, tiny_data, tmp_path):
    folder = measured(root, tmp_path / 'one')
    with pytest.raises(InputError, match='i1/test.json: would overwrite what is read'):
        error_model.main(['--data', str(tiny_data), '--measured', str(folder), '--json', str(folder / 'i1/test.json')])


@pytest.mark.parametrize('options, expected', [
    (['--split', 'train'], 'gt_train.mat: cannot be read'),
    (['--data', 'nowhere'], 'nowhere: no such folder'),
    (['--json', 'annot/valid.json'], 'would overwrite what is read'),
    (['--picture', 'gain.txt'], 'gain.txt: pictures are written as .png or .jpg'),
    (['--measured', 'nowhere'], 'nowhere/h1/test.json: cannot be read')])
def test_bad_input_is_said_in_one_line(tiny_data, tmp_path, monkeypatch, options, expected):
    shutil.copytree(tiny_data / 'annot', tmp_path / 'annot')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        error_model.main(['--data', '.', *options])
    assert expected in str(error.value) and '\n' not in str(error.value)
