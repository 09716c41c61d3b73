"""Threads, devices and seeds. Imported by `common/__init__.py`, so that it acts before MXNet is imported."""
import os
import random
import socket
import sys
from pathlib import Path
from typing import Any, NamedTuple, Tuple

from common.errors import InputError

CORES = 'POSE_CORES'                          # in the environment: a worker's share, from scripts/train_dist.py
DISTRIBUTED = 'dist_sync', 'dist_device_sync'   # kvstores: a host's gradients are summed on its CPU, or on its devices


def available_cores() -> int:
    """Physical cores this process may use: its CPU affinity, hyper-threads counted once, capped by cgroup and CORES."""
    try:
        cpus = os.sched_getaffinity(0)
    except AttributeError:                    # macOS has no affinity
        return os.cpu_count() or 1
    cores = {_siblings(cpu) for cpu in cpus}
    return max(1, min(len(cores), int(_cgroup_cpus() + 0.5), int(os.environ.get(CORES, len(cores)))))


def _siblings(cpu):
    """A name for the physical core of a logical CPU: the list of hyper-threads on it."""
    path = Path(f'/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list')
    try:
        return path.read_text(encoding='utf-8').strip()
    except OSError:
        return str(cpu)


def _cgroup_cpus(root='/sys/fs/cgroup'):
    """CPUs that the control group grants (version 2, then version 1), infinity where there is no limit."""
    root = Path(root)
    try:
        quota, period = (root / 'cpu.max').read_text(encoding='utf-8').split()
    except (OSError, ValueError):
        try:
            quota = (root / 'cpu/cpu.cfs_quota_us').read_text(encoding='utf-8').strip()
            period = (root / 'cpu/cpu.cfs_period_us').read_text(encoding='utf-8').strip()
        except OSError:
            return 1e9
    return 1e9 if quota in ('max', '-1') else int(quota) / int(period)


def use_available_cores():
    """Give OpenMP the cores there are, unless the user chose.

    MXNet takes half of the logical CPUs by default, which wastes half of a machine without hyper-threads and
    oversubscribes a container. OpenMP reads the variable once, when MXNet is loaded.
    """
    os.environ.setdefault('OMP_NUM_THREADS', str(available_cores()))


def threads() -> int:
    """How many threads OpenMP takes outside of nested regions, by OMP_NUM_THREADS (such as 4, or 4,2)."""
    first = os.environ.get('OMP_NUM_THREADS', '').partition(',')[0].strip()
    return int(first) if first.isdigit() and int(first) else available_cores()


def import_gluoncv():
    """Import GluonCV, call before anything of it is imported.

    It refuses to work beside PyTorch 2, which it imports wherever that is installed. So PyTorch is out of its sight
    meanwhile, and afterwards what it was: the program can import and use it, before and after.
    """
    if 'gluoncv' in sys.modules:
        return
    torch = {'torch': sys.modules['torch']} if 'torch' in sys.modules else {}
    sys.modules['torch'] = None
    try:
        import gluoncv  # noqa: F401
    finally:
        del sys.modules['torch']
        sys.modules.update(torch)


def contexts(gpus=None, cpus=None) -> list:
    """Devices from the command line: `gpus` is '0,1,2,3', `cpus` the number of CPU contexts.

    Without either, all the GPUs there are, or one CPU context. Several CPU contexts behave as several GPUs do (each
    has its own parameters, gradients go through kvstore). InputError for a list that is not one, and for GPUs that
    MXNet cannot see.
    """
    import mxnet as mx
    if cpus is not None:
        if cpus < 1:
            raise InputError(f'--cpus {cpus}: at least 1')
        return [mx.cpu(i) for i in range(cpus)]
    try:
        present = mx.context.num_gpus()
    except mx.MXNetError:                     # a CUDA build without a driver
        present = 0
    if gpus is None:
        return [mx.gpu(i) for i in range(present)] or [mx.cpu()]
    try:
        ids = [int(part) for part in gpus.split(',')]
    except ValueError:
        raise InputError(f'--gpus {gpus}: expected numbers separated by commas, such as 0,1,2,3') from None
    if len(set(ids)) < len(ids) or not all(0 <= i < present for i in ids):
        reason = f'MXNet sees {present} GPUs' if present else (
            'MXNet sees no GPU here (scripts/README.md says what sh scripts/setup.sh needs to find one); use --cpus N')
        raise InputError(f'--gpus {gpus}: {reason}')
    return [mx.gpu(i) for i in ids]


def scatter(array, contexts) -> list:
    """A NumPy array (B, ...) as NDArrays of the same type, in nearly equal parts over the devices: bytes stay bytes."""
    from mxnet import gluon, nd
    return gluon.utils.split_and_load(nd.array(array, dtype=array.dtype), contexts, even_split=False)


def kvstore(name) -> Any:
    """What exchanges gradients: `name` itself for one process, a connected store for `dist_...`.

    InputError where MXNet's scheduler has not been named to a worker of such a store, which would wait for ever.
    """
    import mxnet as mx
    if not name.startswith('dist'):
        return name
    lacking = [key for key in ('DMLC_ROLE', 'DMLC_PS_ROOT_URI', 'DMLC_PS_ROOT_PORT', 'DMLC_NUM_WORKER',
                               'DMLC_NUM_SERVER') if key not in os.environ]
    if lacking:
        raise InputError(f'--kvstore {name}: needs MXNet\'s scheduler and servers, and in the environment of every '
                         f'worker {", ".join(lacking)}')
    return mx.kv.create(name)


def shard(store) -> Tuple[int, int]:
    """(rank, count) of this process among the workers that share a `kvstore`."""
    return (0, 1) if isinstance(store, str) else (store.rank, store.num_workers)


def worker_name(rank) -> str:
    """What messages call this process, such as 'node2 (rank 1)'; MXNet gives the ranks, by the hosts' addresses."""
    return f'{socket.gethostname()} (rank {rank})'


class Devices(NamedTuple):
    """Where a network is trained."""

    contexts: list                            # MXNet's, of this process
    kvstore: Any = 'device'                   # a name or a connected store, see `kvstore`
    name: str = 'device'                      # what --kvstore calls it
    rank: int = 0                             # of this process among the workers; the first one validates and writes
    workers: int = 1                          # that share the kvstore


def devices(contexts, name) -> Devices:
    """The devices of this process, and the kvstore of this name; InputError as `kvstore`."""
    store = kvstore(name)
    return Devices(contexts, store, name, *shard(store))


def bar_intervals() -> dict:
    """How often tqdm shows a bar anew: every second, or every minute in a file, which would grow for days."""
    return {'mininterval': 1} if sys.stderr.isatty() else {'mininterval': 60, 'maxinterval': 60}


def seed_everything(seed):
    """Seed Python, NumPy and every device of MXNet; with one seed a run on the CPU repeats itself."""
    import mxnet as mx
    import numpy as np
    random.seed(seed)
    np.random.seed(seed)
    mx.random.seed(seed)


def stream(seed, *key) -> Any:
    """A generator of random numbers, `np.random.Generator`, of its own for each seed and key of whole numbers.

    Such as stream(seed, phase, epoch, sample): NumPy's SeedSequence sees to it that no two streams meet, whatever the
    numbers and however many of them there are.
    """
    import numpy as np
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
