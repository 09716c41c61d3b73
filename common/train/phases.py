"""Training an experiment on the disk: what it starts from before it, and what may be resumed."""
import gc
import os
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from common import config, files, provenance, results, runtime
from common.errors import InputError
from common.guard import yaml_text
from common.nets import pose_net
from common.train import resume, trainer
from common.train.resume import ABOUT, CONFIG
from common.train.run import BEST, STATE
from common.weights import checkpoint, store

PICTURE = 'predictions.jpg'                   # what the test of a finished training leaves in its folder
# What a network and the one that it starts from have in common.
SHARED = ('backbone', 'head', 'deconvolutions', 'grid', 'stages')


class Job(NamedTuple):
    """What is to be trained where, besides the configuration."""

    data: str                                 # the data set's folder
    out: str                                  # results go to OUT/<experiment>
    overrides: list                           # of the configuration, 'section.key=value' (`config.load`)
    resume: bool                              # go on where an earlier run of this experiment stopped
    devices: runtime.Devices


def run_folder(out, cfg) -> Path:
    """Where the results of an experiment go: OUT/<its name>."""
    return Path(out) / cfg.name


def train(cfg, prepare, job) -> list:
    """Train an experiment, and before it the ones it starts from, after the last of them that is finished.

    prepare: a function of a configuration and of how many others it starts from that returns the training loader, the
    validation function and the samples of both splits, {'train': ., 'valid': .}.

    Returns the folders of those trained, in that order, after that of the finished one they start from (none in a
    worker that is not the first); each holds best.params, result.json, log.jsonl, config.yaml, run.json and last.state.
    InputError where the experiment's own folder holds a run already and the job does not resume, or a finished one that
    has lost its last.state: nothing is overwritten.
    """
    links = chain(cfg, job.overrides)
    waiting, start = _waiting(links, job)
    for link in [*[start] * bool(start), *waiting]:
        folder = run_folder(job.out, link)
        if link is start or (folder / STATE).exists():
            resume.check_same_run(folder, link, job.data, goes_on=link is cfg)
    if any(link.train.dtype == 'bfloat16' for link in waiting):
        from common.nets import bfloat16
        bfloat16.require(job.devices.contexts)
    folders = [run_folder(job.out, start)] if start else []
    for link in waiting:
        if link is not cfg:
            if job.devices.workers > 1:
                raise InputError(f'{cfg.name} starts from {link.name}: with --kvstore {job.devices.name}, train '
                                 'that first')
            print(f'{cfg.name} starts from {link.name}, which is trained first, at most {link.train.epochs} epochs'
                  + _left_out(link, cfg, job.overrides), flush=True)
        _train_one(link, links.index(link), prepare, folders[-1] / BEST if folders else None, job)
        folders.append(run_folder(job.out, link))
    return folders if job.devices.rank == 0 else []


def chain(cfg, overrides) -> list:
    """The experiment, preceded by the one it starts from, whose file's path from its own folder it names, and so on.

    Overrides hold for all of them, save those of keys in which the files differ from there on: these tell one from the
    other. One that begins with an experiment's name holds for that alone ('i1:train.epochs=6').
    """
    links, own = [cfg], {'train.start_from'}
    named = [override for override in overrides if ':' in override.partition('=')[0]]
    while links[0].start:
        path = links[0].start
        if not os.path.exists(path):
            raise InputError(f'{links[0].path}: train.start_from is {links[0].train.start_from}; there is no {path}')
        own.update(config.differences(config.load(links[0].path), config.load(path)))
        first = config.load(path, [override for override in overrides
                                   if override in named or override.partition('=')[0].strip() not in own])
        if first.name in [link.name for link in links]:
            raise InputError(f'{links[0].path}: train.start_from is {links[0].train.start_from}, which starts from it')
        _check_alike(links[0], first)
        links.insert(0, first)
    config.check_named(named, [link.name for link in links])
    return links


def _check_alike(cfg, first):
    """InputError if a network cannot start from that of `first`: said before the first of them is trained."""
    parts = {f'network.{key}': (cfg.network[key], first.network[key]) for key in SHARED}
    parts['data.skeleton'] = cfg.data.skeleton['joints'], first.data.skeleton['joints']
    for key, (own, other) in parts.items():
        if own != other:
            raise InputError(f'{cfg.path}: {key} is {yaml_text.shown(own)}; {first.name}, from which it starts, has '
                             f'{yaml_text.shown(other)}')


def _left_out(link, cfg, overrides):
    """What a message says of overrides that hold for an experiment, but not for the one that it starts from."""
    keys = [override.partition('=')[0].strip() for override in overrides]
    keys = [key for key in keys if key in config.differences(link, cfg).keys() - {'train.start_from'}]
    name = link.name.rpartition('/')[2]
    return ''.join(f'; --set {key} does not hold for it, as {cfg.name} has a value of its own (--set {name}:{key}=... '
                   'does)' for key in keys)


def _waiting(links, job):
    """The experiments of a chain that are to be trained, and the finished one they start from, or None."""
    cfg = links[-1]
    folder = run_folder(job.out, cfg)
    resumed = (folder / STATE).exists()
    if resumed and not job.resume:
        raise InputError(f'{folder}: holds a run of this experiment; --resume continues it, another --out starts anew')
    if not resumed and (folder / results.TRAINING).exists():
        raise InputError(f'{folder}: holds a finished run, but not the {STATE} it could go on from; use another --out')
    done = [link for link in links[:-1] if (run_folder(job.out, link) / results.TRAINING).exists()]
    start = done[-1] if done else None
    first = links.index(start) + 1 if start else 0
    return ([cfg] if resumed else links[first:]), start


def _train_one(cfg, phase, prepare, start, job):
    """Train one experiment of a chain; its first worker writes, which keeps other processes out of the folder."""
    folder, devices = files.make_folder(run_folder(job.out, cfg)), job.devices
    about = {'experiment': cfg.name, 'data': provenance.data_name(job.data), 'commit': provenance.commit(),
             'seed': cfg.train.seed, 'devices': [str(context) for context in devices.contexts],
             'workers': devices.workers, 'kvstore': devices.name, 'valid': cfg.data.valid}
    with files.locked(folder) if devices.rank == 0 else nullcontext():
        runtime.seed_everything(cfg.train.seed)
        gc.collect()                          # the last phase's network is in reference cycles, and its memory large
        loader, validate, people = prepare(cfg, phase)
        provenance.check_apart(cfg.data, **people)
        about['annotations'] = {split: provenance.digest(samples) for split, samples in people.items()}
        about['images'] = len(loader.samples)
        resumed = (folder / STATE).exists()
        if resumed:
            resume.check_goes_on(folder, cfg, about)
        elif start:
            resume.check_same_people(start.parent, cfg, about)
        if devices.rank == 0:
            config.save(cfg, folder / CONFIG)
            files.write_json(folder / ABOUT, about)
            if devices.workers > 1:
                print(f'{runtime.worker_name(0)} validates, and writes {folder}', flush=True)
        net = pose_net.create(cfg, devices.contexts)
        if not resumed:
            _initial_parameters(cfg, net, start, devices.contexts)
        history = trainer.fit(cfg, net, loader, validate, folder, devices)
        if devices.rank == 0:
            _write_result(folder / results.TRAINING, about, history)


def _write_result(path, about, history):
    """result.json of a training; where an earlier one of these epochs is there, its commit is the one that counts."""
    scores = {'best': max(history, key=lambda line: line['score']), 'last': history[-1]}
    earlier = files.read_object(path) if path.exists() else {}
    if not earlier.items() >= scores.items():
        files.write_json(path, {**about, **scores})


def _initial_parameters(cfg, net, start, contexts):
    """Set what a training starts from: a network trained before it, or `network.pretrained`."""
    if start:
        checkpoint.load_parameters(net, start, contexts)
    elif cfg.network.pretrained:
        path = store.pretrained(cfg.network.pretrained, cfg.network.backbone)
        print(f'{path}: {checkpoint.load_parameters(net, path, contexts, partly=True)}', flush=True)
