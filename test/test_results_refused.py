"""What is no result, and what was written into one by hand in another form, is named."""
import json

import pytest
from tabled import coco_result, result

from common import files, results
from common.errors import InputError


@pytest.mark.parametrize('name, key', [('result', 'last'), ('decodings', 'local')])
def test_what_lies_beside_a_result_and_is_not_ours_is_named(root, written, tmp_path, name, key):
    files.make_folder(tmp_path / 'in/0')
    files.write_json(tmp_path / f'in/0/{name}.json', {'other': 1})
    with pytest.raises(InputError, match=f'{name}.json: a result has no "{key}"'):
        written(result(root, 'table2/h1', 0.2))


def test_files_that_are_not_results_are_named(tmp_path):
    (tmp_path / 'test.json').write_text(json.dumps({'PCKh@0.5': 3}))
    with pytest.raises(InputError, match=r'test.json: a result has no "experiment"'):
        results.collect([tmp_path])
    with pytest.raises(InputError, match='no such folder'):
        results.collect([tmp_path / 'none'])


@pytest.mark.parametrize('change', [
    {'seed': None}, {'config': []}, {'config': {'train': {}}}, {'config': {'data': 1, 'train': {}}}, {'commit': 1},
    {'config': {'data': {}, 'train': {}}}, {'experiment': 5}, {'data': [1]}, {'split': ['a']}])
def test_a_result_that_says_nothing_of_its_training_is_named(root, tmp_path, change):
    (tmp_path / 'test.json').write_text(json.dumps({**result(root, 'table2/h1', 0.2), **change}))
    with pytest.raises(InputError, match=f'test.json: a result has a bad "{next(iter(change))}": it should be '):
        results.collect([tmp_path])


@pytest.mark.parametrize('section, key, value', [('input', 'size', 256), ('input', 'size', ['a', 'b']),
                                                 ('network', 'beta', '15'), ('test', 'decode', None),
                                                 ('data', 'skeleton', {'joints': 5})])
def test_a_configuration_that_no_training_wrote_is_named(root, tmp_path, section, key, value):
    one = result(root, 'table2/h1', 0.2)
    one['config'][section][key] = value
    (tmp_path / 'test.json').write_text(json.dumps(one))
    with pytest.raises(InputError, match='test.json: a result has a bad "config": it should be '):
        results.collect([tmp_path])


@pytest.mark.parametrize('split, key, value', [
    ('test', 'joints', [98.1, 96.0]), ('test', 'joints', None), ('test', 'joints', {'Shoulder': 96.0}),
    ('test', 'joints', {'Head': '98.1'}), ('test', 'PCKh@0.5', '90.0'), ('test', 'PCKh@0.5', None),
    ('valid', 'decodings', []), ('valid', 'decodings', {'local': {'AUC': 5}}), ('valid', 'curve', None),
    ('valid', 'curve', [1.0])])
def test_a_figure_entered_by_hand_in_another_form_is_named(root, written, split, key, value):
    with pytest.raises(InputError, match=f'test.json: a result has a bad "{key}": it should be '):
        written({**result(root, 'table2/h1', 0.2), 'split': split, key: value})


@pytest.mark.parametrize('key, value', [('AP', '67.8'), ('boxes', ['x']), ('decodings', {'local': {'AP': 5}})])
def test_a_figure_of_coco_in_another_form_is_named(root, written, key, value):
    with pytest.raises(InputError, match=f'test.json: a result has a bad "{key}": it should be '):
        written({**coco_result(root, 50.0), key: value})


@pytest.mark.parametrize('split, lost, message', [
    ('valid', 'decodings', 'has no "decodings"'), ('valid', 'curve', 'has no "curve"'),
    ('test', 'joints', 'has no "joints"'), ('test', 'curve', None), ('test', 'decodings', None)])
def test_a_result_lacks_no_more_than_the_server_says(root, written, split, lost, message):
    one = {**result(root, 'table2/h1', 0.2), 'split': split}
    del one[lost]
    if message:
        with pytest.raises(InputError, match=f'test.json: a result {message}'):
            written(one)
    else:
        assert 'Table 2' in written(one)
