"""What an experiment starts from, and which options hold for that, too."""
from pathlib import Path

import mxnet as mx
import pytest
from runs import SMALL, experiment_file

from common import config
from common.errors import InputError
from common.runtime import Devices
from common.train import phases


def test_overrides_reach_the_first_phase_but_for_what_tells_the_phases_apart():
    cfg = config.load(experiment_file('i1'), ['loss.joint=l2', 'train.batch_size=5', 'test.decode=local'])
    first, last = phases.chain(cfg, ['loss.joint=l2', 'train.batch_size=5', 'test.decode=local'])
    assert last is cfg
    assert (first.loss.joint, first.test.decode, first.train.batch_size) == ('none', 'argmax', 5)


def test_an_override_that_begins_with_a_name_is_of_that_experiment_alone():
    overrides = ['i1:train.epochs=7', 'table2/h1:network.beta=5', 'train.batch_size=3']
    cfg = config.load(experiment_file('i1'), overrides)
    first, last = phases.chain(cfg, overrides)
    assert (first.network.beta, first.train.epochs, first.train.batch_size) == (5, 12, 3)
    assert (last.network.beta, last.train.epochs, last.train.batch_size) == (30, 7, 3)
    with pytest.raises(InputError, match='--set i2:train.epochs=7: no experiment here has that name; there '
                                         'are cpu/mpii'):
        phases.chain(cfg, ['i2:train.epochs=7'])


@pytest.mark.parametrize('key, own, its', [('network.deconvolutions', '1', '2'),
                                           ('network.grid', "'corner'", "'centre'")])
def test_what_cannot_start_from_another_is_said_before_either_is_trained(tmp_path, key, own, its):
    (tmp_path / 'h1.yaml').write_text(f'base: {experiment_file("h1")}\n')
    section, _, name = key.partition('.')
    (tmp_path / 'i1.yaml').write_text(f'base: h1.yaml\n{section}: {{{name}: {own}}}\ntrain: {{start_from: h1}}\n')
    with pytest.raises(InputError, match=f'i1.yaml: {key} is {own}; h1, from which it starts, has {its}'):
        phases.chain(config.load(tmp_path / 'i1.yaml'), [])


def test_an_override_stays_away_from_all_that_is_before_the_files_that_differ(tmp_path):
    (tmp_path / 'h1.yaml').write_text(f'base: {experiment_file("h1")}\n')
    (tmp_path / 'more.yaml').write_text('base: h1.yaml\ntrain: {start_from: h1}\n')
    (tmp_path / 'turns.yaml').write_text('base: more.yaml\naugment: {rotation: 60}\ntrain: {start_from: more}\n')
    overrides = ['augment.rotation=90', 'train.seed=5']
    chain = phases.chain(config.load(tmp_path / 'turns.yaml', overrides), overrides)
    assert [(run.augment.rotation, run.train.seed) for run in chain] == [(30, 5), (30, 5), (90, 5)]


def test_another_start_is_that_of_the_experiment_alone():
    overrides = ['train.start_from=h2']
    chain = phases.chain(config.load(experiment_file('h1'), overrides), overrides)
    assert [Path(run.name).name for run in chain] == ['h2', 'h1'] and not chain[0].train.start_from


def test_an_own_file_starts_from_what_its_base_does(tmp_path):
    (tmp_path / 'own.yaml').write_text(f'base: {experiment_file("i1")}\naugment: {{rotation: 60}}\n')
    assert [run.name for run in phases.chain(config.load(tmp_path / 'own.yaml'), [])] == ['cpu/mpii/table2/h1', 'own']


def test_a_start_that_is_not_there_is_named_with_its_key(tmp_path):
    (tmp_path / 'own.yaml').write_text(f'base: {experiment_file("i1")}\ntrain: {{start_from: ../h7}}\n')
    with pytest.raises(InputError, match=r'own.yaml: train.start_from is ../h7; there is no /.*/h7.yaml'):
        phases.chain(config.load(tmp_path / 'own.yaml'), [])


def test_an_override_that_does_not_reach_the_start_is_said(tiny_data, tmp_path, monkeypatch, capsys):
    (tmp_path / 'own.yaml').write_text(f'base: {experiment_file("i1")}\naugment: {{rotation: 60}}\n')
    monkeypatch.setattr(phases, '_train_one', lambda *_: None)
    overrides = [*SMALL, 'augment.rotation=90', 'train.epochs=3']
    phases.train(config.load(tmp_path / 'own.yaml', overrides), None,
                 phases.Job(tiny_data, tmp_path, overrides, False, Devices([mx.cpu()])))
    assert capsys.readouterr().out == ('own starts from cpu/mpii/table2/h1, which is trained first, at most 3 epochs; '
                                       '--set augment.rotation does not hold for it, as own has a value of its own '
                                       '(--set h1:augment.rotation=... does)\n')
