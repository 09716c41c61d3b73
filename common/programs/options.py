"""The command line that the programs of every data set share."""
import argparse
import sys
from pathlib import Path

from easydict import EasyDict

from common import config, runtime, skeleton
from common.errors import InputError
from common.predict import onnx_net
from common.train import resume


def parser(description) -> argparse.ArgumentParser:
    """An argument parser whose --help shows the description as it stands."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_configuration(parser, default=None, required=True):
    """The options that name a configuration; without a default it has to be given, unless not required."""
    parser.add_argument('--cfg', required=required and default is None, default=default, metavar='YAML',
                        help='the experiment, a file below experiments/; an exported .onnx has its own' +
                        f' (default: {default})' * bool(default))
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


def device_options(args) -> list:
    """The options that parsed `add_devices` name, for another program."""
    return [option for name in ('gpus', 'cpus') if getattr(args, name) is not None
            for option in (f'--{name}', str(getattr(args, name)))]


def add_data(parser, dataset):
    """The option that names a data set's folder."""
    parser.add_argument('--data', default=dataset.folder, help=f'{dataset.layout} (default: {dataset.folder})')


def add_source(parser, dataset):
    """The options that say where people come from."""
    add_data(parser, dataset)
    parser.add_argument('--split', help="the split (default: the experiment's data.valid)")
    dataset.add_source_options(parser)


def configuration(args, dataset, more=()) -> EasyDict:
    """The configuration that parsed `add_network` name; InputError if it is of another data set or other joints."""
    return checked(experiment(args, [*args.overrides, *more]), args.cfg or args.params, dataset)


def experiment(args, overrides) -> EasyDict:
    """The configuration in --cfg, or else that of the export in --params; InputError where neither is given."""
    if args.cfg is None and not onnx_net.is_export(args.params):
        raise InputError('--cfg is needed: only an exported .onnx holds its configuration')
    return load(args.cfg, overrides, args.params) if args.cfg is not None else _alone(
        onnx_net.configuration(args.params, overrides), overrides)


def load(path, overrides, params=None) -> EasyDict:
    """The one experiment of a program (`config.load`); InputError where an override names another one, too.

    params: the file of a trained network; a warning says what that was trained with, and is not used with.
    """
    cfg = _alone(config.load(path, overrides), overrides)
    if params:
        meant = {text.partition('=')[0].rpartition(':')[2].strip() for text in overrides}
        _warn_of_other_values(cfg, Path(params).with_name(resume.CONFIG), meant)
    return cfg


def _warn_of_other_values(cfg, trained, meant):
    """A warning for each key but those meant in which the configuration beside trained parameters differs.

    A network fits other sizes of the input, grids, colours and betas as well, and only its scores would be worse.
    """
    try:
        differences = config.differences(config.load(trained), cfg)
    except InputError:                        # none is there, or not one of ours
        return
    for key, (was, now) in differences.items():
        if key.partition('.')[0] in ('input', 'network') and \
                key not in {'network.pretrained', *meant, *config.idle_keys(cfg, scored=True)}:
            print(f'warning: {trained.parent}: was trained with {key} {was}, and is used with {now}; --cfg {trained} '
                  'has all that it was trained with', file=sys.stderr)


def _alone(cfg, overrides):
    config.check_named(overrides, [cfg.name])
    return cfg


def contexts(args) -> list:
    """The devices that parsed `add_devices` name, of MXNet or, for an export in --params, of onnxruntime."""
    module = onnx_net if onnx_net.is_export(args.params) else runtime
    return module.contexts(args.gpus, args.cpus)


def checked(cfg, path, dataset) -> EasyDict:
    """The configuration from a path; InputError if it is of another data set than the program, or of joints
    that this does not have."""
    if cfg.data.set != dataset.name:
        raise InputError(f'{path}: data.set is {cfg.data.set}; this program is for {dataset.name}')
    try:
        dataset.with_skeleton(skeleton.of(cfg))
    except InputError as error:
        raise InputError(f'{path}: {error}') from None
    return cfg
