"""Training in bfloat16: what of it is, how far it is from float32, and where it cannot be."""
import re

import mxnet as mx
import numpy as np
import pytest
from runs import ROOT, SMALL, assert_same_run, experiment_file, folder, run, training_loader

from common import config, runtime
from common.errors import InputError
from common.nets import bfloat16, pose_net
from common.nets.losses import LossGraph, PoseLoss
from common.train.trainer import loss_graph, optimizer, train_step
from common.weights import checkpoint
from pose_mpii import train

METHODS = ('h1', 'h2', 'h3', 'r1', 'i1', 'istar')           # I2 and I3 are sums of these
BFLOAT16 = ['--set', 'train.dtype=bfloat16']


@pytest.fixture(scope='module')
def possible():
    try:
        bfloat16.require([mx.cpu()])
    except InputError as error:
        pytest.skip(str(error))


def losses_and_gradients(cfg, batch, devices):
    """Losses (2, B) of a step on all devices, and all gradients, {name: array}."""
    runtime.seed_everything(0)
    contexts = runtime.contexts(cpus=devices)
    net = pose_net.create(cfg, contexts)
    trainer = optimizer(net)
    trainer.set_learning_rate(0)
    losses = train_step(loss_graph(cfg, net), trainer, batch, contexts)
    return (np.concatenate([part.asnumpy() for part in losses], axis=1),
            {name: parameter.list_grad()[0].asnumpy() for name, parameter in checkpoint.parameters(net).items()
             if parameter.grad_req != 'null'})


@pytest.mark.usefixtures('possible')
@pytest.mark.parametrize('method, more, devices', [
    *((method, [], 1) for method in METHODS), ('h1', ['train.freeze_bn=true'], 1), ('i1', ['train.freeze_bn=true'], 2),
    ('i1', ['network.stages=2', 'network.deconvolutions=2'], 1)])
def test_losses_and_gradients_are_nearly_those_of_float32(tiny_data, method, more, devices):
    wide, narrow = (config.load(experiment_file(method), [*SMALL, 'train.batch_size=16', *more, f'train.dtype={dtype}'])
                    for dtype in ('float32', 'bfloat16'))
    batch = next(training_loader(wide, tiny_data).batches(1))
    exact, ours = losses_and_gradients(wide, batch, 1)
    losses, theirs = losses_and_gradients(narrow, batch, devices)
    np.testing.assert_allclose(losses, exact, rtol=0.05, atol=1e-3)
    assert not np.array_equal(losses, exact)
    compared = [name for name in ours if re.search(r'final.weight|conv1.weight|deconvolutions.\d.weight', name)]
    for name in compared:
        one, other = ours[name].ravel(), theirs[name].ravel()
        assert one @ other > 0.9 * np.linalg.norm(one) * np.linalg.norm(other), name
        assert np.linalg.norm(other) == pytest.approx(np.linalg.norm(one), rel=0.2), name


@pytest.mark.usefixtures('possible')
def test_what_is_left_in_float32(tiny_data):
    cfg = config.load(experiment_file('i1'), SMALL)
    net = pose_net.create(cfg, [mx.cpu()])
    data = [mx.sym.var('images', dtype='uint8'), *(mx.sym.var(name) for name in ('joints', 'visible', 'keys'))]
    losses = mx.sym.Group(LossGraph(net, PoseLoss(cfg, net.stride))(*data))
    weights = [f'head0_conv{i}_weight' for i in range(3)]                      # of the deconvolutions
    nodes = bfloat16.convert(losses, [*data, *map(mx.sym.var, 'abc')], weights).get_internals()
    arguments, types, _ = nodes.infer_type(images=np.uint8, joints=np.float32, visible=np.float32, keys=np.float32)
    wide = np.uint8, np.float32
    assert {name for name, dtype in zip(nodes.list_arguments(), arguments) if dtype not in wide} == set('abc')
    assert set(losses.list_arguments()) - set(nodes.list_arguments()) == set(weights)
    narrow = {name for name, dtype in zip(nodes.list_outputs(), types) if dtype not in wide}
    convolutions = {name for name in nodes.list_outputs() if 'conv' in name and name.endswith('fwd_output')}
    assert convolutions - narrow == {'stem_conv0_fwd_output'}
    assert 'stem_batchnorm0_fwd_output' not in narrow and 'head0_final_fwd_output' not in narrow
    assert not any(name.startswith(('integral', 'poseloss', 'gaussianloss')) for name in narrow)


@pytest.mark.usefixtures('possible', 'narrow')
def test_a_run_is_resumed_bit_for_bit(tiny_data, tmp_path):
    for out, epochs in (('whole', 2), ('resumed', 1), ('resumed', 2)):
        run('h1', tiny_data, tmp_path / out, *BFLOAT16, '--cpus', '2', '--set', f'train.epochs={epochs}', '--resume')
    assert_same_run(folder(tmp_path / 'whole', 'h1'), folder(tmp_path / 'resumed', 'h1'))
    run('h1', tiny_data, tmp_path / 'float32', '--cpus', '2', '--set', 'train.epochs=2')
    with pytest.raises(AssertionError):
        assert_same_run(folder(tmp_path / 'whole', 'h1'), folder(tmp_path / 'float32', 'h1'))


def test_without_avx512_is_one_clear_error(tmp_path, monkeypatch, tiny_data, capsys):
    cpuinfo = tmp_path / 'cpuinfo'
    monkeypatch.setattr(bfloat16, 'CPUINFO', cpuinfo)
    cpuinfo.write_text('flags\t\t: fpu avx2 avx512f\n')
    with pytest.raises(InputError, match='AVX-512, which this one lacks; use float32'):
        run('h1', tiny_data, tmp_path / 'out', *BFLOAT16)
    with pytest.raises(InputError, match='AVX-512'):                           # float32, but from an H1 in bfloat16
        train.main(['--cfg', str(ROOT / 'experiments/drawn/study/i1.yaml'), '--data', str(tiny_data), '--out',
                    str(tmp_path / 'out')])
    assert not (tmp_path / 'out').exists()
    cpuinfo.write_text('flags\t\t: fpu avx512f avx512bw\n')
    bfloat16.require([mx.cpu()])
    assert 'slower' in capsys.readouterr().err
    cpuinfo.write_text('flags\t\t: fpu avx512f avx512bw avx512_bf16\n')
    bfloat16.require([mx.cpu()])
    assert not capsys.readouterr().err


def test_not_on_a_gpu():
    with pytest.raises(InputError, match='--cpus'):
        bfloat16.require([mx.gpu(0)])
