"""The same network here, in PyTorch, ONNX Runtime and OpenVINO on this machine's CPU, as one table of ratios.

    python test/benchmark/compare.py [--only NAME ...] [--rounds 5] [--json FILE] [--quick]

Every row alternates its sides within one run: each round measures them one after the other, and the ratio is the median
over the rounds of that round's ratio against the peer that is best over all rounds. Before anything is measured, heat
maps, joints and losses of all sides are compared. Needs the extra `benchmark`, and an idle machine to mean something;
where the loader's time goes shows loader.py, how long a training waits for it throughput.py.
"""
import argparse
import os
import platform
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

USERS_ENVIRONMENT = dict(os.environ)          # what the sides start from: not what `common` sets for MXNet
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from sides import Side

from common import config, files
from common.errors import InputError
from common.programs.cli import run
from common.runtime import available_cores

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ('torch', 'onnx', 'onnxscript', 'onnxruntime', 'openvino')
TORCH = {'PyTorch eager': {'side': 'torch eager'}, 'PyTorch compiled': {'side': 'torch compiled'}}
RUNTIMES = {'ONNX Runtime': {'side': 'onnxruntime'}, 'OpenVINO': {'side': 'openvino'}}
SECONDS = 2                                   # a measurement lasts, or one step where that is longer
PAUSE = 0.3                                   # before each: waiting OpenMP threads of the side before spin that long


class Row(NamedTuple):
    """A line of the table. Ratios are ours / peer's in the unit; without peers there is the figure alone.

    task: what all sides do (see `sides`); peers: {name: what differs from it}; ours: what differs on our side.
    tolerance: of the outputs' largest difference, relative to their largest value; None compares nothing.
    """
    name: str
    what: str
    unit: str
    task: dict
    peers: dict
    ours: dict = {}
    tolerance: float = 1e-4


def rows(quick):
    """The rows in their order; `quick` is a small network everywhere, to see that all works."""
    net = {'backbone': 'resnet18', 'size': 64} if quick else {'backbone': 'resnet50', 'size': 256}
    sizes = {number: min(number, 4) if quick else number for number in (1, 8, 16, 32)}
    title = f'I1 {net["backbone"]}, {net["size"]}x{net["size"]}'

    def task(kind, number, dtype='float32'):
        return {'kind': kind, 'batch': sizes[number], 'dtype': dtype, **net}

    step = task('train', 16)
    return [
        Row('train', f'training step, {title}, batch {sizes[16]}, fp32', 'images/s', step, TORCH),
        Row('train-bfloat16', f'training step, {title}, batch {sizes[16]}, bfloat16', 'images/s',
            task('train', 16, 'bfloat16'), TORCH, tolerance=5e-2),
        *(Row(f'infer-{number}', f'inference, {title}, batch {sizes[number]}, fp32', 'images/s',
              task('infer', number), {**TORCH, **RUNTIMES}) for number in (1, 8)),
        *(Row(f'infer-{kind}-{different["side"]}', f'inference, {title}, batch {sizes[8]}, our {kind} export in {name}',
              'images/s', task('infer', 8), RUNTIMES, {**different, 'model': f'ours{suffix}.onnx'}, tolerance)
          for kind, suffix, tolerance in (('fp32', '', 1e-4), ('int8', '-int8', None))
          for name, different in RUNTIMES.items()),
        Row('infer-bfloat16-openvino', f'inference, {title}, batch {sizes[8]}, our export in OpenVINO, bfloat16',
            'images/s', task('infer', 8), RUNTIMES,
            {**RUNTIMES['OpenVINO'], 'model': 'ours.onnx', 'dtype': 'bfloat16'}, tolerance=5e-2),
        Row('integral', f'the integral, forward and backward, batch {sizes[16]}, of a training step', 'ms',
            task('integral', 16), {'the whole step': {'side': 'ours', 'kind': 'train'}}, tolerance=None),
        Row('loader', f'loader, {net["size"]}x{net["size"]} augmented crops from 720p JPEGs, one thread', 'images/s',
            task('loader', 32), {}),
        Row('memory', f'peak memory of training, {title}, batch {sizes[32]}, fp32', 'MB', task('train', 32),
            {'PyTorch eager': TORCH['PyTorch eager']}),
        Row('pckh', 'PCKh of 2,958 people', 's', task('pckh', 1), {}),
    ]


class Bench:
    """Starts sides: with the same threads, parameters and .onnx files for all, kept in a folder."""

    def __init__(self, folder):
        self._folder = Path(folder)
        self.threads = int(USERS_ENVIRONMENT.get('OMP_NUM_THREADS', available_cores()))
        self._environment = {**USERS_ENVIRONMENT, 'OMP_NUM_THREADS': str(self.threads)}
        cfg = config.load(ROOT / 'experiments/mpii/table2/i1.yaml')
        self._common = {'folder': str(folder), 'threads': self.threads, 'beta': cfg.network.beta,
                        'sigma': cfg.loss.sigma}

    def start(self, task):
        """A `Side` on the task, once the files it needs are written."""
        if task['kind'] in ('train', 'infer') and not (self._folder / 'network.params').exists():
            self._run({**task, 'side': 'ours', 'kind': 'parameters', 'batch': 4})
        if task['side'] in ('onnxruntime', 'openvino'):
            model = self._folder / task.get('model', f'batch{task["batch"]}.onnx')
            writer = {'side': 'ours', 'kind': 'export'} if 'model' in task else {'side': 'torch export'}
            task = {**task, 'model': str(model)}
            if not model.exists():
                self._run({**task, **writer})
        return Side({**self._common, **task}, self._environment)

    def _run(self, task):
        Side({**self._common, **task}, self._environment).close()


def result(row, bench, rounds, about):
    """The row's line: what `conclude` returns, or {..., 'note': why not}. One row's fault ends no run."""
    line = {'name': row.name, 'what': row.what}
    if 'bfloat16' in (row.task['dtype'], row.ours.get('dtype')) and not about['flags']['avx512_bf16']:
        return {**line, 'note': 'this CPU has no bfloat16 arithmetic: not measured'}
    try:
        return {**line, **conclude(row, measure(row, bench, rounds))}
    except InputError as error:
        return {**line, 'note': str(error), 'failed': True}


def measure(row, bench, rounds, seconds=SECONDS):
    """{side: [figure of each round]} in the row's unit, ours first; InputError where outputs differ."""
    tasks = {'ours': {**row.task, 'side': 'ours', **row.ours}}
    tasks.update((name, {**row.task, **different}) for name, different in row.peers.items())
    if row.unit == 'MB':                      # one after the other: together they may not fit
        first, figures = {}, {}
        for name, task in tasks.items():
            with bench.start(task) as side:
                first[name], figures[name] = side.first, [side.measure(0)[1]]
        verify(row, first)
        return figures
    with ExitStack() as stack:
        sides = {}
        for name, task in tasks.items():
            say(f'{row.name}: {name} starts')
            sides[name] = stack.enter_context(bench.start(task))
        verify(row, {name: side.first for name, side in sides.items()})
        figures = {name: [] for name in sides}
        for number in range(rounds):
            for name, side in sides.items():
                time.sleep(PAUSE)
                figures[name].append(figure(row, side.measure(seconds)[0]))
            say(f'{row.name}, round {number + 1}: '
                + ', '.join(f'{name} {values[-1]:.4g} {row.unit}' for name, values in figures.items()))
    return figures


def figure(row, seconds):
    """Seconds a step in the row's unit."""
    return {'images/s': row.task['batch'] / seconds, 'ms': 1000 * seconds, 's': seconds}[row.unit]


def verify(row, first):
    """InputError unless every peer's first two outputs are ours.

    The second one of a training comes after a step of the optimizer, which makes rounding errors of tiny gradients
    large: there it shows only that all take the same step. Single images in bfloat16 are further apart in a random
    network: there the batch's mean losses are compared.
    """
    mean = row.task.get('dtype') == 'bfloat16'
    for name, steps in first.items():
        for theirs, ours, tolerance in zip(steps, first['ours'], (row.tolerance, 5e-2)):
            for a, b in zip(theirs, ours) if row.tolerance else ():
                a, b = (a.mean(axis=1), b.mean(axis=1)) if mean else (a, b)
                error = np.abs(a - b).max() / np.abs(b).max()
                if not error <= tolerance:
                    raise InputError(f'{row.name}: {name} computes something else than we do, {error:.1e} of the '
                                     f'largest value apart, not {tolerance:g}')


def conclude(row, figures):
    """A dict: the figures of every round, the best peer, the ratios, and their median."""
    choose = max if row.unit == 'images/s' else min
    peers = [name for name in figures if name != 'ours']
    best = choose(peers, key=lambda name: median(figures[name]), default=None)
    ratios = [a / b for a, b in zip(figures['ours'], figures[best])] if best else figures['ours']
    return {'unit': row.unit, 'figures': figures, 'best': best, 'ratios': ratios, 'ratio': median(ratios)}


def table(results):
    """Markdown of lines that `result` returned."""
    lines = ['| what | ours | peers, median (the best one in bold) | ratio (lowest to highest) |',
             '| --- | --- | --- | --- |']
    for line in results:
        if 'note' in line:
            lines.append(f'| {line["what"]} | {line["note"]} | | |')
            continue
        medians = {name: f'{median(values):.4g}' for name, values in line['figures'].items()}
        ours = f'{medians.pop("ours")} {line["unit"]}'
        peers = ', '.join(f'**{name} {value}**' if name == line['best'] else f'{name} {value}'
                          for name, value in medians.items())
        spread = f'({min(line["ratios"]):.3g} to {max(line["ratios"]):.3g})'
        ratio = f'{line["ratio"]:.3g} {spread}' if line['best'] else ''
        lines.append(f'| {line["what"]} | {ours} | {peers} | {ratio} |')
    return '\n'.join(lines)


def machine(threads):
    """What was measured on, as a dict."""
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(':') for line in lines)}
    flags = fields.get('flags', '').split()
    return {'cpu': fields.get('model name', platform.machine()), 'cores': available_cores(), 'threads': threads,
            'load': os.getloadavg()[0], 'flags': {flag: flag in flags for flag in (
                'avx512f', 'avx512_bf16', 'avx512_vnni')},
            'versions': {'python': platform.python_version(),
                         **{name: version(name) for name in ('mxnet', 'numpy', *PACKAGES)}}}


def describe(about):
    """`machine` in a line."""
    flags = ', '.join(flag if present else f'no {flag}' for flag, present in about['flags'].items())
    versions = ', '.join(f'{name} {number}' for name, number in about['versions'].items())
    return (f'{about["cpu"]}, {about["cores"]} cores, {about["threads"]} threads, {flags}; load {about["load"]:.1f} at '
            f'the start; {versions}')


def version(package):
    """The installed version of a package, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def say(text):
    print(text, file=sys.stderr, flush=True)


def main(argv=None):
    names = [row.name for row in rows(False)]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', nargs='+', choices=names, default=names, metavar='NAME',
                        help=f'rows to measure, of {", ".join(names)}')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', metavar='FILE', help='write every round\'s figures')
    parser.add_argument('--quick', action='store_true', help='a small network, to see that all works')
    args = parser.parse_args(argv)
    chosen = [row for name, row in zip(names, rows(args.quick)) if name in args.only]
    absent = [name for name in PACKAGES if version(name) is None]
    if absent and any(row.peers for row in chosen):
        raise InputError(f'{", ".join(absent)} not installed; pip install \'.[benchmark]\' brings the peers')
    results = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder)
        about = machine(bench.threads)
        for row in chosen:
            results.append(result(row, bench, args.rounds, about))
            if args.json:
                files.write_json(args.json, {'machine': about, 'quick': args.quick, 'rows': results})
    print(table(results) + f'\n\n{describe(about)}')
    if args.quick:
        print('\n--quick: a small network and batch; the figures mean nothing')
    failed = [line['name'] for line in results if line.get('failed')]
    if failed:
        raise InputError(f'not measured: {", ".join(failed)}; the table says why')


if __name__ == '__main__':
    run(main)
