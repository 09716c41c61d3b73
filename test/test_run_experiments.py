"""A list of experiments is trained with its seeds; what results are made of is kept (scripts/run_experiments.py)."""
import json
from types import SimpleNamespace

import pytest

from common import config, results
from common.errors import InputError
from scripts import run_experiments

pytestmark = pytest.mark.usefixtures('narrow_file')


@pytest.fixture
def yamls(root, tmp_path):
    """H1 and R1 for one epoch of tiny images."""
    paths = []
    for method in ('h1', 'r1'):
        paths.append(tmp_path / f'{method}.yaml')
        paths[-1].write_text(f'base: {root}/experiments/cpu/mpii/table2/{method}.yaml\nname: tiny/table2/{method}\n'
                             'input: {size: [32, 32]}\ntrain: {batch_size: 8, epochs: 1, drops: []}\n')
    return paths


def test_every_experiment_is_kept_once_with_its_seeds(tiny_data, yamls, tmp_path, capfd):
    options = ['--data', str(tiny_data), '--out', str(tmp_path / 'out'), '--results', str(tmp_path / 'kept'),
               '--seeds', '0,2', *map(str, yamls)]
    run_experiments.main(options)
    found = results.collect([tmp_path / 'kept'])['tiny']
    assert {name: [one['seed'] for one in seeds] for name, seeds in found.items()} == {
        'tiny/table2/h1': [0, 2], 'tiny/table2/r1': [0, 2]}
    losses = []
    for folder in ('tiny/table2/h1', 'seed2/tiny/table2/h1'):
        assert {path.name for path in (tmp_path / 'kept' / folder).iterdir()} == set(run_experiments.KEPT)
        losses.append(json.loads((tmp_path / 'kept' / folder / 'log.jsonl').read_text())['heatmap_loss'])
    assert losses[0] != losses[1]
    capfd.readouterr()
    run_experiments.main([*options, '--out', str(tmp_path / 'nowhere')])
    assert not (tmp_path / 'nowhere').exists() and capfd.readouterr().out.count(' is there') == 4
    run_experiments.main([*options, '--set', 'loss.radius=20'])                # which neither uses
    for change, message in ((['--set', 'train.epochs=2'], 'has train.epochs 1, not 2'),
                            (['--data', str(tmp_path)], f'is on tiny, not on {tmp_path.name}')):
        with pytest.raises(InputError, match='4 of 4 failed'):
            run_experiments.main([*options, *change])
        assert capfd.readouterr().err.count(message) == 4
    with pytest.raises(InputError, match='2 of 4 failed'):                     # R1 has no local integral to score
        run_experiments.main([*options, '--set', 'test.window=3'])
    assert capfd.readouterr().err.count('tiny/table2/h1/test.json: has test.window 2, not 3') == 2


def test_a_result_older_than_a_key_has_what_there_was_before(tiny_data, yamls, tmp_path, capfd):
    options = ['--data', str(tiny_data), '--out', str(tmp_path / 'out'), '--results', str(tmp_path), str(yamls[1])]
    run_experiments.main(options)
    path = tmp_path / 'tiny/table2/r1/test.json'
    result = json.loads(path.read_text())
    del result['config']['train']['dtype']
    path.write_text(json.dumps(result))
    run_experiments.main(options)
    with pytest.raises(InputError, match='1 of 1 failed'):
        run_experiments.main([*options, '--set', 'train.dtype=bfloat16'])
    assert "has train.dtype 'float32', not 'bfloat16'" in capfd.readouterr().err


def test_what_changes_no_score_does_not_part_results(root):
    cfg = config.load(root / 'experiments/cpu/mpii/table2/h1.yaml')
    result = {'config': config.sections(cfg)}
    now = config.load(root / 'experiments/cpu/mpii/table2/h1.yaml', ['test.batch_size=3'])
    now.data.skeleton = {**now.data.skeleton, 'limbs': now.data.skeleton['limbs'][1:]}
    assert results.departures(result, now) == {}
    now.data.skeleton = {**now.data.skeleton, 'flip_pairs': now.data.skeleton['flip_pairs'][1:]}
    assert list(results.departures(result, now)) == ['data.skeleton']


def test_one_that_fails_leaves_the_others(tiny_data, yamls, tmp_path):
    yamls[0].write_text(yamls[0].read_text() + 'network: {backbone: resnet19}\n')
    with pytest.raises(InputError, match='1 of 2 failed: .*h1.yaml$'):
        run_experiments.main(['--data', str(tiny_data), '--out', str(tmp_path / 'out'), '--results',
                              str(tmp_path / 'kept'), *map(str, yamls)])
    assert list(results.collect([tmp_path / 'kept'])['tiny']) == ['tiny/table2/r1']


@pytest.mark.parametrize('devices', [['--cpus', '2'], ['--gpus', '0,3'], []])
def test_devices_are_handed_on(tiny_data, yamls, tmp_path, monkeypatch, devices):
    def main(options):
        handed.append(options)
        raise InputError('enough')
    handed = []
    monkeypatch.setattr(run_experiments, 'program_of', lambda cfg, path: SimpleNamespace(main=main))
    with pytest.raises(InputError, match='1 of 1 failed'):
        run_experiments.main(['--data', str(tiny_data), '--results', str(tmp_path), *devices, str(yamls[0])])
    assert handed[0][-1 - len(devices):] == ['--resume', *devices]


def test_a_data_set_without_a_program_is_an_error_of_its_experiment(tiny_data, yamls, tmp_path, capfd):
    with pytest.raises(InputError, match='1 of 1 failed'):
        run_experiments.main(['--data', str(tiny_data), '--results', str(tmp_path), '--set', 'data.set=lsp',
                              str(yamls[0])])
    assert 'data.set is lsp; there is no pose_lsp/train.py' in capfd.readouterr().err


def test_an_experiment_keeps_its_own_seed(tiny_data, yamls, tmp_path):
    yamls[1].write_text(yamls[1].read_text().replace('{batch_size', '{seed: 3, batch_size'))
    options = ['--data', str(tiny_data), '--out', str(tmp_path / 'out'), '--results', str(tmp_path / 'kept')]
    run_experiments.main([*options, str(yamls[1])])
    run_experiments.main([*options, '--seeds', '0', str(yamls[1])])
    seeds = {path: results.read(tmp_path / 'kept' / path / 'tiny/table2/r1/test.json')['seed']
             for path in ('', 'seed0')}
    assert seeds == {'': 3, 'seed0': 0}


@pytest.mark.parametrize('text', ['one', '0,', '-1', '4294967296'])
def test_seeds_that_are_none_are_an_error(tiny_data, yamls, tmp_path, text, capfd):
    with pytest.raises((InputError, SystemExit)):
        run_experiments.main(['--data', str(tiny_data), f'--seeds={text}', '--out', str(tmp_path), '--results',
                              str(tmp_path), str(yamls[0])])
