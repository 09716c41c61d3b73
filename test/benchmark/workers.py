"""How training scales over worker processes of one machine (scripts/train_dist.sh), on generated drawings.

    python test/benchmark/workers.py [--workers 1 2] [--rounds 3] [--json FILE]

Prints the images per second of all workers together, the median of several epochs after the first, rounds alternating.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT))

import compare

from common import files, runtime
from pose_mpii.sample import write_sample

RUN = 'cpu/mpii/table2/h1'


def images_per_second(workers, data, out):
    """Of an epoch of all workers together, the median of those after the first."""
    subprocess.run([sys.executable, str(ROOT / 'scripts/train_dist.py'), str(workers), '--cfg',
                    str(ROOT / f'experiments/{RUN}.yaml'), '--data', str(data), '--out', str(out),
                    '--set', 'train.batch_size=16', '--set', 'train.epochs=4', '--set', 'input.size=[128, 128]'],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (out / RUN / 'log.jsonl').read_text().splitlines()]
    return workers * statistics.median(line['images_per_second'] for line in lines[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--workers', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--json', metavar='FILE', help='write every round\'s figures')
    args = parser.parse_args()
    speeds = {workers: [] for workers in args.workers}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_sample(folder / 'sample', train=256, valid=8)
        for number in range(args.rounds):
            for workers in args.workers:
                speeds[workers].append(images_per_second(workers, folder / 'sample', folder / f'{workers}-{number}'))
                print(f'{workers} workers: {speeds[workers][-1]:.1f} images/s', flush=True)
    medians = {workers: statistics.median(values) for workers, values in speeds.items()}
    for workers, median in medians.items():
        print(f'{workers} workers: median {median:.1f} images/s, {median / medians[args.workers[0]]:.2f} times that of '
              f'{args.workers[0]}')
    if args.json:
        files.write_json(args.json, {'machine': compare.machine(runtime.threads()), 'experiment': RUN,
                                     'images/s': speeds, 'medians': medians})


if __name__ == '__main__':
    main()
