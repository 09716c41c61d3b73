"""Two worker processes on MXNet's own distributed kvstore."""
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from common import checkpoint, runtime
from common.errors import InputError

SETS = ('input.size=[64, 64]', 'network.deconvolutions=3', 'train.freeze_bn=true', 'train.drops=[1]',
        'train.epochs=2',
        'train.rates=[1e-5, 1e-6]')           # Adam turns rounding of a gradient near 0 into a step of this size


def start(root, data, out, batch_size, environment, *more):
    sets = [option for value in (*SETS, f'train.batch_size={batch_size}') for option in ('--set', value)]
    return subprocess.Popen([sys.executable, str(root / 'pose_mpii/train.py'), '--cfg',
                             str(root / 'experiments/cpu/mpii/table2/r1.yaml'), '--data', str(data), '--out', str(out),
                             *sets, *more], env={**os.environ, **environment})


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


def test_two_workers_train_as_one_with_twice_the_batch(root, tiny_data, tmp_path):
    """16 samples: 2 workers x 2 steps of 4 equal 2 steps of 8, BN frozen. Only the first worker writes."""
    common = {'DMLC_PS_ROOT_URI': '127.0.0.1', 'DMLC_PS_ROOT_PORT': free_port(), 'DMLC_NUM_WORKER': '2',
              'DMLC_NUM_SERVER': '1', 'DMLC_INTERFACE': 'lo', 'OMP_NUM_THREADS': '1'}
    helpers = [subprocess.Popen([sys.executable, '-c', 'import mxnet'], env={**os.environ, **common, 'DMLC_ROLE': role})
               for role in ('scheduler', 'server')]
    try:
        workers = [start(root, tiny_data, tmp_path / 'two', 4, {**common, 'DMLC_ROLE': 'worker'}, '--kvstore',
                         'dist_sync') for _ in range(2)]
        assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    finally:
        for process in helpers:
            process.kill()
    assert start(root, tiny_data, tmp_path / 'one', 8, {'OMP_NUM_THREADS': '1'}).wait(timeout=300) == 0
    one, two = (checkpoint.read_arrays(tmp_path / n / 'cpu/mpii/table2/r1/last.state') for n in ('one', 'two'))
    for name in one.keys() - {'json'}:
        scale = np.abs(one[name].asnumpy()).max()
        np.testing.assert_allclose(two[name].asnumpy(), one[name].asnumpy(), atol=1e-4 * scale + 1e-7, rtol=1e-4)
    result = json.loads((tmp_path / 'two/cpu/mpii/table2/r1/result.json').read_text())
    assert result['workers'] == 2


def test_without_a_scheduler_it_says_what_is_lacking(monkeypatch):
    for name in [name for name in os.environ if name.startswith('DMLC_')]:
        monkeypatch.delenv(name)
    with pytest.raises(InputError, match='DMLC_PS_ROOT_URI'):
        runtime.kvstore('dist_sync')
