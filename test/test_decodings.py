"""The study of the local integral: its scores are the test program's, and they come into the tables."""
import json

import pytest

from common.errors import InputError
from pose_mpii import decodings, test

SIZE = ('--set', 'input.size=[64, 64]')


@pytest.fixture(scope='module')
def studied(experiments, params, tiny_data, tmp_path_factory):
    """(the study's JSON, the test program's) of an untrained H1, whose `network.beta` is 15 and `test.window` 2."""
    folder = tmp_path_factory.mktemp('studied')
    options = ['--cfg', str(experiments / 'h1.yaml'), '--params', str(params['h1']), '--data', str(tiny_data), *SIZE]
    decodings.main([*options, '--json', str(folder / 'study.json')])
    test.main([*options, '--json', str(folder / 'test.json')])
    return tuple(json.loads((folder / f'{name}.json').read_text()) for name in ('study', 'test'))


def test_at_the_configured_window_and_temperature_it_is_the_test_program(studied):
    study, tested = studied
    line, = (line for line in study['local'] if (line['beta'], line['window']) == (15, 2))
    assert {key: tested['decodings']['local'][key] for key in decodings.METRICS} == \
        {key: line[key] for key in decodings.METRICS}
    assert study['experiment'] == tested['experiment'] and study['config'] == tested['config']
    assert len({line['AUC'] for line in study['local']}) > 5, 'windows and temperatures make no difference'


def test_the_table_has_a_row_a_temperature_and_a_column_a_window(studied):
    header, _, *rows = decodings.table(studied[0]['local']).splitlines()
    assert header == '| beta | 3 x 3 cells | 5 x 5 cells | 7 x 7 cells | 9 x 9 cells |'
    assert [row.split('|')[1].strip() for row in rows] == ['3.75', '7.5', '15', '30', '60']
    line = studied[0]['local'][-1]            # the sharpest, in the widest window
    assert rows[-1].split('|')[-2].strip() == ' / '.join(f'{line[key]:.1f}' for key in decodings.METRICS)


def test_a_regression_network_has_none(experiments, params, tiny_data):
    with pytest.raises(InputError, match='a regression network has no heat maps'):
        decodings.main(['--cfg', str(experiments / 'r1.yaml'), '--params', str(params['r1']), '--data', str(tiny_data)])
