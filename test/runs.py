"""Small runs of Table 2's experiments, and a full disk, for tests."""
import json
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from common import skeleton
from common.data.loader import Loader
from common.data.loader import training_loader as loader_of
from common.dataset import Source
from common.weights import checkpoint
from pose_mpii import train
from pose_mpii.dataset import MPII

ROOT = Path(__file__).resolve().parents[1]
SMALL = ['input.size=[64, 64]', 'network.deconvolutions=3']
SEVENTEEN = f'data.skeleton={ROOT}/pose_coco/skeleton.yaml'   # joints instead of MPII's sixteen


def training_loader(cfg, data, phase=0) -> Loader:
    """The batches that an experiment is trained on."""
    dataset = MPII.with_skeleton(skeleton.of(cfg))
    return loader_of(cfg, dataset.samples(Source(data, cfg.data.train), cfg.input.size), phase)


def experiment_file(method):
    return ROOT / f'experiments/cpu/mpii/table2/{method}.yaml'


def folder(out, method):
    return out / 'cpu/mpii/table2' / method


def arguments(method, data, out, *more):
    sets = [option for value in [*SMALL, 'train.batch_size=6', 'train.drops=[1]'] for option in ('--set', value)]
    return ['--cfg', str(experiment_file(method)), '--data', str(data), '--out', str(out), *sets, *more]


def run(method, data, out, *more):
    train.main(arguments(method, data, out, *more))


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


@contextmanager
def full_disk(limit):
    """No file of this process may grow beyond `limit` bytes, as on a disk that fills up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
