"""Training: every method on several devices, both phases of an I-method, the loss really falls."""
import json
import shutil
from itertools import combinations, islice, repeat
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from common import bfloat16, checkpoint, config, experiment, files, results, runtime
from common.errors import InputError
from common.losses import PoseLoss
from common.trainer import loss_graph, optimizer, train_step
from common.workers import Statistics
from pose_mpii import train
from pose_mpii.skeleton import JOINTS
from pose_mpii.train import training_loader
from runs import SMALL, arguments, experiment_file, folder, run

METHODS = ('h1', 'h2', 'h3', 'r1', 'i1', 'i2', 'i3', 'istar')


def graph_and_trainer(cfg, contexts, rate, params=None, kvstore='device'):
    net = experiment.network(cfg, len(JOINTS), contexts)
    if params:
        checkpoint.load_parameters(net, params, contexts)
    graph = loss_graph(cfg, net)
    trainer = optimizer(net, kvstore)
    trainer.set_learning_rate(rate)
    return net, graph, trainer


@pytest.mark.parametrize('method', METHODS)
def test_one_and_four_devices_agree(tiny_data, tmp_path, method):
    """Loss and gradient of one batch of 7 over 4 devices (2, 2, 2, 1) equal those on one; BN frozen."""
    cfg = config.load(experiment_file(method), [*SMALL, 'train.batch_size=7', 'train.freeze_bn=true'])
    batch = next(training_loader(cfg, tiny_data).batches(1))
    runtime.seed_everything(0)
    checkpoint.save_parameters(experiment.network(cfg, len(JOINTS), [mx.cpu()]), tmp_path / 'start.params')
    losses, gradients = [], []
    for devices in (1, 4):
        contexts = runtime.contexts(cpus=devices)
        net, graph, trainer = graph_and_trainer(cfg, contexts, 0.0, tmp_path / 'start.params')
        losses.append(sum(part.asnumpy().sum(axis=1) for part in train_step(graph, trainer, batch, contexts)))
        gradients.append({name: p.list_grad()[0].asnumpy() for name, p in checkpoint.parameters(net).items()
                          if p.grad_req != 'null'})
    np.testing.assert_allclose(*losses, rtol=1e-4)
    largest = max(np.abs(one).max() for one in gradients[0].values())          # some are zero but for rounding
    for name, one in gradients[0].items():
        np.testing.assert_allclose(gradients[1][name], one, rtol=1e-4, atol=1e-4 * np.abs(one).max() + 1e-6 * largest)


def test_devices_without_a_sample_leave_the_running_statistics(tiny_data):
    """A batch of one image on four devices: the statistics of the one that has it, on all."""
    cfg = config.load(experiment_file('h1'), [*SMALL, 'train.batch_size=1'])
    batch = next(training_loader(cfg, tiny_data).batches(1))
    found = []
    for devices in (1, 4):
        contexts = runtime.contexts(cpus=devices)
        runtime.seed_everything(0)
        net, graph, trainer = graph_and_trainer(cfg, contexts, 0.0)
        train_step(graph, trainer, batch, contexts)
        mx.nd.waitall()
        Statistics(net, contexts, 'device').average()
        found.append({name: p.list_data()[0].asnumpy() for name, p in checkpoint.statistics(net).items()})
    for name, one in found[0].items():
        np.testing.assert_allclose(found[1][name], one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('kvstore', ['device', 'local'])
def test_devices_hold_the_same_parameters_after_training(tiny_data, kvstore):
    cfg = config.load(experiment_file('h1'), [*SMALL, 'train.batch_size=6'])
    contexts = runtime.contexts(cpus=2)
    net, graph, trainer = graph_and_trainer(cfg, contexts, 1e-3, kvstore=kvstore)
    own = checkpoint.parameters(net)
    before = {name: parameter.list_data()[0].asnumpy() for name, parameter in own.items()}
    for batch in training_loader(cfg, tiny_data).batches(1):
        train_step(graph, trainer, batch, contexts)
    mx.nd.waitall()
    Statistics(net, contexts, kvstore).average()
    for name, parameter in own.items():
        first, second = (data.asnumpy() for data in parameter.list_data())
        np.testing.assert_array_equal(first, second)
        assert not np.array_equal(first, before[name])


def test_kvstores_agree(tiny_data, tmp_path):
    cfg = config.load(experiment_file('i1'), [*SMALL, 'train.batch_size=6'])
    contexts = runtime.contexts(cpus=2)
    runtime.seed_everything(0)
    checkpoint.save_parameters(experiment.network(cfg, len(JOINTS), contexts), tmp_path / 'start.params')
    found = []
    for kvstore in ('device', 'local'):
        net, graph, trainer = graph_and_trainer(cfg, contexts, 1e-3, tmp_path / 'start.params', kvstore)
        for batch in training_loader(cfg, tiny_data).batches(1):
            train_step(graph, trainer, batch, contexts)
        mx.nd.waitall()
        found.append({name: p.list_data()[1].asnumpy() for name, p in checkpoint.parameters(net).items()})
    for name, one in found[0].items():
        np.testing.assert_array_equal(one, found[1][name])


class TwoWorkers:
    """A kvstore as the first of two workers sees it; the other one's values are all 3."""
    rank, num_workers = 0, 2

    def init(self, key, value):
        self.key, self.shape = key, value.shape

    def pushpull(self, key, value, out):
        assert key == self.key and value.shape == self.shape
        out[:] = value + 3


def test_statistics_are_averaged_over_workers():
    cfg = config.load(experiment_file('r1'), SMALL)
    net = experiment.network(cfg, len(JOINTS), [mx.cpu()])
    own = {name: p for name, p in checkpoint.parameters(net).items() if name.endswith(('running_mean', 'running_var'))}
    for number, parameter in enumerate(own.values()):
        parameter.set_data(mx.nd.ones(parameter.shape) * number)
    Statistics(net, [mx.cpu()], TwoWorkers()).average()
    for number, parameter in enumerate(own.values()):
        np.testing.assert_array_equal(parameter.data().asnumpy(), (number + 3) / 2)


def test_a_batch_smaller_than_the_devices(tiny_data):
    """Two samples on three devices give the gradient of two samples on one."""
    cfg = config.load(experiment_file('i1'), [*SMALL, 'train.batch_size=2', 'train.freeze_bn=true'])
    batch = next(training_loader(cfg, tiny_data).batches(1))
    gradients = []
    for devices in (1, 3):
        runtime.seed_everything(0)
        contexts = runtime.contexts(cpus=devices)
        net, graph, trainer = graph_and_trainer(cfg, contexts, 0.0)
        train_step(graph, trainer, batch, contexts)
        gradients.append(checkpoint.parameters(net)['heads.0.final.weight'].list_grad()[0].asnumpy())
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-4 * np.abs(gradients[0]).max())


def test_i1_trains_its_h1_first_and_leaves_what_a_user_looks_for(tiny_data, tmp_path, capsys):
    run('i1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    output = capsys.readouterr().out
    for method in ('h1', 'i1'):
        left = {path.name for path in folder(tmp_path, method).iterdir()}
        assert left >= {'best.params', 'last.state', 'log.jsonl', 'config.yaml', 'result.json', 'test.json',
                        'predictions.jpg', 'tensorboard'}
    assert 'paper     -     -     -     -     -     -     -  87.3 |  87.3  29.3  58.3' in output
    result = json.loads((folder(tmp_path, 'i1') / 'test.json').read_text())
    assert result.keys() == {'PCKh@0.5', 'PCKh@0.1', 'AUC', 'joints', 'curve', 'decodings', *results.PROVENANCE}
    line = json.loads((folder(tmp_path, 'i1') / 'log.jsonl').read_text())
    assert line['AUC'] == pytest.approx(result['AUC'])                         # best.params is the network that scored


def test_the_state_of_a_run_serves_as_parameters_of_its_last_epoch(tiny_data, tmp_path):
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    loaded = []
    for name in ('best.params', 'last.state'):                                 # the only epoch is the best
        net = experiment.network(config.load(experiment_file('h1'), SMALL), len(JOINTS), [mx.cpu()])
        checkpoint.load_parameters(net, folder(tmp_path, 'h1') / name, [mx.cpu()])
        loaded.append({key: value.data().asnumpy() for key, value in checkpoint.parameters(net).items()})
    for key in loaded[0]:
        np.testing.assert_array_equal(loaded[0][key], loaded[1][key])


def test_a_resumed_i1_does_without_the_h1_it_started_from(tiny_data, tmp_path):
    run('i1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    shutil.rmtree(folder(tmp_path, 'h1'))
    run('i1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--resume')
    assert not folder(tmp_path, 'h1').exists()
    assert len((folder(tmp_path, 'i1') / 'log.jsonl').read_text().splitlines()) == 2


def test_two_processes_do_not_train_in_one_folder(tiny_data, tmp_path):
    with files.locked(files.make_folder(folder(tmp_path, 'h1'))):
        with pytest.raises(InputError, match='another process is writing there'):
            run('i1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    assert not (folder(tmp_path, 'h1') / 'run.json').exists()


def test_an_earlier_run_is_not_overwritten(tiny_data, tmp_path, capsys):
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    before = (folder(tmp_path, 'h1') / 'last.state').read_bytes()
    with pytest.raises(InputError, match='--resume'):
        run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    assert (folder(tmp_path, 'h1') / 'last.state').read_bytes() == before


def test_a_finished_run_that_is_tested_again_keeps_the_commit_that_trained_it(tiny_data, tmp_path):
    path = folder(tmp_path, 'h1') / 'result.json'
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    files.write_json(path, {**files.read_json(path), 'commit': 'earlier'})
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1', '--resume')
    assert files.read_json(path)['commit'] == 'earlier'
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--resume')
    assert files.read_json(path)['commit'] != 'earlier' and files.read_json(path)['last']['epoch'] == 2


@pytest.mark.parametrize('change', ['data', 'train.batch_size=5', 'augment.rotation=3', 'train.dtype=bfloat16'])
def test_a_run_is_not_resumed_with_other_data_or_another_configuration(tiny_data, tmp_path, change, monkeypatch):
    monkeypatch.setattr(bfloat16, 'CPUINFO', tmp_path / 'cpuinfo')             # not what keeps it from being resumed
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    before = {path.name: path.read_bytes() for path in folder(tmp_path, 'h1').iterdir() if path.is_file()}
    data = shutil.copytree(tiny_data, tmp_path / 'other') if change == 'data' else tiny_data
    more = [] if change == 'data' else ['--set', change]
    with pytest.raises(InputError, match='other' if change == 'data' else change.partition('=')[0]):
        run('h1', data, tmp_path, '--set', 'train.epochs=2', '--resume', *more)
    with pytest.raises(InputError, match='holds a run'):                       # nor does I1 start from it
        run('i1', data, tmp_path, '--set', 'train.epochs=1', *more)
    assert before == {path.name: path.read_bytes() for path in folder(tmp_path, 'h1').iterdir() if path.is_file()}


def test_a_run_is_not_resumed_on_other_annotations_under_the_same_name(tiny_data, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / tiny_data.name)
    run('r1', data, tmp_path, '--set', 'train.epochs=1')
    run('r1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--resume')      # the same in another place
    before = (folder(tmp_path, 'r1') / 'last.state').read_bytes()
    path = data / 'annot' / 'train.json'
    path.write_text(json.dumps(json.loads(path.read_text())[:-1]))
    with pytest.raises(InputError, match=f'r1: holds a run on another {tiny_data.name}'):
        run('r1', data, tmp_path, '--set', 'train.epochs=3', '--resume')
    assert (folder(tmp_path, 'r1') / 'last.state').read_bytes() == before


def test_what_changes_nothing_in_h1_leaves_it_as_it_is_when_i1_starts(tiny_data, tmp_path, capfd):
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    before = (folder(tmp_path, 'h1') / 'last.state').read_bytes()
    sets = [option for value in ('train.epochs=1', 'loss.joint_weight=10', 'network.beta=5', 'test.flip=true')
            for option in ('--set', value)]
    run('i1', tiny_data, tmp_path, *sets)
    assert (folder(tmp_path, 'h1') / 'last.state').read_bytes() == before
    assert 'h1: is finished and stays as it is, with test.flip False, not True' in capfd.readouterr().out
    for change in ('loss.joint_weight=2', 'network.beta=3', 'test.flip=false', 'test.decode=local'):   # they do in I1
        with pytest.raises(InputError, match=change.partition('=')[0]):
            run('i1', tiny_data, tmp_path, *sets, '--resume', '--set', change)
    with pytest.raises(InputError, match='h1: holds a run with network.beta'):                        # its log has both
        run('h1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--set', 'network.beta=5', '--resume')


def test_a_finished_run_is_not_trained_over_when_its_state_is_gone(tiny_data, tmp_path, capfd):
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    (folder(tmp_path, 'h1') / 'last.state').unlink()
    before = (folder(tmp_path, 'h1') / 'best.params').read_bytes()
    for more in ([], ['--resume']):
        with pytest.raises(InputError, match='h1: holds a finished run, but not the last.state'):
            run('h1', tiny_data, tmp_path, '--set', 'train.seed=5', *more)
    with pytest.raises(InputError, match='h1: holds a run with train.seed 0, not 5'):
        run('i1', tiny_data, tmp_path, '--set', 'train.seed=5')
    capfd.readouterr()
    run('i1', tiny_data, tmp_path, '--set', 'train.epochs=2')
    assert 'h1: is finished and stays as it is, with train.epochs 1, not 2' in capfd.readouterr().out
    assert (folder(tmp_path, 'h1') / 'best.params').read_bytes() == before


def test_people_without_a_joint_are_nothing_to_train_on(tiny_data, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / 'data')
    path = data / 'annot' / 'train.json'
    files.write_json(path, [{**record, 'joints_vis': [0] * 16} for record in files.read_json(path)])
    with pytest.raises(InputError, match='data.train is train: nobody in it has an annotated joint'):
        run('h1', data, tmp_path)


def test_a_commit_is_not_that_of_a_repository_around_the_project(tmp_path, monkeypatch):
    assert experiment.commit()
    monkeypatch.setattr(results, 'ROOT', tmp_path)
    assert experiment.commit() is None


def test_overrides_reach_the_first_phase_but_for_what_tells_the_phases_apart():
    cfg = config.load(experiment_file('i1'), ['loss.joint=l2', 'train.batch_size=5', 'test.decode=local'])
    first, last = experiment.chain(cfg, ['loss.joint=l2', 'train.batch_size=5', 'test.decode=local'])
    assert last is cfg
    assert (first.loss.joint, first.test.decode, first.train.batch_size) == ('none', 'argmax', 5)


def test_an_override_stays_away_from_all_that_is_before_the_files_that_differ(tmp_path):
    (tmp_path / 'h1.yaml').write_text(f'base: {experiment_file("h1")}\n')
    (tmp_path / 'more.yaml').write_text('base: h1.yaml\ntrain: {start_from: h1}\n')
    (tmp_path / 'turns.yaml').write_text('base: more.yaml\naugment: {rotation: 60}\ntrain: {start_from: more}\n')
    overrides = ['augment.rotation=90', 'train.seed=5']
    chain = experiment.chain(config.load(tmp_path / 'turns.yaml', overrides), overrides)
    assert [(run.augment.rotation, run.train.seed) for run in chain] == [(30, 5), (30, 5), (90, 5)]


def test_another_start_is_that_of_the_experiment_alone():
    overrides = ['train.start_from=h2']
    chain = experiment.chain(config.load(experiment_file('h1'), overrides), overrides)
    assert [Path(run.name).name for run in chain] == ['h2', 'h1'] and not chain[0].train.start_from


def test_what_a_finished_network_started_from_is_not_needed(tiny_data, tmp_path, capfd):
    (tmp_path / 'more.yaml').write_text(f'base: {experiment_file("i1")}\nname: more\ntrain: {{start_from: '
                                        f'{experiment_file("i1").with_suffix("")}}}\n')
    run('i1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    shutil.rmtree(folder(tmp_path, 'h1'))
    capfd.readouterr()
    train.main(['--cfg', str(tmp_path / 'more.yaml'), *arguments('i1', tiny_data, tmp_path)[2:], '--set',
                'train.epochs=1'])
    assert not folder(tmp_path, 'h1').exists() and (tmp_path / 'more/best.params').exists()
    assert 'trained first' not in capfd.readouterr().out


def test_a_network_trained_on_sees_new_crops(tiny_data, tmp_path):
    """The first epochs of H1, of I1 from it and of one from that I1 are all different; those of H1 and H2 are the same."""
    (tmp_path / 'long.yaml').write_text(f'base: {experiment_file("i1")}\n'
                                        f'train: {{start_from: {experiment_file("i1").with_suffix("")}}}\n')
    first = {}
    for path in (*map(experiment_file, ('h1', 'h2', 'i1')), tmp_path / 'long.yaml'):
        loader = training_loader(config.load(path, SMALL), tiny_data)
        first[path.stem] = [next(loader.batches(epoch)).images for epoch in range(1, 4)]
    np.testing.assert_array_equal(first['h1'], first.pop('h2'))
    assert not any(np.array_equal(*pair) for pair in combinations(sum(first.values(), []), 2))


def test_training_ends_well_without_git(tiny_data, tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    run('r1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    assert json.loads((folder(tmp_path, 'r1') / 'result.json').read_text())['commit'] is None


def test_a_missing_validation_image_is_said_before_training(tiny_data, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / 'data')
    lost = next((data / 'images').glob('valid_*.jpg'))
    lost.unlink()
    with pytest.raises(InputError, match=lost.name):
        run('h1', data, tmp_path)
    assert not (folder(tmp_path, 'h1') / 'last.state').exists()


def losses(data, method, batch_size, batches, rate=1e-3, sets=SMALL):
    """The mean loss of each training step on `batches` of a loader."""
    cfg = config.load(experiment_file(method), [*sets, f'train.batch_size={batch_size}'])
    contexts = [mx.cpu()]
    runtime.seed_everything(0)
    _, graph, trainer = graph_and_trainer(cfg, contexts, rate)
    return [sum(train_step(graph, trainer, batch, contexts)).asnumpy().sum() / len(batch.images)
            for batch in batches(training_loader(cfg, data))]


@pytest.mark.long
@pytest.mark.parametrize('method', METHODS)
def test_the_loss_falls_over_200_steps_on_photographs(root, shared, method):
    rate = 1e-4 if method == 'istar' else 1e-3                                 # without heat maps 1e-3 is restless
    values = losses(shared / 'lspet_mpii', method, 16, lambda loader: islice(loader.batches(1), 200), rate, sets=[])
    assert np.isfinite(values).all()
    assert np.mean(values[-40:]) < 0.95 * np.mean(values[5:25])


@pytest.mark.long
@pytest.mark.parametrize('method', ['h1', 'i1'])
def test_the_loss_falls_at_each_of_four_stages_over_200_steps_on_photographs(root, shared, method):
    cfg = config.load(root / f'experiments/cpu/mpii/table5/stages4/{method}.yaml',
                      ['input.size=[64, 64]', 'train.batch_size=16'])
    contexts = [mx.cpu()]
    runtime.seed_everything(0)
    net, graph, trainer = graph_and_trainer(cfg, contexts, 1e-3)
    loader = training_loader(cfg, shared / 'lspet_mpii')
    held_back = list(islice(loader.batches(2), 4))
    loss = PoseLoss(cfg, net.stride)

    def by_stage():
        totals = np.zeros(4)
        for batch in held_back:
            images, *truth = (mx.nd.array(a, dtype=a.dtype)
                              for a in (batch.images, batch.joints, batch.visible, batch.keys))
            with mx.autograd.train_mode():    # the running statistics lag behind after so few steps
                outputs = net(images)
            totals += [sum(part.mean().asscalar() for part in loss([h], [j], *truth)) for h, j in zip(*outputs)]
        return totals

    before = by_stage()
    for batch in islice(loader.batches(1), 200):
        train_step(graph, trainer, batch, contexts)
    assert (by_stage() < 0.95 * before).all()


@pytest.mark.parametrize('method', METHODS)
def test_the_loss_falls_when_one_batch_is_learnt_by_heart(root, tiny_data, method):
    values = losses(tiny_data, method, 16, lambda loader: repeat(next(loader.batches(1)), 12))
    assert np.isfinite(values).all()
    assert np.mean(values[-3:]) < 0.9 * np.mean(values[:3])
