"""A heat-map loss of one's own, outside of `common`, with its own key, trained by the program and with its row."""
import json
import os
import sys
from types import SimpleNamespace

import pytest
from runs import SMALL

from common import config
from common.errors import InputError
from common.guard import rules
from common.nets import losses
from common.nets.losses import KINDS, GaussianLoss, HeatmapLoss
from pose_mpii import tables, train


class RobustLoss(GaussianLoss):
    """H1's Gaussian by absolute instead of square errors, beyond a margin."""

    kind = 'robust'
    keys = {**GaussianLoss.keys, 'margin': (rules.number(0), 'errors below this carry no loss')}

    def hybrid_forward(self, F, maps, cells, keys):
        error = F.abs(maps - self.target(F, maps, cells))
        return F.sum(F.relu(error - self.cfg.loss.margin), axis=(2, 3))


@pytest.fixture
def experiment(root, tmp_path):
    """Its YAML, in a folder named as the tables of the project are."""
    path = tmp_path / 'experiments/cpu/mpii/table2/robust.yaml'
    path.parent.mkdir(parents=True)
    path.write_text(f'base: {root}/experiments/cpu/mpii/table2/h1.yaml\nloss: {{heatmap: robust, margin: 0.01}}\n')
    return path


@pytest.mark.usefixtures('narrow')
def test_it_trains_and_has_its_row(experiment, tiny_data, tmp_path):
    small = [*SMALL, 'train.batch_size=4', 'train.epochs=3', 'train.drops=[2]']
    sets = [option for value in small for option in ('--set', value)]
    train.main(['--cfg', str(experiment), '--data', str(tiny_data), '--out', str(tmp_path / 'out'), *sets])
    log = [json.loads(line) for line in (tmp_path / 'out/cpu/mpii/table2/robust/log.jsonl').read_text().splitlines()]
    assert log[2]['heatmap_loss'] < log[0]['heatmap_loss']
    text = tables.write(tables.sections(tables.results.collect([tmp_path / 'out'])), tmp_path, None)
    row, = (line for line in text.splitlines() if line.startswith('| robust |'))
    assert row.split('|')[2].count('/') == 2 and row.split('|')[-2].strip() == '-'


def test_its_key_is_checked_and_nobody_elses(experiment, root):
    assert config.load(experiment).loss.margin == 0.01
    with pytest.raises(InputError, match='loss.margin is -1; expected a number of at least 0'):
        config.load(experiment, ['loss.margin=-1'])
    with pytest.raises(InputError, match='no value for loss.margin'):
        config.load(root / 'experiments/cpu/mpii/table2/h1.yaml', ['loss.heatmap=robust'])
    assert 'margin' not in config.load(root / 'experiments/cpu/mpii/table2/h1.yaml').loss
    assert KINDS['robust'] is RobustLoss


def test_a_key_that_another_loss_has_too_is_not_idle(experiment, root):
    own, h1 = config.load(experiment), config.load(root / 'experiments/cpu/mpii/table2/h1.yaml')
    for cfg, idle in ((own, {'loss.radius', 'loss.negatives'}), (h1, {'loss.radius', 'loss.negatives', 'loss.margin'})):
        assert {key for key in config.idle_keys(cfg, scored=True) if key.startswith('loss.')} >= idle
        assert 'loss.sigma' not in config.idle_keys(cfg, scored=True)


def test_a_loss_without_a_name_of_its_own_takes_nobodys_place():
    with pytest.raises(TypeError, match='Nameless has no `kind`'):
        class Nameless(GaussianLoss):
            pass


def test_a_loss_with_the_name_of_another_takes_not_its_place():
    with pytest.raises(TypeError, match='Second has the `kind` of GaussianLoss, mse; give it another one'):
        class Second(HeatmapLoss):
            kind = 'mse'
    assert KINDS['mse'] is GaussianLoss


def test_a_loss_that_is_defined_anew_takes_the_place_of_its_former_self(monkeypatch):
    """As in a notebook, under another name, too, or where a file is run and imported."""
    monkeypatch.setattr('common.nets.losses.KINDS', {})
    monkeypatch.setitem(sys.modules, '__main__', SimpleNamespace(__file__='mine.py'))
    monkeypatch.setitem(sys.modules, 'mine', SimpleNamespace(__file__=os.path.abspath('mine.py')))

    def define(kind, module):
        return type('Cell', (HeatmapLoss,), {'kind': kind, '__module__': module})

    for kind, module in (('cell', '__main__'), ('cell', '__main__'), ('cell', 'mine'), ('cells', 'mine')):
        last = define(kind, module)
        assert losses.KINDS == {kind: last}
    with pytest.raises(TypeError, match='Cell has the `kind` of Cell, cells'):
        define('cells', 'other')


@pytest.mark.parametrize('key', ['sigma', 'window'])
def test_a_key_that_means_something_else_already_is_refused(key, monkeypatch, root):
    other = type('Other', (), {'keys': {key: (rules.number(0), 'another thing')}})
    monkeypatch.setitem(KINDS, 'other', other)
    with pytest.raises(InputError, match=f'loss.{key}: means one thing to .* and another to Other; rename one'):
        config.load(root / 'experiments/mpii/table2/h1.yaml')
    other.keys = {'margin': (rules.number(0), 'errors below this carry no loss')}      # as `RobustLoss` says it, too
    config.load(root / 'experiments/mpii/table2/h1.yaml')


def test_a_loss_that_was_not_imported_is_named_before_its_keys(root, tmp_path):
    path = tmp_path / 'x.yaml'
    path.write_text(f'base: {root}/experiments/mpii/table2/h1.yaml\nloss: {{heatmap: wing, omega: 14}}\n')
    with pytest.raises(InputError, match="loss.heatmap is 'wing'; expected one of"):
        config.load(path)
