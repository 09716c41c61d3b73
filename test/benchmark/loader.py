"""Images per second and core of the loader: 256x256 training crops of MPII's size out of 1280x720 JPEGs.

The files are made on the fly from real photographs where there are some beside the checkout, else from noise. A box
is 750 pixels wide (an MPII person of scale 3), turned, scaled and mirrored as in training. "Per core" is per second of
CPU time, which other programs on the machine disturb little. Below the loader's figure: where the time of one image
goes, and what a plain cv2.imread and cv2.warpAffine take; then how many cores GPUs would need, which is arithmetic: no
GPU was measured.
"""
import argparse
import sys
import tempfile
import time
from itertools import chain, count
from pathlib import Path

import cv2
import numpy as np

if not __package__:                       # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from common.data.crop import Augmentation, Sample, crop_matrix, invert, random_view
from common.data.images import read_crop, read_image
from common.data.loader import Loader
from common.programs.cli import run

PHOTOGRAPHS = Path(__file__).resolve().parents[3] / 'shared' / 'data' / 'mpii_valid'
PICTURES, SIZE, SIDE, JOINTS = 16, (256, 256), 750, 16
# Images/s in training ResNet-50 at 224 x 224 pixels on one GPU, as NVIDIA has published them for MXNet
# (DeepLearningExamples, MxNet/Classification/RN50v1.5): V100 32 GB in float32, A100 80 GB in its TF32. Ours are taken
# to be in proportion to the multiply-accumulates of I1 with ResNet-50 at 256 x 256 pixels (mpii/table2/i1.yaml).
PUBLISHED = {'V100': 417, 'A100': 1022}
MACS, OUR_MACS = 4.1e9, 6.1e9
MPII = Augmentation(rotation=30, scale=0.25, flip=True, flip_pairs=((0, 5), (1, 4), (2, 3)))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=float, default=10, help='how long to measure the loader')
    parser.add_argument('--threads', type=int, nargs='+', default=[1, 2], help='how many, one figure each')
    parser.add_argument('--batch-size', type=int, default=32)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        samples = make_samples(Path(folder))
        for threads in args.threads:
            loader = Loader(samples * 64, SIZE, args.batch_size, augment=MPII, threads=threads)
            images, wall, cpu = measure_loader(loader, args.seconds)
            print(f'loader, {threads} threads: {images / wall:.0f} images/s, {images / cpu:.0f} per core', flush=True)
        for name, seconds in measure_parts(samples).items():
            print(f'{name}: {1000 * seconds:.2f} ms')
    print(needs(images / cpu))


def make_samples(folder):
    """Write the JPEGs (1280x720, quality 90) and return a sample for each."""
    rng = np.random.default_rng(0)
    photographs = sorted(PHOTOGRAPHS.glob('images*/*.jpg'))
    samples = []
    for i in range(PICTURES):
        image = cv2.imread(str(photographs[i % len(photographs)])) if photographs else make_noise(rng)
        path = folder / f'{i}.jpg'
        cv2.imwrite(str(path), cv2.resize(image, (1280, 720), interpolation=cv2.INTER_AREA),
                    [cv2.IMWRITE_JPEG_QUALITY, 90])
        box = (rng.uniform(400, 880), rng.uniform(300, 420), SIDE, SIDE)
        joints = rng.uniform((300, 0), (980, 720), (JOINTS, 2)).astype(np.float32)
        samples.append(Sample(str(path), box, joints, np.ones(JOINTS, np.float32)))
    return samples


def make_noise(rng):
    """A picture with detail at every scale, so that it takes about as long to decode as a photograph."""
    layers = [cv2.resize(rng.normal(0, 160 / n, (9 * n, 16 * n, 3)), (1280, 720), interpolation=cv2.INTER_CUBIC)
              for n in (2, 4, 8, 16, 32, 80)]
    return np.clip(128 + sum(layers), 0, 255).astype(np.uint8)


def measure_loader(loader, seconds):
    """(images, seconds, seconds of CPU time) from the second batch on."""
    batches = chain.from_iterable(loader.batches(epoch) for epoch in count())
    next(batches)
    start, cpu, images = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() < start + seconds:
        images += len(next(batches).images)
    return images, time.perf_counter() - start, time.process_time() - cpu


def measure_parts(samples, rounds=12):
    """Median seconds of CPU time for one image, by part."""
    matrices = [crop_matrix(s.box, SIZE, *random_view(MPII, np.random.default_rng(i))) for i, s in enumerate(samples)]

    def plain(sample, matrix):
        image = cv2.imread(sample.image)
        cv2.cvtColor(cv2.warpAffine(image, matrix, SIZE), cv2.COLOR_BGR2RGB)

    parts = {
        'read and decode': lambda sample, matrix: read_image(sample.image, step=2),
        'read, decode and warp': lambda sample, matrix: read_crop(sample.image, invert(matrix), SIZE),
        'plain imread and warpAffine': plain,
    }
    return {name: np.median([timed(part, pair) for _ in range(rounds) for pair in zip(samples, matrices)])
            for name, part in parts.items()}


def needs(per_core):
    """What GPUs take of a loader that makes so many images a second and core, and what to do with too few cores."""
    lines = [f'By arithmetic, training I1 (ResNet-50, {SIZE[0]}x{SIZE[1]}, float32) takes']
    for name, published in PUBLISHED.items():
        images = published * MACS / OUR_MACS
        lines.append(f'  on one {name} {images:.0f} images/s, {images / per_core:.1f} cores; '
                     f'on four {4 * images:.0f} images/s, {4 * images / per_core:.1f} cores')
    lines += ['The loader takes every core that the process may use. Where they are too few: let it use more (taskset,',
              'docker --cpus), train on fewer GPUs (--gpus), or on more hosts, each of which loads its own share',
              '(scripts/train_dist.sh).']
    return '\n'.join(lines)


def timed(function, arguments):
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


if __name__ == '__main__':
    run(main)
