"""Training: every method on several devices, exact resume, both phases of an I-method, the loss really falls."""
import json
import signal
import subprocess
import sys
import time

import mxnet as mx
import numpy as np
import pytest

from common import checkpoint, config, experiment, runtime
from common.losses import PoseLoss
from common.trainer import LossGraph, optimizer, train_step
from pose_mpii import train
from pose_mpii.skeleton import JOINTS
from pose_mpii.train import training_loader

METHODS = ('h1', 'h2', 'h3', 'r1', 'i1', 'i2', 'i3', 'istar')
SMALL = ['input.size=[64, 64]', 'network.deconvolutions=3']


def experiment_file(root, method):
    return root / f'experiments/cpu/mpii/table2/{method}.yaml'


def graph_and_trainer(cfg, contexts, rate, params=None):
    net = experiment.network(cfg, len(JOINTS), contexts)
    if params:
        checkpoint.load_parameters(net, params, contexts)
    graph = LossGraph(net, PoseLoss(cfg, net.stride))
    graph.hybridize(static_alloc=True, static_shape=True)
    trainer = optimizer(net)
    trainer.set_learning_rate(rate)
    return net, graph, trainer


@pytest.mark.parametrize('method', METHODS)
def test_one_and_four_devices_agree(root, tiny_data, tmp_path, method):
    """Loss and gradient of one batch of 7 over 4 devices (2, 2, 2, 1) equal those on one; BN frozen."""
    cfg = config.load(experiment_file(root, method), [*SMALL, 'train.batch_size=7', 'train.freeze_bn=true'])
    batch = next(training_loader(cfg, tiny_data).batches(1))
    runtime.seed_everything(0)
    checkpoint.save_parameters(experiment.network(cfg, len(JOINTS), [mx.cpu()]), tmp_path / 'start.params')
    losses, gradients = [], []
    for devices in (1, 4):
        contexts = runtime.contexts(cpus=devices)
        net, graph, trainer = graph_and_trainer(cfg, contexts, 0.0, tmp_path / 'start.params')
        losses.append(sum(s.asnumpy() for s in train_step(graph, trainer, batch, contexts)))
        gradients.append({name: p.list_grad()[0].asnumpy() for name, p in checkpoint.parameters(net).items()
                          if p.grad_req != 'null'})
    np.testing.assert_allclose(*losses, rtol=1e-4)
    largest = max(np.abs(one).max() for one in gradients[0].values())          # some are zero but for rounding
    for name, one in gradients[0].items():
        np.testing.assert_allclose(gradients[1][name], one, rtol=1e-4, atol=1e-4 * np.abs(one).max() + 1e-6 * largest)


@pytest.mark.parametrize('kvstore', ['device', 'local'])
def test_devices_hold_the_same_parameters_after_training(root, tiny_data, tmp_path, kvstore):
    run(root, 'h1', tiny_data, tmp_path, '--cpus', '2', '--kvstore', kvstore, '--set', 'train.epochs=1')
    contexts = runtime.contexts(cpus=2)
    net, _, trainer = graph_and_trainer(config.load(experiment_file(root, 'h1'), SMALL), contexts, 1e-3)
    state = checkpoint.load_state(folder(tmp_path, 'h1') / 'last.state', net, trainer, contexts)
    assert state['schedule']['epoch'] == 1
    for parameter in checkpoint.parameters(net).values():
        first, second = parameter.list_data()
        np.testing.assert_array_equal(first.asnumpy(), second.asnumpy())


def folder(out, method):
    return out / 'cpu/mpii/table2' / method


def arguments(root, method, data, out, *more):
    sets = [option for value in [*SMALL, 'train.batch_size=6', 'train.drops=[1]'] for option in ('--set', value)]
    return ['--cfg', str(experiment_file(root, method)), '--data', str(data), '--out', str(out), *sets, *more]


def run(root, method, data, out, *more):
    train.main(arguments(root, method, data, out, *more))


def assert_same_run(one, other):
    """Parameters, optimizer state, schedule and log are equal bit for bit; the time taken is not compared."""
    first, second = (checkpoint.read_arrays(path / 'last.state') for path in (one, other))
    assert first.keys() == second.keys()
    for name in first.keys() - {'json'}:
        np.testing.assert_array_equal(first[name].asnumpy(), second[name].asnumpy())
    histories = []
    for path in (one, other):
        lines = [json.loads(line) for line in (path / 'log.jsonl').read_text().splitlines()]
        histories.append([{key: value for key, value in line.items() if key != 'images_per_second'} for line in lines])
    assert histories[0] == histories[1]
    assert (one / 'best.params').read_bytes() == (other / 'best.params').read_bytes()


@pytest.mark.parametrize('devices', ['1', '2'])
def test_a_resumed_run_equals_an_uninterrupted_one(root, tiny_data, tmp_path, devices):
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    run(root, 'h1', tiny_data, whole, '--cpus', devices, '--set', 'train.epochs=3')
    for epochs in (1, 3):
        run(root, 'h1', tiny_data, parts, '--cpus', devices, '--set', f'train.epochs={epochs}', '--resume')
    assert_same_run(folder(whole, 'h1'), folder(parts, 'h1'))


def test_a_killed_i1_goes_on_in_the_phase_it_was_in(root, tiny_data, tmp_path):
    """kill -9 in the second epoch of H1, then in the second of I1; the end is that of a run never killed."""
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    run(root, 'i1', tiny_data, whole, '--set', 'train.epochs=2')
    options = arguments(root, 'i1', tiny_data, killed, '--set', 'train.epochs=2', '--resume')
    for phase in ('h1', 'i1'):
        process = subprocess.Popen([sys.executable, str(root / 'pose_mpii/train.py'), *options],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        log = folder(killed, phase) / 'log.jsonl'
        while not log.exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    train.main(options)
    for phase in ('h1', 'i1'):
        assert_same_run(folder(whole, phase), folder(killed, phase))


def test_i1_trains_its_h1_first_and_leaves_what_a_user_looks_for(root, tiny_data, tmp_path, capsys):
    run(root, 'i1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    output = capsys.readouterr().out
    for method in ('h1', 'i1'):
        left = {path.name for path in folder(tmp_path, method).iterdir()}
        assert left >= {'best.params', 'last.state', 'log.jsonl', 'config.yaml', 'result.json', 'test.json',
                        'predictions.jpg', 'tensorboard'}
    assert 'paper     -     -     -     -     -     -     -  87.3 |  87.3  29.3  58.3' in output
    result = json.loads((folder(tmp_path, 'i1') / 'test.json').read_text())
    assert {'PCKh@0.5', 'PCKh@0.1', 'AUC', 'joints', 'decodings'} == result.keys()
    line = json.loads((folder(tmp_path, 'i1') / 'log.jsonl').read_text())
    assert line['AUC'] == pytest.approx(result['AUC'])                         # best.params is the network that scored


def test_an_earlier_run_is_not_overwritten(root, tiny_data, tmp_path, capsys):
    run(root, 'h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    before = (folder(tmp_path, 'h1') / 'last.state').read_bytes()
    with pytest.raises(Exception, match='--resume'):
        run(root, 'h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    assert (folder(tmp_path, 'h1') / 'last.state').read_bytes() == before


def steps(root, data, method, count, batch_size):
    """Mean loss of each of `count` training steps on photographs."""
    cfg = config.load(experiment_file(root, method), [*SMALL, f'train.batch_size={batch_size}'])
    contexts = [mx.cpu()]
    runtime.seed_everything(0)
    _, graph, trainer = graph_and_trainer(cfg, contexts, 1e-3)
    loader = training_loader(cfg, data)
    values = []
    while len(values) < count:
        for batch in loader.batches(len(values)):
            values.append(sum(train_step(graph, trainer, batch, contexts)).asnumpy().sum() / len(batch.images))
            if len(values) == count:
                break
    return values


@pytest.mark.long
@pytest.mark.parametrize('method', METHODS)
def test_the_loss_falls_over_200_steps_on_photographs(root, shared, method):
    values = steps(root, shared / 'lspet_mpii', method, 200, 16)
    assert np.isfinite(values).all()
    assert np.mean(values[-40:]) < 0.95 * np.mean(values[5:25])


@pytest.mark.parametrize('method', METHODS)
def test_the_loss_falls_when_one_batch_is_learnt_by_heart(root, tiny_data, method):
    values = steps(root, tiny_data, method, 12, 16)
    assert np.isfinite(values).all()
    assert np.mean(values[-3:]) < np.mean(values[:3])
