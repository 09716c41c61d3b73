"""Threads, devices and seeds."""
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from common import runtime
from common.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
CGROUP_CPUS = runtime._cgroup_cpus


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that fakes a machine: its logical CPUs, which of them share a core, and files of its cgroup."""
    def machine(cpus, siblings=str, **cgroup):
        monkeypatch.setattr(os, 'sched_getaffinity', lambda process: set(cpus), raising=False)
        monkeypatch.setattr(runtime, '_siblings', siblings)
        monkeypatch.setattr(runtime, '_cgroup_cpus', partial(CGROUP_CPUS, tmp_path))
        (tmp_path / 'cpu').mkdir()
        for name, content in cgroup.items():
            (tmp_path / {'v2': 'cpu.max', 'quota': 'cpu/cpu.cfs_quota_us', 'period': 'cpu/cpu.cfs_period_us'}[name]
             ).write_text(content + '\n')
    return machine


def python(code, **environment):
    """What a new interpreter prints, started without OMP_NUM_THREADS unless it is given."""
    inherited = {key: value for key, value in os.environ.items() if key != 'OMP_NUM_THREADS'}
    return subprocess.run([sys.executable, '-c', code], cwd=ROOT, env={**inherited, **environment}, text=True,
                          stdout=subprocess.PIPE, check=True).stdout.strip()


# --- cores ---------------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not hasattr(os, 'sched_setaffinity'), reason='this system has no affinity')
def test_importing_common_gives_openmp_the_cores_of_the_affinity_mask():
    cpu = min(os.sched_getaffinity(0))
    code = f'import os; os.sched_setaffinity(0, [{cpu}]); import common; print(os.environ["OMP_NUM_THREADS"])'
    assert python(code) == '1'


def test_importing_common_sets_openmps_threads_unless_the_user_did():
    code = 'import os, sys, common; print(os.environ["OMP_NUM_THREADS"], "mxnet" in sys.modules)'
    assert python(code) == f'{runtime.available_cores()} False', 'MXNet reads the variable when it is loaded'
    assert python(code, OMP_NUM_THREADS='7') == '7 False'


@pytest.mark.parametrize('value, expected', [('4', 4), ('4,2', 4), ('', None), ('0', None), ('x', None)])
def test_threads_are_the_first_of_openmps_numbers(monkeypatch, value, expected):
    monkeypatch.setenv('OMP_NUM_THREADS', value)
    assert runtime.threads() == (expected or runtime.available_cores())


def test_hyper_threads_of_a_core_count_once(machine):
    machine(range(8), siblings=lambda cpu: f'{cpu % 4},{cpu % 4 + 4}')
    assert runtime.available_cores() == 4


@pytest.mark.parametrize('cgroup, cores', [
    ({}, 8), ({'v2': 'max 100000'}, 8), ({'v2': '300000 100000'}, 3), ({'v2': '250000 100000'}, 3),
    ({'v2': '20000 100000'}, 1), ({'v2': '1600000 100000'}, 8), ({'v2': ''}, 8),
    ({'quota': '200000', 'period': '100000'}, 2), ({'quota': '-1', 'period': '100000'}, 8), ({'quota': '200000'}, 8)])
def test_the_control_groups_quota_caps_the_cores(machine, cgroup, cores):
    machine(range(8), **cgroup)
    assert runtime.available_cores() == cores


def test_a_worker_takes_its_share_of_the_cores(machine, monkeypatch):
    machine(range(8))
    monkeypatch.setenv(runtime.CORES, '3')
    assert runtime.available_cores() == 3


def test_without_affinity_the_logical_cpus_count(monkeypatch):
    monkeypatch.delattr(os, 'sched_getaffinity', raising=False)
    monkeypatch.setattr(os, 'cpu_count', lambda: 6)
    assert runtime.available_cores() == 6


# --- PyTorch -------------------------------------------------------------------------------------------------------

STUB = "__version__ = '2.13.0'\n"             # which GluonCV refuses to work beside


@pytest.mark.parametrize('before, after', [('import torch', ''), ('', 'import torch'), ('', '')])
def test_gluoncv_does_not_see_pytorch_and_the_program_does(tmp_path, before, after):
    (tmp_path / 'torch').mkdir()
    (tmp_path / 'torch' / '__init__.py').write_text(STUB)
    seen = 'print("torch" in sys.modules and sys.modules["torch"].__version__)'
    code = [f'import sys; sys.path.insert(1, {str(tmp_path)!r})', before, 'import common, common.nets.backbone', seen,
            after, seen]
    expected = '2.13.0' if before else False, '2.13.0' if before or after else False
    assert python('\n'.join(code)) == '{}\n{}'.format(*expected)


# --- devices -------------------------------------------------------------------------------------------------------

@pytest.fixture
def gpus(monkeypatch):
    """A function that fakes the number of GPUs MXNet sees."""
    import mxnet as mx
    return lambda count: monkeypatch.setattr(mx.context, 'num_gpus', lambda: count)


def refused(*arguments):
    with pytest.raises(InputError) as caught:
        runtime.contexts(*arguments)
    return str(caught.value)


def test_without_options_all_the_gpus_or_one_cpu(gpus):
    gpus(0)
    assert list(map(str, runtime.contexts())) == ['cpu(0)']
    gpus(2)
    assert list(map(str, runtime.contexts())) == ['gpu(0)', 'gpu(1)']


def test_the_devices_named_are_used(gpus):
    gpus(4)
    assert list(map(str, runtime.contexts('3,0'))) == ['gpu(3)', 'gpu(0)']
    assert list(map(str, runtime.contexts(cpus=3))) == ['cpu(0)', 'cpu(1)', 'cpu(2)']


@pytest.mark.parametrize('text', ['a', '', '0;1', '0,', '0.5'])
def test_a_list_of_gpus_that_is_none_is_quoted(gpus, text):
    gpus(2)
    assert refused(text).startswith(f'--gpus {text}: expected numbers')


@pytest.mark.parametrize('text', ['2', '-1', '0,0'])
def test_gpus_that_mxnet_does_not_see_are_refused(gpus, text):
    gpus(2)
    assert refused(text) == f'--gpus {text}: MXNet sees 2 GPUs'


def test_a_machine_without_cuda_says_what_to_do(gpus):
    gpus(0)
    assert 'no GPU' in refused('0') and '--cpus' in refused('0')
    assert refused(None, 0) == '--cpus 0: at least 1' and refused(None, -1) == '--cpus -1: at least 1'


# --- seeds ---------------------------------------------------------------------------------------------------------

def test_one_seed_gives_one_sequence_and_another_seed_another():
    import mxnet as mx

    def numbers(seed):
        runtime.seed_everything(seed)
        devices = [mx.nd.random.uniform(shape=3, ctx=context).asnumpy().tolist() for context in (mx.cpu(0), mx.cpu(1))]
        return [random.random(), np.random.rand(3).tolist(), *devices]

    first, again, other = numbers(5), numbers(5), numbers(6)
    assert first == again
    assert all(a != b for a, b in zip(first, other))
    numbers(2 ** 32 - 1)                      # the largest that a configuration may hold


def test_no_two_streams_meet_and_each_repeats_itself():
    keys = [(seed, *key) for seed in (0, 1, 2 ** 32 - 1) for key in ((), (0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0))]
    first, again = ([tuple(runtime.stream(*key).random(3)) for key in keys] for _ in range(2))
    assert first == again and len(set(first)) == len(keys)
