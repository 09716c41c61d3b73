"""The command line that the programs of every data set share."""
import argparse

from easydict import EasyDict

from common import config
from common.errors import InputError


def parser(description) -> argparse.ArgumentParser:
    """An argument parser whose --help shows the description as it stands."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_configuration(parser, default=None, required=True):
    """The options that name a configuration; without a default it has to be given, unless not required."""
    parser.add_argument('--cfg', required=required and default is None, default=default, metavar='YAML',
                        help='the experiment, a file below experiments/' + f' (default: {default})' * bool(default))
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE', dest='overrides',
                        help='override one key of the experiment and of those it starts from, such as train.epochs=6; '
                             'i1:train.epochs=6 of i1 alone')


def add_network(parser, default=None, required=True):
    """The options of every program that runs a network; default: a configuration."""
    add_configuration(parser, default, required)
    add_devices(parser)


def add_devices(parser):
    """The options that name the devices."""
    devices = parser.add_mutually_exclusive_group()
    devices.add_argument('--gpus', metavar='0,1,..', help='GPUs to use (default: all there are)')
    devices.add_argument('--cpus', type=int, metavar='N', help='contexts on the CPU (default: 1 where is no GPU)')


def add_data(parser, dataset):
    """The option that names a data set's folder."""
    parser.add_argument('--data', default=dataset.folder, help=f'{dataset.layout} (default: {dataset.folder})')


def add_source(parser, dataset):
    """The options that say where people come from."""
    add_data(parser, dataset)
    parser.add_argument('--split', default=dataset.valid, help=f'the split (default: {dataset.valid})')
    dataset.add_source_options(parser)


def configuration(args, dataset, more=()) -> EasyDict:
    """The configuration that parsed `add_network` name; InputError if it is of another data set or other joints."""
    return checked(config.load(args.cfg, [*args.overrides, *more]), args.cfg, dataset)


def checked(cfg, path, dataset) -> EasyDict:
    """The configuration from a path; InputError if it is of another data set than the program, or of other joints."""
    if cfg.data.set != dataset.name:
        raise InputError(f'{path}: data.set is {cfg.data.set}; this program is for {dataset.name}')
    if tuple(cfg.data.skeleton['joints']) != dataset.skeleton.joints:
        raise InputError(f'{path}: data.skeleton has other joints than {dataset.name}, whose are '
                         f'{", ".join(dataset.skeleton.joints)}')
    return cfg
