"""An experiment's network, with its parameters, its batches, and what it starts from: for training and testing."""
import os
import subprocess
from pathlib import Path

import mxnet as mx
import numpy as np

from common import config, files, results
from common.data.crop import Augmentation
from common.data.loader import Loader
from common.errors import InputError
from common.nets import pose_net
from common.predict.onnx_net import OnnxNet
from common.weights import checkpoint


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


def chain(cfg, overrides):
    """The experiment, preceded by the one it starts from, whose file's path from its own folder it names, and so on.

    Overrides hold for all of them, save those of keys in which the files differ from there on: these tell one from the
    other.
    """
    links, own = [cfg], {'train.start_from'}
    while links[0].train.start_from:
        path = Path(os.path.realpath(Path(links[0].path).parent / f'{links[0].train.start_from}.yaml'))
        own.update(config.differences(config.load(links[0].path), config.load(path)))
        first = config.load(path, [override for override in overrides if override.partition('=')[0].strip() not in own])
        if first.name in [run.name for run in links]:
            raise InputError(f'{links[0].path}: train.start_from is {links[0].train.start_from}, which starts from it')
        links.insert(0, first)
    return links


def training_loader(cfg, samples, flip_pairs, shard=(0, 1)):
    """Shuffled and augmented batches of samples; unreadable images are skipped with a warning.

    A network that starts from others sees new crops, not those of their epochs once more.
    """
    if not any(sample.visible.any() for sample in samples):
        raise InputError(f'data.train is {cfg.data.train}: nobody in it has an annotated joint')
    augment = Augmentation(cfg.augment.rotation, cfg.augment.scale, cfg.augment.flip, flip_pairs)
    return Loader(samples, cfg.input.size, cfg.train.batch_size, shuffle=True, augment=augment,
                  seed=2 * cfg.train.seed + len(chain(cfg, ())) - 1, strict=False, shard=shard)


def ordered_loader(cfg, samples):
    """Batches of samples in their order, each once; InputError if an image is missing (`files.require_images`)."""
    files.require_images([sample.image for sample in samples])
    return Loader(samples, cfg.input.size, cfg.test.batch_size)


def data_name(folder):
    """What a data set is called in results: its folder's own name."""
    return Path(os.path.realpath(folder)).name


def provenance(cfg, data, split):
    """What makes a test's JSON say by itself where it is from (read by `results.collect`)."""
    return {'experiment': cfg.name, 'data': data_name(data), 'split': split, 'commit': commit(),
            'seed': cfg.train.seed, 'config': config.sections(cfg)}


def commit():
    """The project's commit, with -dirty where files were changed since; None outside a git checkout of it."""
    if not (results.ROOT / '.git').exists():
        return None
    try:
        found = subprocess.run(['git', 'describe', '--always', '--dirty', '--abbrev=40'], capture_output=True,
                               text=True, cwd=results.ROOT)
    except OSError:                           # no git here
        return None
    return found.stdout.strip() or None
