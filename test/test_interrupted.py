"""Trainings that are stopped, killed or fail, and go on as if nothing had been."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import narrow
import numpy as np
import pytest
from runs import arguments, assert_same_run, folder, run, training_loader

from common import config, files, runtime
from common.errors import AnnotationError, InputError, StorageError, Terminated
from common.predict import inference
from common.programs import train as program
from common.train import trainer
from common.weights import checkpoint
from pose_mpii import train
from pose_mpii.dataset import load_samples

pytestmark = pytest.mark.usefixtures('narrow_file')


@pytest.fixture(scope='module')
def whole(narrow_file, tiny_data, tmp_path_factory):
    """Folders of H1 runs of two epochs that nothing disturbed: on one device, and on two."""
    folders = {}
    for devices in ('1', '2'):
        out = tmp_path_factory.mktemp('whole')
        run('h1', tiny_data, out, '--cpus', devices, '--set', 'train.epochs=2')
        folders[devices] = folder(out, 'h1')
    return folders


@pytest.mark.parametrize('devices', ['1', '2'])
def test_a_resumed_run_equals_an_uninterrupted_one(tiny_data, tmp_path, whole, devices):
    for epochs in (1, 2):
        run('h1', tiny_data, tmp_path, '--cpus', devices, '--set', f'train.epochs={epochs}', '--resume')
    assert_same_run(whole[devices], folder(tmp_path, 'h1'))


@pytest.mark.parametrize('kills', [2, pytest.param(20, marks=pytest.mark.long)])
def test_a_killed_run_equals_an_uninterrupted_one(root, tiny_data, tmp_path, kills):
    """kill -9 at random moments in the training of H1, then I1: each process gets up to the time of an epoch."""
    uninterrupted, killed = tmp_path / 'uninterrupted', tmp_path / 'killed'
    epochs = ['--set', f'train.epochs={max(2, kills // 4)}']
    start = time.time()
    run('i1', tiny_data, uninterrupted, *epochs)
    epoch = (time.time() - start) / (2 * max(2, kills // 4))
    options = arguments('i1', tiny_data, killed, *epochs, '--resume')
    chance, done = random.Random(kills), 0
    while done < kills:
        process = subprocess.Popen([sys.executable, narrow.__file__, str(root / 'pose_mpii/train.py'), *options],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        state = folder(killed, 'h1') / 'run.json'             # before that there is nothing to lose
        while not state.exists():
            time.sleep(0.02)
        try:
            assert process.wait(timeout=chance.uniform(0, epoch) + (3 if done else 0)) == 0
            break                             # finished before it could be killed
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            done += 1
    assert done >= kills // 2
    train.main(options)
    for phase in ('h1', 'i1'):
        assert_same_run(folder(uninterrupted, phase), folder(killed, phase))


@pytest.mark.parametrize('kind', [StorageError, AnnotationError])
def test_an_outage_of_the_photographs_costs_nothing(tiny_data, tmp_path, whole, monkeypatch, kind):
    """images/ fails with EIO in the last batch of epoch 2, or one of them has become another; --resume afterwards:
    equal bit for bit, the log too."""
    cfg = config.load(whole['1'] / 'config.yaml')
    batches = training_loader(cfg, tiny_data)
    last = batches.samples[batches.order(2)[-1]].image
    real, reads = files.read_bytes, []

    def failing(path):
        reads.append(path)
        if reads.count(last) > 1:             # its first time was in epoch 1
            raise kind(f'{path}: cannot be read (Input/output error)')
        return real(path)
    monkeypatch.setattr(files, 'read_bytes', failing)
    with pytest.raises(InputError, match=r'Input/output error.*last.state is whole'):
        run('h1', tiny_data, tmp_path, '--cpus', '1', '--set', 'train.epochs=2')
    state = json.loads(checkpoint.read_arrays(folder(tmp_path, 'h1') / 'last.state')['json'].asnumpy().tobytes())
    assert state['begun']['steps'] < 3 and len(state['history']) == 1          # threads read ahead in any order
    monkeypatch.undo()
    run('h1', tiny_data, tmp_path, '--cpus', '1', '--set', 'train.epochs=2', '--resume')
    assert_same_run(whole['1'], folder(tmp_path, 'h1'))


HALF = '''
import os, signal
import common
import mxnet as mx
from pose_mpii import train

calls, save = [], mx.nd.save

def broken(path, arrays):
    save(path, arrays)
    calls.append(path)
    if len(calls) == {call}:
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

mx.nd.save = broken
train.main({arguments!r})
'''


@pytest.mark.parametrize('call', [1, 2, 3])
def test_killed_while_a_checkpoint_is_half_written(tiny_data, tmp_path, whole, call):
    """best.params and last.state of the first epoch, then of the second one: what was there before stays whole."""
    options = arguments('h1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--resume')
    program = tmp_path / 'half.py'
    program.write_text(HALF.format(call=call, arguments=options))
    process = subprocess.run([sys.executable, narrow.__file__, program], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    assert process.returncode == -signal.SIGKILL
    assert (folder(tmp_path, 'h1') / 'last.state').exists() == (call > 2)
    train.main(options)
    assert_same_run(whole['1'], folder(tmp_path, 'h1'))


def test_a_corrupt_validation_image_costs_no_training(tiny_data, tmp_path, monkeypatch, whole):
    data = shutil.copytree(tiny_data, tmp_path / 'data')
    image = next((data / 'images').glob('valid_*.jpg'))
    content = image.read_bytes()
    step = trainer.train_step

    def damaging(*args):                      # after the photographs were looked at, which is before the first epoch
        image.write_bytes(content[:-500])
        return step(*args)
    with monkeypatch.context() as patch:
        patch.setattr(trainer, 'train_step', damaging)
        with pytest.raises(InputError, match='truncated.*last.state is whole, --resume goes on from it'):
            run('h1', data, tmp_path, '--set', 'train.epochs=2')
    image.write_bytes(content)
    steps = counted(monkeypatch, trainer, 'train_step')
    run('h1', data, tmp_path, '--set', 'train.epochs=2', '--resume')
    assert len(steps) == 3, 'the first epoch was trained once more'
    assert_same_run(whole['1'], folder(tmp_path, 'h1'))


def counted(monkeypatch, module, name):
    """A list to which every call of a function of a module adds an element."""
    function, calls = getattr(module, name), []
    monkeypatch.setattr(module, name, lambda *args, **kwargs: (calls.append(name), function(*args, **kwargs))[1])
    return calls


def signalled(monkeypatch, module, name, call):
    """Let a function of a module send this process SIGTERM when it is called for the `call`-th time."""
    function, calls = getattr(module, name), []

    def wrapper(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return function(*args, **kwargs)
    monkeypatch.setattr(module, name, wrapper)


@pytest.mark.parametrize('devices, module, name, call, where', [
    ('1', trainer, 'train_step', 5, 'epoch 2 of 2, step 2'),
    ('2', trainer, 'train_step', 5, 'epoch 2 of 2, step 2'),
    ('2', trainer, 'train_step', 6, 'epoch 2 of 2, step 3'),
    ('1', program, 'predict_and_score', 2, 'epoch 2 of 2, step 3'),
    ('1', checkpoint, 'save_state', 1, 'epoch 1 of 2, its end'),
    ('1', checkpoint, 'save_state', 2, 'epoch 2 of 2, its end')])
def test_a_terminated_run_goes_on_at_the_next_step(tiny_data, tmp_path, monkeypatch, whole, devices, module, name,
                                                   call, where):
    """SIGTERM within an epoch, in its last step, in validation, while a checkpoint is written, and in the run's end."""
    options = ['--cpus', devices, '--set', 'train.epochs=2']
    with monkeypatch.context() as patch:
        signalled(patch, module, name, call)
        with pytest.raises(Terminated, match=f'{where}; .*last.state is whole, --resume goes on from it'):
            run('h1', tiny_data, tmp_path, *options)
    run('h1', tiny_data, tmp_path, *options, '--resume')
    assert_same_run(whole[devices], folder(tmp_path, 'h1'))


def test_a_run_goes_on_in_smaller_batches_on_other_devices(tiny_data, tmp_path, monkeypatch, capsys):
    """As where memory has run out: every sample is met once in the epoch all the same, and a warning is given."""
    seen, step = [], trainer.train_step

    def watched(graph, optimizer, batch, *args):
        seen.append(batch.indices.tolist())
        return step(graph, optimizer, batch, *args)
    monkeypatch.setattr(trainer, 'train_step', watched)
    options = ['--set', 'train.epochs=1']
    with monkeypatch.context() as patch:
        signalled(patch, trainer, 'train_step', 2)
        with pytest.raises(Terminated, match='epoch 1 of 1, step 2'):
            run('h1', tiny_data, tmp_path, *options)
    run('h1', tiny_data, tmp_path, *options, '--resume', '--cpus', '2', '--set', 'train.batch_size=2')
    assert list(map(len, seen)) == [6, 6, 2, 2] and sorted(sum(seen, [])) == list(range(16))
    assert "goes on with batches of 2 instead of 6 and devices ['cpu(0)', 'cpu(1)'] instead of" in \
        capsys.readouterr().err


@pytest.mark.parametrize('number', [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_terminated_program_says_so(root, tiny_data, tmp_path, number):
    options = arguments('h1', tiny_data, tmp_path, '--set', 'train.epochs=1000')
    process = subprocess.Popen([sys.executable, narrow.__file__, str(root / 'pose_mpii/train.py'), *options], text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not (folder(tmp_path, 'h1') / 'last.state').exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    error = process.communicate(timeout=30)[1].splitlines()[-1]
    assert process.returncode == 128 + number
    assert error.startswith(f'ended by {number.name}: cpu/mpii/table2/h1 epoch') and '--resume' in error


def test_a_loss_that_is_not_finite_ends_the_run_and_spares_the_checkpoint(tiny_data, tmp_path, monkeypatch, whole):
    """Once the loss of one image in the second epoch is NaN: its name is said, and the run goes on from the first."""
    step = trainer.train_step

    def broken(graph, optimizer, batch, contexts, workers):
        batch.joints[1] = np.nan
        names.append(Path(samples[batch.indices[1]].image).name)
        return step(graph, optimizer, batch, contexts, workers)
    names, samples = [], load_samples(tiny_data, 'train', (64, 64))
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    with monkeypatch.context() as patch:
        patch.setattr(trainer, 'train_step', broken)
        with pytest.raises(InputError, match='epoch 2 of 2, step 1: the loss of .* is not finite; '
                                             '.*last.state') as caught:
            run('h1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--resume')
    assert names[0] in str(caught.value) and str(caught.value).count('.jpg') == 1
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--resume')
    assert_same_run(whole['1'], folder(tmp_path, 'h1'))


def test_a_validation_that_is_not_finite_ends_the_run_and_goes_on(tiny_data, tmp_path, monkeypatch, whole):
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    with monkeypatch.context() as patch:
        patch.setattr(inference.MeanLoss, '__float__', lambda self: float('nan'))
        with pytest.raises(InputError, match='epoch 2 of 2: validation_loss on the validation split is not '
                                             'finite; .*state'):
            run('h1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--resume')
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--resume')
    assert_same_run(whole['1'], folder(tmp_path, 'h1'))


def test_an_epoch_begun_by_one_process_is_done_anew_by_several(tiny_data, tmp_path, monkeypatch, capsys):
    options = ['--set', 'train.epochs=1']
    with monkeypatch.context() as patch:
        signalled(patch, trainer, 'train_step', 1)
        with pytest.raises(Terminated, match='epoch 1 of 1, step 1'):
            run('h1', tiny_data, tmp_path, *options)
    begun = []
    monkeypatch.setattr(runtime, 'devices', lambda contexts, name: runtime.Devices(contexts, workers=2))
    monkeypatch.setattr(trainer, 'train_one_epoch',
                        lambda graph, run, loader, contexts: (begun.append(run.meter.steps), run.meter.stop()))
    run('h1', tiny_data, tmp_path, *options, '--resume')
    assert begun == [0]
    said = capsys.readouterr()
    assert 'goes on with workers 2 instead of 1; the network' in said.err
    assert f'{runtime.worker_name(0)} validates, and writes {folder(tmp_path, "h1")}\n' in said.out
