"""How much of the training speed is left when batches come from JPEGs instead of memory.

    python test/benchmark/throughput.py [--data DIR] [--cfg YAML] [--rounds 5] [--steps 15] [--json FILE]

Alternates stretches of the same training step, fed by the loader (decoding, cropping, augmenting) and fed with one
cached batch; prints images/s of both and the median ratio. The sample is generated where no data is given.
"""
import argparse
import statistics
import sys
import tempfile
import time
from contextlib import closing
from itertools import islice, repeat
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT))

import compare

from common import config, files, runtime
from common.data.loader import training_loader
from common.dataset import Source
from common.nets import pose_net
from common.train import trainer
from pose_mpii.dataset import MPII
from pose_mpii.sample import write_sample


def images_per_second(step, batches):
    """Speed of `step` over the batches, all of which it finishes; waiting for the first one counts."""
    start, images = time.perf_counter(), 0
    for batch in batches:
        losses = step(batch)
        images += len(batch.images)
    for loss in losses:
        loss.wait_to_read()
    return images / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data')
    parser.add_argument('--cfg', default=str(ROOT / 'experiments/cpu/mpii/table2/i1.yaml'))
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=15)
    parser.add_argument('--json', metavar='FILE', help='write every round\'s figures')
    args = parser.parse_args()
    cfg = config.load(args.cfg)
    contexts = runtime.contexts()
    net = pose_net.create(cfg, contexts)
    graph = trainer.loss_graph(cfg, net)
    optimizer = trainer.optimizer(net)
    with tempfile.TemporaryDirectory() as folder:
        data = args.data or folder + '/sample'
        if not args.data:
            write_sample(data, train=512, valid=8)
        loader = training_loader(cfg, MPII.samples(Source(data, cfg.data.train), cfg.input.size))
        cached = next(loader.batches())

        def step(batch):
            return trainer.train_step(graph, optimizer, batch, contexts)
        images_per_second(step, repeat(cached, 3))
        rounds = []
        for number in range(args.rounds):
            with closing(loader.batches(number)) as batches:
                loaded = images_per_second(step, islice(batches, args.steps))
            memory = images_per_second(step, repeat(cached, args.steps))
            rounds.append({'from JPEGs': loaded, 'one cached batch': memory, 'ratio': loaded / memory})
            print(', '.join(f'{name} {value:.3f}' for name, value in rounds[-1].items()))
    ratio = statistics.median(one['ratio'] for one in rounds)
    print(f'{cfg.name}, batch {cfg.train.batch_size}: {ratio:.1%} of the cached speed (median)')
    if args.json:
        files.write_json(args.json, {'machine': compare.machine(runtime.threads()), 'experiment': cfg.name,
                                     'images/s': rounds, 'ratio': ratio})


if __name__ == '__main__':
    main()
