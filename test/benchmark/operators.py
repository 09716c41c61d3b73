"""What a training step's time goes into, by operator, and how near the step is to the most this machine computes.

    python test/benchmark/operators.py [--backbone resnet50] [--size 256] [--batch 16] [--steps 5]
                                        [--dtype bfloat16] [--json FILE]

I1, one operator after the other, as MXNet's profiler times them. The most the machine computes is measured, too: a 3x3
convolution of 256 channels, the best shape that oneDNN meets in these networks.
"""
import argparse
import json
import os
import tempfile
import time
from types import SimpleNamespace

os.environ['MXNET_EXEC_BULK_EXEC_MAX_NODE_TRAIN'] = '1'      # read with MXNet: no operators timed together

import ours
import compare
import mxnet as mx
from mxnet import profiler

from common import files
from common.deploy import complexity
from common.programs.cli import run

CHANNELS, SIDE, BATCH = 256, 64, 8            # of the convolution that shows the machine's peak


def peak(rounds=10):
    """GFLOP/s of the fastest of several runs of a large convolution."""
    images, weight = mx.nd.ones((BATCH, CHANNELS, SIDE, SIDE)), mx.nd.ones((CHANNELS, CHANNELS, 3, 3))
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        mx.nd.Convolution(images, weight, no_bias=True, kernel=(3, 3), pad=(1, 1), num_filter=CHANNELS).wait_to_read()
        seconds.append(time.perf_counter() - start)
    return 2 * 9 * CHANNELS ** 2 * SIDE ** 2 * BATCH / min(seconds) / 1e9


def milliseconds(step, steps):
    """{operator: milliseconds a step}, the slowest first; backward passes are operators of their own."""
    for _ in range(2):
        step()
    profiler.set_config(profile_symbolic=True, profile_imperative=True, aggregate_stats=True, filename=os.devnull)
    profiler.set_state('run')
    for _ in range(steps):
        step()
    profiler.set_state('stop')
    found = json.loads(profiler.dumps(format='json'))['Time']['operator']
    return dict(sorted(((name, one['Total'] / steps) for name, one in found.items()), key=lambda pair: -pair[1]))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--backbone', default='resnet50')
    parser.add_argument('--size', type=int, default=256)
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--steps', type=int, default=5)
    parser.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
    parser.add_argument('--json', metavar='FILE')
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        task = SimpleNamespace(**vars(args), folder=folder)
        ours.write_parameters(task)
        times = milliseconds(ours.train(task), args.steps)
    total = sum(times.values())
    shares = {name: 100 * time / total for name, time in times.items()}
    operations = 6 * complexity.count(ours.configuration(task))['multiply_accumulates'] * args.batch
    figures = {'machine': compare.machine(int(os.environ['OMP_NUM_THREADS'])), 'network': f'I1 {args.backbone}',
               'dtype': args.dtype, 'size': args.size, 'batch': args.batch, 'milliseconds': total,
               'GFLOP/s': operations / total / 1e6, 'peak GFLOP/s': peak(), 'percent': shares}
    for name, share in shares.items():
        if share >= 0.5:
            print(f'{share:5.1f}%  {name}')
    print(f'a step takes {total:.0f} ms: {figures["GFLOP/s"]:.0f} GFLOP/s of the {figures["peak GFLOP/s"]:.0f} that a '
          f'large float32 convolution has; {compare.describe(figures["machine"])}')
    if args.json:
        files.write_json(args.json, figures)


if __name__ == '__main__':
    run(main)
