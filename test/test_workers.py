"""What workers have to have in common before they train together."""
import json
import re
import shutil

import mxnet as mx
import pytest
from refused import fails
from runs import SMALL, experiment_file, training_loader

from common import config, runtime
from common.train import run as training


class OneOfTwo:
    """A kvstore of two workers, of which the first one is asked before the second one."""
    num_workers, told = 2, None

    def __init__(self, rank):
        self.rank = rank

    def init(self, key, value):
        pass

    def pushpull(self, key, value, out):
        if self.rank == 0:
            OneOfTwo.told = value.copy()
        else:
            out[:] = value + OneOfTwo.told


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """A function that begins the training of a worker, in which a last.state stands for one epoch."""
    monkeypatch.setattr(training, 'share_parameters', lambda trainer, store: None)
    monkeypatch.setattr(training.checkpoint, 'load_state', lambda *_: ([{'score': 50.0}], None))

    def begin(rank, data, batch_size=4):
        cfg = config.load(experiment_file('h1'), [*SMALL, f'train.batch_size={batch_size}'])
        devices = runtime.Devices([mx.cpu()], OneOfTwo(rank), 'dist_sync', rank, workers=2)
        return training.Run(cfg, None, None, training_loader(cfg, data), tmp_path, devices)
    return begin


def test_workers_with_the_same_train_together(begin, tiny_data, tmp_path):
    begin(0, tiny_data)
    assert begin(1, shutil.copytree(tiny_data, tmp_path / 'data')).history == []


@pytest.mark.parametrize('change, message', [
    ('epochs', 'has 1 epochs in .*/last.state, rank 0 has 0; all hosts need to share the folder of --out'),
    ('batch size', r'has \d+ as checksum of its configuration, rank 0 has \d+; all hosts need the same YAML files'),
    ('image', 'has 15 people to train on whose image is there, rank 0 has 16; all hosts need the same data'),
    ('joint', r'has \d+ as checksum of the people to train on, rank 0 has \d+; all hosts need the same data')])
def test_a_worker_that_would_train_something_else_says_so(begin, tiny_data, tmp_path, change, message):
    begin(0, tiny_data)
    data = shutil.copytree(tiny_data, tmp_path / 'data')
    if change == 'epochs':
        (tmp_path / 'last.state').touch()
    if change == 'image':
        next((data / 'images').glob('train_*.jpg')).unlink()
    if change == 'joint':
        annotations = json.loads((data / 'annot/train.json').read_text())
        annotations[0]['joints'][0][0] += 1
        (data / 'annot/train.json').write_text(json.dumps(annotations))
    assert re.fullmatch(rf'.* \(rank 1\): {message}', fails(begin, 1, data, 5 if change == 'batch size' else 4))
