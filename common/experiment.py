"""What training and testing share on every data set: options, networks with their parameters, phases, the report."""
import argparse
import gc
import hashlib
import os
import subprocess
from contextlib import nullcontext
from pathlib import Path

import mxnet as mx
import numpy as np

from common import bfloat16, checkpoint, config, files, results, runtime, store, trainer, visualise
from common.crop import Augmentation
from common.errors import InputError
from common.loader import Loader
from common.nets import pose_net
from common.onnx_net import OnnxNet
from common.trainer import STATE

# What a training leaves in its folder: at its start, and when it has finished.
CONFIG, ABOUT, PICTURE = 'config.yaml', 'run.json', 'predictions.jpg'
# The keys that may change when a run is resumed.
RESUMED_WITH = ('train.epochs', 'train.patience', 'train.drops', 'train.rates', 'test.batch_size')


def add_configuration_options(parser, default=None):
    """The options that name a configuration; without a default it has to be given."""
    parser.add_argument('--cfg', required=default is None, default=default, metavar='YAML',
                        help='the experiment, a file below experiments/' + f' (default: {default})' * bool(default))
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE', dest='overrides',
                        help='override one key of the experiment, such as train.epochs=6')


def add_options(parser, default=None):
    """The options of every program that runs a network; default: a configuration."""
    add_configuration_options(parser, default)
    add_device_options(parser)


def add_device_options(parser):
    """The options that name the devices."""
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


def add_test_options(parser):
    """The options of every test program, save for --data, --split and --save."""
    add_options(parser)
    parser.add_argument('--params', required=True, metavar='FILE', help='its .params, or an exported .onnx')
    parser.add_argument('--flip-test', action='store_true', help='average with the mirrored image')
    parser.add_argument('--json', metavar='FILE', help='write the scores')
    parser.add_argument('--picture', metavar='PNG',
                        help=f'draw the predictions for the first {visualise.PEOPLE} people')


def check_outputs(args):
    """Say now, not after an hour of predicting, where a test program's results cannot be written."""
    if args.picture:
        visualise.check_suffix(args.picture)
    inputs = args.cfg, args.params, getattr(args, 'boxes', None)
    files.check_outputs(filter(None, (args.save, args.json, args.picture)), filter(None, inputs))


def parser(description):
    """An argument parser that shows the docstring's first line."""
    return argparse.ArgumentParser(description=description.splitlines()[0])


def configuration(args, data_set, more=()):
    """The configuration that parsed `add_options` name; InputError if it is of another data set."""
    cfg = config.load(args.cfg, [*args.overrides, *more])
    if cfg.data.set != data_set:
        raise InputError(f'{args.cfg}: data.set is {cfg.data.set}; this program is for {data_set}')
    return cfg


def network(cfg, joints, contexts):
    """The configured network with random parameters, on the devices, hybridized with static memory."""
    net = pose_net.build(cfg, joints)
    net.initialize(mx.init.Xavier(rnd_type='gaussian', factor_type='in', magnitude=2), ctx=contexts)
    net.hybridize(static_alloc=True, static_shape=True)
    # Shapes become known without a run, which would leave weights in a layout of oneDNN's that no kvstore takes.
    net.infer_shape(_blank(cfg, contexts[0]))
    for parameter in net.collect_params().values():
        parameter._finish_deferred_init()
    return net


def _blank(cfg, context):
    """A batch of one black image of the network's input size."""
    width, height = cfg.input.size
    return mx.nd.zeros((1, height, width, 3), dtype=np.uint8, ctx=context)


def load_network(cfg, joints, params, contexts):
    """The configured network with the parameters of a file, all of them (`checkpoint.load_parameters`), to infer with.

    On the CPU, oneDNN then takes a convolution and the normalisation, sum and ReLU after it as one operator with fixed
    parameters: a fifth faster, and equal but for rounding. An .onnx file is the network itself, as `common.export`
    wrote it (`onnx_net.OnnxNet`).
    """
    if Path(params).suffix == '.onnx':
        return OnnxNet(params, cfg, joints)
    net = network(cfg, joints, contexts)
    checkpoint.load_parameters(net, params, contexts)
    if contexts[0].device_type == 'cpu':
        net.optimize_for(_blank(cfg, contexts[0]), backend='MKLDNN', static_alloc=True, static_shape=True)
    return net


def training_loader(cfg, samples, flip_pairs, shard=(0, 1)):
    """Shuffled and augmented batches of samples; unreadable images are skipped with a warning.

    A network that starts from others sees new crops, not those of their epochs once more.
    """
    if not any(sample.visible.any() for sample in samples):
        raise InputError(f'data.train is {cfg.data.train}: nobody in it has an annotated joint')
    augment = Augmentation(cfg.augment.rotation, cfg.augment.scale, cfg.augment.flip, flip_pairs)
    return Loader(samples, cfg.input.size, cfg.train.batch_size, shuffle=True, augment=augment,
                  seed=2 * cfg.train.seed + len(_chain(cfg, ())) - 1, strict=False, shard=shard)


def ordered_loader(cfg, samples):
    """Batches of samples in their order, each once; InputError if an image is missing (`files.require_images`)."""
    files.require_images([sample.image for sample in samples])
    return Loader(samples, cfg.input.size, cfg.test.batch_size)


def run_folder(out, cfg):
    """Where the results of an experiment go: OUT/<its name>."""
    return Path(out) / cfg.name


def train(args, cfg, joints, prepare):
    """Train an experiment, and before it the ones it starts from where these have not been trained.

    args: parsed `add_training_options`, and `data`; prepare: a function of a configuration, the devices and this
    worker's shard that returns the training loader and the validation function. Returns the folders of all of them, in
    the order of training (none in a worker that is not the first); each holds best.params, result.json, log.jsonl,
    config.yaml and last.state. InputError where the experiment's own folder holds a run already and --resume was not
    given, or a finished one that has lost its last.state: nothing is overwritten.
    """
    contexts, kvstore = runtime.contexts(args.gpus, args.cpus), runtime.kvstore(args.kvstore)
    chain = _chain(cfg, args.overrides)
    resumed = (run_folder(args.out, cfg) / STATE).exists()
    if resumed and not args.resume:
        raise InputError(f'{run_folder(args.out, cfg)}: holds a run of this experiment; --resume continues it, another '
                         '--out starts anew')
    if not resumed and (run_folder(args.out, cfg) / results.TRAINING).exists():
        raise InputError(f'{run_folder(args.out, cfg)}: holds a finished run, but not the {STATE} it could go on from; '
                         'use another --out')
    finished = [run for run in chain if run is not cfg and (run_folder(args.out, run) / results.TRAINING).exists()]
    if resumed:                               # what it started from is not needed any more
        chain = [*finished, cfg]
    for run in chain:
        _check_same_run(run_folder(args.out, run), run, args, goes_on=run is cfg)
    if any(run.train.dtype == 'bfloat16' for run in chain if run not in finished):
        bfloat16.require(contexts)
    folders = []
    for run in chain:
        folder = files.make_folder(run_folder(args.out, run))
        if run not in finished:
            if run is not cfg and not isinstance(kvstore, str):
                raise InputError(f'{cfg.name} starts from {run.name}: with --kvstore {args.kvstore}, train that first')
            if run is not cfg:
                print(f'{cfg.name} starts from {run.name}, which is trained first', flush=True)
            _train_one(run, joints, prepare, folder, folders[-1] / trainer.BEST if folders else None, contexts, kvstore,
                       args)
        folders.append(folder)
    rank, _ = runtime.shard(kvstore)
    return folders if rank == 0 else []


def report(args, folders, test):
    """Test the best network of each folder that `train` returned on the split it was chosen by.

    test: a function of configuration, parameters, data, split and devices, and of the files to write: json (test.json)
    and picture (predictions.jpg).
    """
    for folder in folders:
        cfg = config.load(folder / CONFIG)
        test(cfg, folder / trainer.BEST, args.data, cfg.data.valid, runtime.contexts(args.gpus, args.cpus),
             json=folder / results.TEST, picture=folder / PICTURE)
    if folders:
        print(f'best networks, logs, scores and pictures: {", ".join(map(str, folders))}')


def _chain(cfg, overrides):
    """The experiment, preceded by the one it starts from, whose file's path from its own folder it names, and so on.

    Overrides hold for all of them, save those of keys in which the files differ from there on: these tell one from the
    other.
    """
    chain, own = [cfg], set()
    while chain[0].train.start_from:
        path = Path(os.path.realpath(Path(chain[0].path).parent / f'{chain[0].train.start_from}.yaml'))
        own.update(config.differences(config.load(chain[0].path), config.load(path)))
        first = config.load(path, [override for override in overrides if override.partition('=')[0].strip() not in own])
        if first.name in [run.name for run in chain]:
            raise InputError(f'{chain[0].path}: train.start_from is {chain[0].train.start_from}, which starts from it')
        chain.insert(0, first)
    return chain


def _check_same_run(folder, cfg, args, goes_on):
    """InputError if the folder holds a run on other data, or of a configuration that a resumed run cannot change.

    One that is only started from, if it is finished, may have been tested in another way; it is not resumed.
    """
    finished = (folder / results.TRAINING).exists()
    if not finished and not (folder / STATE).exists():
        return
    try:
        data = files.read_object(folder / ABOUT).get('data')
        changed = config.differences(config.load(folder / CONFIG), cfg)
    except InputError as error:
        raise InputError(f'{folder}: holds a run that cannot be resumed: {error}') from None
    if data != data_name(args.data):
        raise InputError(f'{folder}: holds a run on {data}, not on {data_name(args.data)}; use another --out')
    goes_on = goes_on or not finished
    for key, (before, now) in changed.items():
        if key not in (*RESUMED_WITH, *idle_keys(cfg, goes_on)) and (goes_on or not key.startswith('test.')):
            raise InputError(f'{folder}: holds a run with {key} {before!r}, not {now!r}; use another --out')
        if key in RESUMED_WITH and key.startswith('train.') and not goes_on:
            print(f'{folder}: is finished and stays as it is, with {key} {before!r}, not {now!r}', flush=True)


def _digest(samples):
    """Of the annotations that a network is trained on: sixteen hex digits, whatever folder the images are in."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(Path(sample.image).name.encode())
        digest.update(np.concatenate([sample.box, sample.joints.ravel(), sample.visible]).astype(np.float32).tobytes())
    return digest.hexdigest()[:16]


def _check_same_people(folder, about):
    """InputError if the folder's run has been trained on other annotations than `about`'s, under the same name."""
    earlier = files.read_object(folder / ABOUT).get('annotations', about['annotations'])
    if earlier != about['annotations']:
        raise InputError(f'{folder}: holds a run on another {about["data"]}, whose annotations to train on were not '
                         'those of now; use another --out')


def idle_keys(cfg, scored):
    """The keys that change nothing in a network, because what they are of is not used.

    scored: nor in its scores, which are those of every decoding.
    """
    joint, maps = cfg.loss.joint != 'none', cfg.network.head != 'regression'
    keys = {'network.beta': maps and (joint or scored), 'test.window': maps and scored,
            'loss.joint_weight': joint, 'loss.window': maps and joint,
            'loss.heatmap_weight': cfg.loss.heatmap != 'none', 'loss.sigma': cfg.loss.heatmap == 'mse',
            'loss.radius': cfg.loss.heatmap == 'binary', 'loss.negatives': cfg.loss.heatmap == 'binary'}
    return [key for key, used in keys.items() if not used]


def data_name(folder):
    """What a data set is called in results: its folder's own name."""
    return Path(os.path.realpath(folder)).name


def provenance(cfg, data, split):
    """What makes a test's JSON say by itself where it is from (read by `results.collect`)."""
    return {'experiment': cfg.name, 'data': data_name(data), 'split': split, 'commit': _commit(),
            'seed': cfg.train.seed, 'config': config.sections(cfg)}


def _train_one(cfg, joints, prepare, folder, start, contexts, kvstore, args):
    """Train one experiment of a chain; its first worker writes, which keeps other processes out of the folder."""
    rank, workers = runtime.shard(kvstore)
    about = {'experiment': cfg.name, 'data': data_name(args.data), 'commit': _commit(), 'seed': cfg.train.seed,
             'devices': [str(context) for context in contexts], 'workers': workers, 'kvstore': args.kvstore}
    with files.locked(folder) if rank == 0 else nullcontext():
        runtime.seed_everything(cfg.train.seed)
        gc.collect()                          # the last phase's network is in reference cycles, and its memory large
        loader, validate = prepare(cfg, contexts, (rank, workers))
        about['annotations'] = _digest(loader.samples)
        if (folder / STATE).exists():
            _check_same_people(folder, about)
        if rank == 0:
            config.save(cfg, folder / CONFIG)
            files.write_json(folder / ABOUT, about)
        net = network(cfg, joints, contexts)
        if not (folder / STATE).exists():
            _initial_parameters(cfg, net, start, contexts)
        history = trainer.fit(cfg, net, loader, validate, folder, contexts, kvstore)
        if rank == 0:
            _write_result(folder / results.TRAINING, about, history)


def _write_result(path, about, history):
    """result.json of a training; where an earlier one of these epochs is there, its commit is the one that counts."""
    scores = {'best': max(history, key=lambda line: line['score']), 'last': history[-1]}
    earlier = files.read_object(path) if path.exists() else {}
    if not earlier.items() >= scores.items():
        files.write_json(path, {**about, **scores})


def _commit():
    """The project's commit, with -dirty where files were changed since; None outside a git checkout of it."""
    if not (results.ROOT / '.git').exists():
        return None
    try:
        found = subprocess.run(['git', 'describe', '--always', '--dirty', '--abbrev=40'], capture_output=True,
                               text=True, cwd=results.ROOT)
    except OSError:                           # no git here
        return None
    return found.stdout.strip() or None


def _initial_parameters(cfg, net, start, contexts):
    if start:
        checkpoint.load_parameters(net, start, contexts)
    elif cfg.network.pretrained:
        path = cfg.network.pretrained
        if path == 'imagenet':
            path = store.fetch(f'{cfg.network.backbone}_v1b', '--set network.pretrained=FILE (empty: random weights)')
        print(f'{path}: {checkpoint.load_parameters(net, path, contexts, partly=True)}', flush=True)
