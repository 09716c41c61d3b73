"""Training an experiment on the disk: what it starts from before it, what may be resumed, and the report after it."""
import gc
import hashlib
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from common import config, experiment, files, results, runtime
from common.errors import InputError
from common.nets import bfloat16
from common.train import trainer
from common.train.trainer import STATE
from common.weights import checkpoint, store

# What a training leaves in its folder: at its start, and when it has finished.
CONFIG, ABOUT, PICTURE = 'config.yaml', 'run.json', 'predictions.jpg'
# The keys that may change when a run is resumed.
RESUMED_WITH = ('train.epochs', 'train.patience', 'train.drops', 'train.rates', 'test.batch_size')


def run_folder(out, cfg):
    """Where the results of an experiment go: OUT/<its name>."""
    return Path(out) / cfg.name


def train(args, cfg, joints, prepare):
    """Train an experiment, and before it the ones it starts from, after the last of them that is finished.

    args: parsed `options.add_training`, and `data`; prepare: a function of a configuration, the devices and this
    worker's shard that returns the training loader and the validation function. Returns the folders of that one and of
    those trained, in the order of training (none in a worker that is not the first); each holds best.params,
    result.json, log.jsonl, config.yaml and last.state. InputError where the experiment's own folder holds a run already
    and --resume was not given, or a finished one that has lost its last.state: nothing is overwritten.
    """
    contexts, kvstore = runtime.contexts(args.gpus, args.cpus), runtime.kvstore(args.kvstore)
    links = experiment.chain(cfg, args.overrides)
    resumed = (run_folder(args.out, cfg) / STATE).exists()
    if resumed and not args.resume:
        raise InputError(f'{run_folder(args.out, cfg)}: holds a run of this experiment; --resume continues it, another '
                         '--out starts anew')
    if not resumed and (run_folder(args.out, cfg) / results.TRAINING).exists():
        raise InputError(f'{run_folder(args.out, cfg)}: holds a finished run, but not the {STATE} it could go on from; '
                         'use another --out')
    finished = [run for run in links[:-1] if (run_folder(args.out, run) / results.TRAINING).exists()][-1:]
    if finished:                              # what that started from is not needed any more
        links = links[links.index(finished[0]):]
    if resumed:
        links = [*finished, cfg]
    for run in links:
        _check_same_run(run_folder(args.out, run), run, args, goes_on=run is cfg)
    if any(run.train.dtype == 'bfloat16' for run in links if run not in finished):
        bfloat16.require(contexts)
    folders = []
    for run in links:
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


def _check_same_run(folder, cfg, args, goes_on):
    """InputError if the folder holds a run on other data, or of a configuration that a resumed run cannot change.

    One that is only started from, if it is finished, may have been tested in another way; it is not resumed.
    """
    finished = (folder / results.TRAINING).exists()
    if not finished and not (folder / STATE).exists():
        return
    try:
        data, asked = files.read_object(folder / ABOUT).get('data'), experiment.data_name(args.data)
        changed = config.differences(config.load(folder / CONFIG), cfg)
    except InputError as error:
        raise InputError(f'{folder}: holds a run that cannot be resumed: {error}') from None
    if data != asked:
        raise InputError(f'{folder}: holds a run on {data}, not on {asked}; use another --out')
    goes_on = goes_on or not finished
    for key in sorted(changed.keys() - idle_keys(cfg, goes_on)):
        before, now = changed[key]
        if key not in RESUMED_WITH and (goes_on or not key.startswith('test.')):
            raise InputError(f'{folder}: holds a run with {key} {before!r}, not {now!r}; use another --out')
        if not goes_on and key != 'test.batch_size':
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
    keys = {'network.beta': maps and (joint or scored), 'network.debiased': maps and (joint or scored),
            'test.window': maps and scored, 'loss.joint_weight': joint, 'loss.window': maps and joint,
            'loss.heatmap_weight': cfg.loss.heatmap != 'none', 'loss.sigma': cfg.loss.heatmap == 'mse',
            'loss.radius': cfg.loss.heatmap == 'binary', 'loss.negatives': cfg.loss.heatmap == 'binary'}
    return [key for key, used in keys.items() if not used]


def _train_one(cfg, joints, prepare, folder, start, contexts, kvstore, args):
    """Train one experiment of a chain; its first worker writes, which keeps other processes out of the folder."""
    rank, workers = runtime.shard(kvstore)
    about = {'experiment': cfg.name, 'data': experiment.data_name(args.data), 'commit': experiment.commit(),
             'seed': cfg.train.seed, 'devices': [str(context) for context in contexts], 'workers': workers,
             'kvstore': args.kvstore}
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
        net = experiment.network(cfg, joints, contexts)
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


def _initial_parameters(cfg, net, start, contexts):
    if start:
        checkpoint.load_parameters(net, start, contexts)
    elif cfg.network.pretrained:
        path = cfg.network.pretrained
        if path == 'imagenet':
            path = store.fetch(f'{cfg.network.backbone}_v1b', '--set network.pretrained=FILE (empty: random weights)')
        print(f'{path}: {checkpoint.load_parameters(net, path, contexts, partly=True)}', flush=True)
