"""The comparison's arithmetic, and that a side runs in its own process (test/benchmark/compare.py)."""
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parent / 'benchmark'))

import compare

from common.errors import InputError

SPEED = compare.Row('speed', 'a step', 'images/s', {'batch': 8}, {'A': {}, 'B': {}})


def test_ratio_is_the_median_of_the_rounds_against_the_best_peer():
    result = compare.conclude(SPEED, {'ours': [20, 30, 90], 'A': [10, 15, 15], 'B': [1, 1, 1000]})
    assert result['best'] == 'A' and result['ratios'] == [2, 2, 6] and result['ratio'] == 2


def test_the_peer_with_the_least_memory_is_the_best():
    result = compare.conclude(SPEED._replace(unit='MB'), {'ours': [100], 'A': [120], 'B': [80]})
    assert result['best'] == 'B' and result['ratio'] == 1.25


def test_without_a_peer_there_is_the_figure():
    result = compare.conclude(SPEED._replace(unit='s'), {'ours': [0.3, 0.05, 0.05]})
    assert result['best'] is None and result['ratio'] == 0.05


def test_seconds_become_the_unit():
    assert compare.figure(SPEED, 2) == 4
    assert compare.figure(SPEED._replace(unit='ms'), 2) == 2000


def test_table_has_a_line_for_every_row():
    measured = compare.conclude(SPEED, {'ours': [20, 30], 'A': [10, 10], 'B': [5, 5]})
    lines = compare.table([{'what': 'a step', **measured},
                           {'what': 'bfloat16', 'note': 'not measured'}]).splitlines()
    assert len(lines) == 4 and len({line.count('|') for line in lines}) == 1
    assert lines[2] == '| a step | 25 images/s | **A 10**, B 5 | 2.5 (2 to 3) |'
    assert 'not measured' in lines[3]


@pytest.mark.parametrize('theirs', [1.001, np.nan])
def test_another_output_is_an_error(theirs):
    def steps(value):
        return [[np.array([0.5, 1.0])], [np.array([0.5, value])]]
    compare.verify(SPEED, {'ours': steps(1.0), 'A': steps(1.001)})          # the second step's tolerance is wider
    with pytest.raises(InputError, match='A computes something else'):
        compare.verify(SPEED, {'ours': steps(1.0), 'A': [[np.array([0.5, theirs])]] * 2})


def test_our_side_is_measured_in_its_own_process(tmp_path):
    path = tmp_path / 'out.json'
    compare.main(['--quick', '--only', 'pckh', '--rounds', '2', '--json', str(path)])
    written = json.loads(path.read_text())
    row, = written['rows']
    assert len(row['figures']['ours']) == 2 and 0 < row['ratio'] < 60
    assert written['machine']['threads'] == int(os.environ['OMP_NUM_THREADS'])


def test_a_row_that_fails_leaves_the_others(monkeypatch, capfd):
    def measure(row, bench, rounds):
        if row.name == 'integral':
            raise InputError('OpenVINO computes something else')
        return {'ours': [0.01] * rounds}
    monkeypatch.setattr(compare, 'measure', measure)
    monkeypatch.setattr(compare, 'version', lambda package: '1')
    with pytest.raises(InputError, match='not measured: integral'):
        compare.main(['--quick', '--only', 'integral', 'pckh', '--rounds', '1'])
    table = capfd.readouterr().out
    assert '| OpenVINO computes something else |' in table and '| 0.01 s |' in table


def test_absent_packages_are_one_clear_error(monkeypatch):
    monkeypatch.setattr(compare, 'version', lambda package: None if package == 'openvino' else '1')
    with pytest.raises(InputError, match=r"openvino not installed; pip install '\.\[benchmark\]'"):
        compare.main(['--only', 'train'])


@pytest.mark.parametrize('run', ['compare', 'bfloat16'])
def test_the_page_has_the_table_of_the_results(root, run):
    rows = json.loads((root / f'results/benchmark/{run}.json').read_text())['rows']
    assert compare.table([row for row in rows if 'failed' not in row]) in \
        (root / 'results/benchmark/README.md').read_text()


def test_in_bfloat16_mean_losses_are_compared():
    row = SPEED._replace(task={'batch': 2, 'dtype': 'bfloat16'}, tolerance=0.05)
    losses = np.array([[1.0, 3.0], [0.5, 0.5]])
    compare.verify(row, {'ours': [[losses]] * 2, 'A': [[losses[:, ::-1]]] * 2})
    with pytest.raises(InputError, match='A computes something else'):
        compare.verify(row, {'ours': [[losses]] * 2, 'A': [[1.1 * losses]] * 2})


def test_our_exports_are_written(tmp_path):
    """By the project's own functions, which other sides then read."""
    import ours
    task = SimpleNamespace(folder=tmp_path, backbone='resnet18', size=64, dtype='float32', batch=2)
    ours.write_parameters(task)
    ours.write_exports(task)
    sizes = [(tmp_path / name).stat().st_size for name in ('ours.onnx', 'ours-int8.onnx')]
    assert sizes[1] == pytest.approx(sizes[0] / 4, rel=0.1)
