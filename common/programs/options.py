"""The command line that the programs of every data set share."""
import argparse

from common import config, files
from common.errors import InputError
from common.predict import visualise


def parser(description):
    """An argument parser that shows the docstring's first line."""
    return argparse.ArgumentParser(description=description.splitlines()[0])


def add_configuration(parser, default=None):
    """The options that name a configuration; without a default it has to be given."""
    parser.add_argument('--cfg', required=default is None, default=default, metavar='YAML',
                        help='the experiment, a file below experiments/' + f' (default: {default})' * bool(default))
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE', dest='overrides',
                        help='override one key of the experiment, such as train.epochs=6')


def add_network(parser, default=None):
    """The options of every program that runs a network; default: a configuration."""
    add_configuration(parser, default)
    add_devices(parser)


def add_devices(parser):
    """The options that name the devices."""
    devices = parser.add_mutually_exclusive_group()
    devices.add_argument('--gpus', metavar='0,1,..', help='GPUs to use (default: all there are)')
    devices.add_argument('--cpus', type=int, metavar='N', help='contexts on the CPU (default: 1 where is no GPU)')


def add_training(parser):
    """The options of every training program."""
    add_network(parser)
    parser.add_argument('--kvstore', default='device', choices=('device', 'local', 'dist_sync'),
                        help='how devices exchange gradients (default: device)')
    parser.add_argument('--resume', action='store_true', help='go on where an earlier run of this experiment stopped')
    parser.add_argument('--out', default='output', metavar='DIR',
                        help='results go to DIR/<experiment>, such as output/mpii/table2/i1 (default: output)')


def add_test(parser):
    """The options of every test program, save for --data, --split and --save."""
    add_network(parser)
    parser.add_argument('--params', required=True, metavar='FILE', help='its .params, or an exported .onnx')
    parser.add_argument('--flip-test', action='store_true', help='average with the mirrored image')
    parser.add_argument('--json', metavar='FILE', help='write the scores')
    parser.add_argument('--picture', metavar='PNG',
                        help=f'draw the predictions for the first {visualise.PEOPLE} people')


def configuration(args, data_set, more=()):
    """The configuration that parsed `add_network` name; InputError if it is of another data set."""
    cfg = config.load(args.cfg, [*args.overrides, *more])
    if cfg.data.set != data_set:
        raise InputError(f'{args.cfg}: data.set is {cfg.data.set}; this program is for {data_set}')
    return cfg


def check_outputs(args, *inputs):
    """Say now, not after an hour of predicting, where a test program's results cannot be written.

    inputs: files that it reads, besides those of `add_test`.
    """
    if args.picture:
        visualise.check_suffix(args.picture)
    files.check_outputs((args.save, args.json, args.picture), (args.cfg, args.params, *inputs))
