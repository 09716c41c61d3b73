"""The study of the local integral: its scores are the test program's, and they come into the tables."""
import json
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest

from common import config, files
from common.dataset import People
from common.errors import InputError
from common.predict import inference
from common.programs import decodings
from pose_mpii import decodings as program
from pose_mpii import test
from pose_mpii.dataset import MPII
from pose_mpii.pckh import METRICS
from pose_mpii.skeleton import PELVIS
from pose_mpii.truth import Truth

SIZE = ('--set', 'input.size=[64, 64]')


@pytest.fixture(scope='module')
def studied(experiments, params, tiny_data, tmp_path_factory):
    """(the study's JSON, the test program's) of an untrained H1, whose `test.window` is 2.

    Half of its maps are surer than 0.7.
    """
    folder = tmp_path_factory.mktemp('studied')
    options = ['--cfg', str(experiments / 'h1.yaml'), '--params', str(params['h1']), '--data', str(tiny_data), *SIZE]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decodings, 'ONE_MODE', 0.7)
        program.main([*options, '--json', str(folder / 'study.json')])
    test.main([*options, '--json', str(folder / 'test.json')])
    return tuple(json.loads((folder / f'{name}.json').read_text()) for name in ('study', 'test'))


def test_at_the_configured_window_and_beta_it_is_the_test_program(studied):
    study, tested = studied
    beta = study['config']['network']['beta']
    for decoding, window in (('local', 2), ('integral', 0)):                   # over all cells: the integral itself
        line, = (line for line in study['local'] if (line['beta'], line['window']) == (beta, window))
        assert {key: tested['decodings'][decoding][key] for key in METRICS} == \
            {key: line[key] for key in METRICS}
    assert study['experiment'] == tested['experiment'] and study['config'] == tested['config']
    assert len({line['AUC'] for line in study['local']}) > 5, 'windows and betas make no difference'


def test_the_table_has_a_row_a_beta_and_a_column_a_window(studied):
    study, _ = studied
    header, _, *rows = decodings.local_table(study['local']).splitlines()
    assert header == '| beta | 3 x 3 cells | 5 x 5 cells | 7 x 7 cells | 9 x 9 cells | all cells |'
    beta = study['config']['network']['beta']
    assert [float(row.split('|')[1]) for row in rows] == [factor * beta for factor in (0.25, 0.5, 1, 2, 4)]
    line = study['local'][-1]            # the sharpest, over all cells
    assert rows[-1].split('|')[-2].strip() == ' / '.join(f'{line[key]:.1f}' for key in METRICS)


def test_a_metric_of_nobody_is_a_dash():
    assert decodings.peaks_table([]).count('\n') == 2
    assert '| 1.0 / - |' in decodings.local_table([{'beta': 1.0, 'window': 0, 'AP': 1.0, 'APM': None}])


def test_joints_of_one_mode_and_of_several_add_up_to_all(studied):
    study, tested = studied
    assert [line['modes'] for line in study['modes']] == ['one', 'several']
    assert sum(line['share'] for line in study['modes']) == pytest.approx(100)
    for method, scores in tested['decodings'].items():
        for key in METRICS:
            assert sum(line['share'] / 100 * line[method][key] for line in study['modes']) == pytest.approx(scores[key])


def test_the_scores_of_each_are_those_of_its_joints_alone(experiments, monkeypatch):
    cfg = config.load(experiments / 'h1.yaml')
    # 1-based: all at the origin; heads of 60 pixels
    people = People([], Truth(np.ones((2, 16, 2)), np.ones((2, 16), bool), np.full(2, 60)))
    one_mode = np.arange(16) <= PELVIS        # 6 of each person's 14 joints, for the pelvis does not count
    near = np.where(one_mode[:, None], [3, 4], [30, 41])                       # 5 pixels off, or more than half a head
    maps = np.zeros((2, 16, 16, 16), np.float32)
    maps[:, one_mode, 5, 5] = 2
    batch = SimpleNamespace(images=None, matrices=None)
    monkeypatch.setattr(decodings, 'ordered_loader', lambda *_: SimpleNamespace(batches=lambda: [batch]))
    monkeypatch.setattr(inference, 'infer', lambda *_: (maps, None))
    monkeypatch.setattr(decodings, '_locate', lambda *_: np.broadcast_to(near, (2, 16, 2)))
    found = decodings.study(MPII, cfg, None, people, None)
    one, several = found['modes']
    assert (one['modes'], several['modes']) == ('one', 'several')
    assert one['share'] == pytest.approx(100 * 6 / 14) and several['share'] == pytest.approx(100 * 8 / 14)
    assert (one['argmax']['PCKh@0.1'], several['argmax']['PCKh@0.5']) == (100, 0)
    low, high = found['peaks']
    assert (low['from'], low['to'], high['from'], high['to']) == (0, 0.2, 0.8, None)
    assert (low['argmax']['PCKh@0.5'], high['argmax']['PCKh@0.1']) == (0, 100)
    sure, = found['sure']
    assert sure['from'] == 0.3 and sure['share'] == pytest.approx(high['share'])
    near_enough, missed = found['found']
    assert (near_enough['found'], missed['found']) == (True, False)
    assert near_enough['share'] == pytest.approx(100 * 6 / 14) and missed['share'] == pytest.approx(100 * 8 / 14)
    assert (near_enough['local']['PCKh@0.1'], missed['local']['PCKh@0.5']) == (100, 0)
    rows = decodings.found_table(found['found']).splitlines()[2:]
    assert [row.split('|')[1].strip() for row in rows] == ['yes', 'no']
    assert files.not_finite(found) is None, 'JSON cannot hold it'
    assert [row.split('|')[1].strip() for row in decodings.peaks_table(found['peaks']).splitlines()[2:]] == \
        ['0 to 0.2', '0.8 and more']
    maps[:] = 0
    assert len(decodings.study(MPII, cfg, None, people, None)['modes']) == 1


def test_the_table_has_a_row_for_one_mode_and_one_for_several(studied):
    header, _, *rows = decodings.modes_table(studied[0]['modes']).splitlines()
    assert header == '| modes | joints | argmax | quarter | integral | local |' and len(rows) == 2
    line = studied[0]['modes'][0]
    assert rows[0].split('|')[5].strip() == ' / '.join(f'{line["integral"][key]:.1f}' for key in METRICS)


def test_an_export_is_no_control(experiments, params, tiny_data, tmp_path):
    (tmp_path / 'x.onnx').write_bytes(b'')
    with pytest.raises(InputError, match='x.onnx: an export has one decoding'):
        program.main(['--cfg', str(experiments / 'h1.yaml'), '--params', str(params['h1']), '--data', str(tiny_data),
                      '--control', str(tmp_path / 'x.onnx')])


def test_a_regression_network_has_none(experiments, params, tiny_data):
    with pytest.raises(InputError, match='a regression network has no heat maps'):
        program.main(['--cfg', str(experiments / 'r1.yaml'), '--params', str(params['r1']), '--data', str(tiny_data)])


def test_a_control_decides_how_sure_a_joint_is(studied, experiments, params, tiny_data, tmp_path):
    options = ['--cfg', str(experiments / 'h1.yaml'), '--data', str(tiny_data), *SIZE,
               '--json', str(tmp_path / 'c.json')]
    network, other = str(params['h1']), str(tmp_path / 'other.params')
    values = mx.nd.load(network)
    last = next(name for name in values if values[name].shape == (16,) and name.endswith('bias'))
    values[last] = values[last] + 3           # every map of the other is above all ranges but the last
    mx.nd.save(other, values)
    program.main([*options, '--params', network, '--control', other])
    found = json.loads((tmp_path / 'c.json').read_text())
    line, = found['peaks']
    assert line['from'] == 0.8 and line['share'] == pytest.approx(100)
    assert line['control'] == line['argmax'], 'its maxima are where the own ones are'
    assert found['local'] == studied[0]['local']


def test_a_control_decides_which_joints_are_found(experiments, monkeypatch):
    cfg = config.load(experiments / 'h1.yaml')
    people = People([], Truth(np.ones((1, 16, 2)), np.ones((1, 16), bool), np.full(1, 60)))
    control = np.full((1, 16, 2), 1000.)
    control[:, 0] = 20                        # 28 pixels off: within half a head
    batch = SimpleNamespace(images=None, matrices=None)
    monkeypatch.setattr(decodings, 'ordered_loader', lambda *_: SimpleNamespace(batches=lambda: [batch]))
    # The one network has maps of zeros and its joints at the origin, the other has maps of ones.
    monkeypatch.setattr(inference, 'infer', lambda cfg, net, *_: (np.full((1, 16, 16, 16), net, np.float32), None))
    monkeypatch.setattr(decodings, '_locate', lambda cfg, net, maps, *_: control if maps.any() else 0 * control)
    near, far = decodings.study(MPII, cfg, 0, people, None, control=1)['found']
    assert near['share'] == pytest.approx(100 / 14)
    assert (near['control']['PCKh@0.5'], near['control']['PCKh@0.1']) == (100, 0)
    assert near['argmax']['PCKh@0.1'] == far['argmax']['PCKh@0.1'] == 100 and far['control']['PCKh@0.5'] == 0
