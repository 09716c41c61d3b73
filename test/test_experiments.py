"""Every file below experiments/: it loads, starts from what is there, trains a step and is evaluated."""
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from common import config, runtime
from common.data.loader import training_loader
from common.dataset import Source
from common.deploy import complexity
from common.nets import pose_net
from common.predict import inference
from common.programs import train as program
from common.train.trainer import loss_graph, optimizer, train_step
from pose_coco.dataset import COCO
from pose_mpii.dataset import MPII

EXPERIMENTS = Path(__file__).resolve().parents[1] / 'experiments'


def is_whole(path):
    """Files without a base are lines that others share; but for MPII's own base, they are no experiments."""
    return 'base:' in path.read_text() or path == EXPERIMENTS / 'mpii/base.yaml'


WHOLE = [path for path in sorted(EXPERIMENTS.rglob('*.yaml')) if is_whole(path)]
NAMED_BY_PATH = [path for path in WHOLE if 'name:' not in path.read_text()]


@pytest.fixture(scope='session')
def sets(tiny_data, tiny_coco):
    """{data set: (its record, folder of a tiny one, the score that chooses the best epoch)}."""
    return {'mpii': (MPII, tiny_data, 'AUC'), 'coco': (COCO, tiny_coco, 'AP')}


def name_of(path):
    return str(path.relative_to(EXPERIMENTS).with_suffix(''))


@pytest.mark.parametrize('path', WHOLE, ids=name_of)
def test_it_loads_and_what_it_starts_from_is_there(path):
    cfg = config.load(path)
    if path in NAMED_BY_PATH:
        assert cfg.name == name_of(path)
    else:                                     # the same network in another table: trained once
        assert config.differences(cfg, config.load(EXPERIMENTS / f'{cfg.name}.yaml')) == {}
    if cfg.start:
        first = config.load(cfg.start)
        reading = {key: cfg.network[key] for key in ('beta', 'debiased')}
        assert {**first.network, **reading} == cfg.network, 'the parameters would not fit'
        if Path(first.path).parent == path.parent and 'study' not in path.parts and 'resnet18' not in path.parts:
            assert first.network.beta == cfg.network.beta, 'a table has one beta'
            assert first.input == cfg.input, 'a table has one size'
        assert first.loss.joint == 'none' or {'study', 'resnet18'} & set(path.parts), 'a table starts from heat maps'


@pytest.mark.parametrize('path', [path for path in WHOLE if path.relative_to(EXPERIMENTS).parts[0] in ('mpii', 'coco')],
                         ids=name_of)
def test_beta_is_that_of_the_rule(path):
    """common/temperature.md: by the cells, and 1 for maps that are no Gaussians of height 1."""
    cfg = config.load(path)
    rule = 7.5 * np.log2(np.sqrt(np.prod(cfg.input.size)) * 2 ** cfg.network.deconvolutions / 32)
    assert abs(cfg.network.beta - rule) < 0.1 or cfg.network.beta == 1 and cfg.loss.heatmap != 'mse'


def kind(path):
    """What of an experiment decides which code its step runs."""
    cfg = config.load(path)
    network = {key: value for key, value in cfg.network.items() if key not in ('beta', 'pretrained')}
    return cfg.data.set, network, cfg.loss.heatmap, cfg.loss.joint, bool(cfg.loss.window)


def marked(paths):
    """Each network and each way to train one comes in every run, of the large ones those of Table 2; all with --all."""
    chosen = []
    for path in paths:
        data_set, network, *loss = kind(path)
        parts = network, [data_set, *loss]
        small = network['backbone'] == 'resnet18' or path.parent == EXPERIMENTS / 'mpii/table2'
        if small and network['stages'] < 3 and not all(part in chosen for part in parts):
            chosen += parts
            yield path
        else:
            yield pytest.param(path, marks=pytest.mark.long)


@pytest.mark.parametrize('path', marked(NAMED_BY_PATH), ids=name_of)
def test_it_trains_a_step_and_is_evaluated(path, sets):
    cfg = config.load(path, ['train.batch_size=2', 'test.batch_size=8', 'train.dtype=float32', 'input.size=[64, 64]',
                             'loss.radius=30'])        # 7.5 of these pixels, for cells of 8
    dataset, data, score = sets[cfg.data.set]
    assert complexity.count(config.load(path))['multiply_accumulates'] > 1e8   # in its own size
    contexts = [mx.cpu()]
    runtime.seed_everything(0)
    net = pose_net.create(cfg, contexts)
    graph, trainer = loss_graph(cfg, net), optimizer(net)
    batches = training_loader(cfg, dataset.samples(Source(data, cfg.data.train), cfg.input.size)).batches(1)
    losses, = train_step(graph, trainer, next(batches), contexts)
    loss = losses.asnumpy().sum(axis=1)
    assert np.isfinite(loss).all() and (loss > 0).tolist() == [cfg.loss.heatmap != 'none', cfg.loss.joint != 'none']
    metrics = program.validation(dataset, cfg, program.people_to_validate(dataset, cfg, data), contexts)(net)
    assert metrics['score'] == metrics[score] and 0 <= metrics[score] <= 100
    assert tuple(metrics['decodings']) == inference.decodings(cfg)
