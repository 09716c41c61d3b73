"""Our side of the comparison: the project's own functions, called as training and testing call them.

Each function takes a task (see `sides`) and returns a step: a function that does the work once, to its end, and
returns a list of arrays.
"""
import sys
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import common  # noqa: F401  before MXNet: it sets the threads

import mxnet as mx
import numpy as np
from loader import MPII, make_samples
from mxnet import autograd
from sides import JOINTS, batch

from common import config, runtime
from common.data.loader import Batch, Loader
from common.deploy.export import export
from common.export import to_calibrate_on
from common.nets import pose_net
from common.nets.integral import Integral
from common.predict import inference
from common.programs.sources import find_photographs
from common.train import trainer
from common.weights import checkpoint
from pose_mpii.pckh import pckh
from pose_mpii.sample import write_sample

CONTEXTS = [mx.cpu()]
PEOPLE = 2958                                 # of MPII's validation split


def configuration(task):
    """I1 of Table 2 with the task's backbone, size and dtype."""
    return config.load(ROOT / 'experiments/mpii/table2/i1.yaml', [
        f'network.backbone={task.backbone}', f'input.size=[{task.size}, {task.size}]', 'network.pretrained=',
        f'train.dtype={task.dtype}'])


def parameters_file(task):
    return Path(task.folder) / 'network.params'


def train(task):
    net = pose_net.create(configuration(task), CONTEXTS)
    checkpoint.load_parameters(net, parameters_file(task), CONTEXTS)
    graph = trainer.loss_graph(configuration(task), net)
    optimizer = trainer.optimizer(net)
    data = Batch(*batch(task), matrices=None, indices=None, read=None)

    def step():
        losses = trainer.train_step(graph, optimizer, data, CONTEXTS)
        mx.nd.waitall()
        return [losses[0].asnumpy()]
    return step


def infer(task):
    net = inference.load_network(configuration(task), parameters_file(task), CONTEXTS)
    images = batch(task)[0]
    return lambda: list(inference.forward(net, images, CONTEXTS))


def integral(task):
    """Forward and backward of the integral alone, on heat maps of the network's size."""
    cells = task.size // 8
    heatmaps = mx.nd.random.normal(shape=(task.batch, JOINTS, cells, cells))
    heatmaps.attach_grad()
    layer = Integral(8, task.beta)
    layer.hybridize(static_alloc=True, static_shape=True)

    def step():
        with autograd.record():
            joints = layer(heatmaps)
        joints.backward()
        mx.nd.waitall()
        return [heatmaps.grad.asnumpy()]
    return step


def load(task):
    """An epoch of as many training crops as the batch, out of 1280x720 JPEGs, by one thread."""
    folder = Path(task.folder) / 'jpegs'
    folder.mkdir()
    samples = make_samples(folder)
    samples = (samples * (1 + task.batch // len(samples)))[:task.batch]
    loader = Loader(samples, (task.size, task.size), 8, augment=MPII, threads=1)
    epochs = count()
    return lambda: [batch.images for batch in loader.batches(next(epochs))]


def score(task):
    """PCKh of random predictions."""
    rng = np.random.default_rng(0)
    joints = rng.uniform(0, 1000, (PEOPLE, JOINTS, 2))
    predictions = joints + rng.normal(0, 20, joints.shape)
    visible = rng.random((PEOPLE, JOINTS)) < 0.9
    corners = rng.uniform(0, 900, (PEOPLE, 1, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(30, 100, corners.shape)], axis=1)
    return lambda: [np.array(pckh(predictions, joints, visible, boxes)['curve'])]


def write_parameters(task):
    """Write network.params and network.npz: random, and nothing in them is 0 or 1 throughout.

    Small gammas keep the sums of the residual blocks bounded; the last layer is scaled so that heat maps vary over
    their cells as trained ones do, and the integral finds joints far from the centre.
    """
    runtime.seed_everything(0)
    rng = np.random.default_rng(0)
    draws = {'gamma': lambda shape: rng.uniform(0.2, 0.8, shape), 'beta': lambda shape: rng.normal(0, 0.1, shape),
             'running_mean': lambda shape: rng.normal(0, 0.1, shape), 'bias': lambda shape: rng.normal(0, 0.1, shape),
             'running_var': lambda shape: rng.uniform(0.5, 1.5, shape)}
    net = pose_net.create(configuration(task), CONTEXTS)
    parameters = checkpoint.parameters(net)
    for name, parameter in parameters.items():
        draw = draws.get(name.rpartition('.')[2])
        if draw:
            parameter.set_data(mx.nd.array(draw(parameter.shape)))
    heatmaps, _ = inference.forward(net, batch(task)[0], CONTEXTS)
    final = net.heads[0].final.weight
    final.set_data(final.data() * float(0.1 / heatmaps.std(axis=(2, 3)).mean()))
    checkpoint.save_parameters(net, parameters_file(task))
    np.savez(Path(task.folder) / 'network.npz', **{name: p.data().asnumpy() for name, p in parameters.items()})
    return list


def write_exports(task):
    """Write ours.onnx and ours-int8.onnx, calibrated on drawings."""
    folder = Path(task.folder)
    write_sample(folder / 'sample', train=8, valid=1)
    cfg, images = configuration(task), folder / 'sample/images'
    export(cfg, parameters_file(task), folder / 'ours', onnx=True,
           photographs=to_calibrate_on(find_photographs(images), images, cfg.input.size))
    return list


KINDS = {'train': train, 'infer': infer, 'integral': integral, 'loader': load, 'pckh': score,
         'parameters': write_parameters, 'export': write_exports}
