"""What training and testing share on every data set: options, networks with their parameters, the two phases."""
import argparse
import subprocess
from pathlib import Path

import mxnet as mx
import numpy as np

from common import checkpoint, config, files, runtime, trainer
from common.errors import InputError
from common.nets import pose_net

RESULT = 'result.json'                        # written when a training has finished


def add_options(parser):
    """The options of every program that builds a network."""
    parser.add_argument('--cfg', required=True, metavar='YAML', help='the experiment, a file below experiments/')
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE', dest='overrides',
                        help='override one key of the experiment, such as train.epochs=6')
    devices = parser.add_mutually_exclusive_group()
    devices.add_argument('--gpus', metavar='0,1,..', help='GPUs to use (default: all there are)')
    devices.add_argument('--cpus', type=int, metavar='N', help='contexts on the CPU (default: 1 where is no GPU)')


def add_training_options(parser):
    """The options of every training program."""
    add_options(parser)
    parser.add_argument('--kvstore', default='device', choices=('device', 'local', 'dist_sync'),
                        help='how devices exchange gradients (default: device)')
    parser.add_argument('--resume', action='store_true', help='go on where an earlier run of this experiment stopped')
    parser.add_argument('--out', default='output', metavar='DIR',
                        help='results go to DIR/<experiment>, such as output/mpii/table2/i1 (default: output)')


def parser(description):
    """An argument parser that shows the docstring's first line."""
    return argparse.ArgumentParser(description=description.splitlines()[0])


def network(cfg, joints, contexts):
    """The configured network with random parameters, on the devices, hybridized with static memory."""
    net = pose_net.build(cfg, joints)
    net.initialize(mx.init.Xavier(rnd_type='gaussian', factor_type='in', magnitude=2), ctx=contexts)
    net.hybridize(static_alloc=True, static_shape=True)
    width, height = cfg.input.size
    for context in contexts:                  # shapes become known
        net(mx.nd.zeros((1, height, width, 3), dtype=np.uint8, ctx=context))
    return net


def load_network(cfg, joints, params, contexts):
    """The configured network with the parameters of a file."""
    net = network(cfg, joints, contexts)
    checkpoint.load_parameters(net, params, contexts)
    return net


def run_folder(out, cfg):
    """Where the results of an experiment go: OUT/<its name>."""
    return Path(out) / cfg.name


def train(args, cfg, joints, prepare):
    """Train an experiment, and before it the one it starts from where that has not been trained.

    args: parsed `add_training_options`, and `data`; prepare: a function of a configuration that returns its training loader and
    its validation function. Returns the folders of the one or two trainings, in their order; each holds best.params,
    result.json, log.jsonl, config.yaml and last.state. InputError where the folder holds a run already and --resume was not given: nothing is overwritten.
    """
    contexts = runtime.contexts(args.gpus, args.cpus)
    folder = files.make_folder(run_folder(args.out, cfg))
    started = (folder / 'last.state').exists()
    if started and not args.resume:
        raise InputError(f'{folder}: holds a run of this experiment; --resume continues it, another --out starts anew')
    folders, start = [], None
    if cfg.train.start_from:
        beside = Path(cfg.path).with_name(cfg.train.start_from + '.yaml')
        first = config.load(beside, args.overrides)
        if first.name == cfg.name:
            raise InputError(f'{cfg.path}: train.start_from is {cfg.train.start_from}, this very experiment')
        start = run_folder(args.out, first) / 'best.params'
        folders = [start.parent]
        if not (start.parent / RESULT).exists():
            print(f'{cfg.name} starts from {first.name}, which is trained first', flush=True)
            folders = train(argparse.Namespace(**{**vars(args), 'resume': True}), first, joints, prepare)
    config.save(cfg, folder / 'config.yaml')
    runtime.seed_everything(cfg.train.seed)
    loader, validate = prepare(cfg, contexts)
    net = network(cfg, joints, contexts)
    if not started:
        _initial_parameters(cfg, net, start, contexts)
    history = trainer.fit(cfg, net, loader, validate, folder, contexts, args.kvstore, args.resume)
    files.write_json(folder / RESULT, {
        'experiment': cfg.name, 'data': str(args.data), 'commit': _commit(), 'seed': cfg.train.seed,
        'devices': [str(context) for context in contexts], 'kvstore': args.kvstore,
        'best': max(history, key=lambda line: line['score']), 'last': history[-1]})
    return folders + [folder]


def _commit():
    """The project's commit, with -dirty where files were changed since; None outside a git checkout."""
    found = subprocess.run(['git', 'describe', '--always', '--dirty', '--abbrev=40'], capture_output=True, text=True,
                           cwd=Path(__file__).resolve().parents[1])
    return found.stdout.strip() or None


def _initial_parameters(cfg, net, start, contexts):
    if start:
        checkpoint.load_parameters(net, start, contexts)
    elif cfg.network.pretrained == 'imagenet':
        checkpoint.load_backbone(net, _imagenet_file(cfg.network.backbone), contexts)
    elif cfg.network.pretrained:
        checkpoint.load_backbone(net, cfg.network.pretrained, contexts)


def _imagenet_file(backbone):
    """GluonCV's ImageNet parameters of a backbone, fetched into models/ once (its model store checks the SHA-1)."""
    from gluoncv.model_zoo.model_store import get_model_file
    folder = Path(__file__).resolve().parents[1] / 'models'
    try:
        return get_model_file(f'{backbone}_v1b', root=str(folder))
    except Exception as error:                # the network's many ways to fail
        raise InputError(f'cannot fetch the ImageNet parameters of {backbone} ({type(error).__name__}); online, '
                         'GluonCV\'s model store has them; --set network.pretrained=FILE.params takes a file, '
                         '--set network.pretrained= starts from random weights') from None
