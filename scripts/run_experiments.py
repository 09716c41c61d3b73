"""Train the experiments whose results are lacking, one after the other, and keep what `paper_tables.sh` reads.

    sh scripts/run_experiments.sh --data DIR [--seeds 0,1,2] [--set key=value ...] YAML ...

What a training writes is in OUT, from which an interrupted one goes on; its configuration, log and scores are copied to
RESULTS/<experiment>, those of another seed than the file's to RESULTS/seed<N>/<experiment>. Experiments that are there
already are left out, but for an error where they are of other data or another configuration; one that fails does not
keep the next ones from running. A second call goes on where the first one stopped.

    sh scripts/run_experiments.sh --data DIR --results MINE --seeds 0,1,2 experiments/cpu/mpii/table2/[hri]1.yaml
    sh scripts/paper_tables.sh --results MINE --out MINE

On a CPU several calls, each on a core of its own (OMP_NUM_THREADS=1 taskset -c 0 sh ...), get more done than one on all
cores, where their experiments do not start from the same network.
"""
import importlib
import sys
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import config, files, provenance, results
from common.errors import InputError
from common.programs import options
from common.programs.cli import run
from common.train import phases, resume
from common.train.run import LOG

KEPT = (resume.CONFIG, LOG, results.TRAINING, results.TEST)       # in this order: the last one ends it


def train_and_keep(path, seed, args):
    """Train one experiment with a seed (None: its own), unless its results are kept already, and keep them."""
    overrides = [*args.overrides, *([] if seed is None else [f'train.seed={seed}'])]
    cfg = config.load(path, overrides)
    part = Path() if cfg.train.seed == config.load(path).train.seed else Path(f'seed{cfg.train.seed}')
    kept = args.results / part / cfg.name
    if (kept / results.TEST).exists():
        check_same(kept / results.TEST, cfg, args.data)
        print(f'{cfg.name}, seed {cfg.train.seed}: {kept / results.TEST} is there', flush=True)
        return
    train = program_of(cfg, path)
    train.main(['--cfg', str(path), '--data', args.data, '--out', str(args.out / part), '--resume',
                *options.device_options(args), *(option for value in overrides for option in ('--set', value))])
    for name in KEPT:
        files.write_text(kept / name, (phases.run_folder(args.out / part, cfg) / name).read_text(encoding='utf-8'))


def program_of(cfg, path):
    """The training program of a configuration's data set; InputError where there is none."""
    name = f'pose_{cfg.data.set}'
    try:
        return importlib.import_module(f'{name}.train')
    except ModuleNotFoundError as error:
        if error.name not in (name, f'{name}.train'):
            raise                             # something that the program needs
        raise InputError(f'{path}: data.set is {cfg.data.set}; there is no {name}/train.py') from None


def check_same(path, cfg, data):
    """InputError if a kept result is of other data or of another configuration than it would be now."""
    result = results.read(path)
    if result['data'] != provenance.data_name(data):
        raise InputError(f'{path}: is on {result["data"]}, not on {provenance.data_name(data)}; use another --results')
    for key, (was, now) in results.departures(result, cfg).items():
        raise InputError(f'{path}: has {key} {was!r}, not {now!r}; move it away, or use another --results')


def seeds(text):
    return [int(part) for part in text.split(',')]


def main(argv=None):
    parser = options.parser(__doc__)
    parser.add_argument('experiments', nargs='+', type=Path, metavar='YAML', help='files below experiments/')
    parser.add_argument('--data', required=True, metavar='DIR', help='the data set, all of them are of')
    parser.add_argument('--seeds', type=seeds, default=[None], metavar='0,1,..',
                        help='(default: the one in each file)')
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE', dest='overrides',
                        help='override one key of all of them, such as train.dtype=bfloat16')
    options.add_devices(parser)
    parser.add_argument('--out', type=Path, default='output', metavar='DIR', help='(default: output)')
    parser.add_argument('--results', type=Path, default=provenance.ROOT / 'results', metavar='DIR',
                        help='(default: the project\'s results/)')
    args = parser.parse_args(argv)
    failed = []
    for seed in args.seeds:                   # a whole table comes before its spread
        for path in args.experiments:
            try:
                train_and_keep(path, seed, args)
            except InputError as error:
                failed.append(f'{path}' + f', seed {seed}' * (seed is not None))
                print(f'error: {failed[-1]}: {error}', file=sys.stderr, flush=True)
    if failed:
        raise InputError(f'{len(failed)} of {len(args.seeds) * len(args.experiments)} failed: {"; ".join(failed)}')


if __name__ == '__main__':
    run(main)
