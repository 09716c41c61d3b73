"""The training loop: batches split over devices, forward, backward, kvstore step, validation, schedule, checkpoint."""
import json
import math
import time
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from tensorboardX import SummaryWriter
from tqdm import tqdm

from common import checkpoint, files, runtime
from common.errors import InputError
from common.losses import PoseLoss
from common.schedule import Schedule

STATE, BEST = 'last.state', 'best.params'     # what `fit` writes into the folder of a run


class LossGraph(gluon.HybridBlock):
    """Network, targets and losses as one graph: images, true joints, visible, keys -> two losses (B,) (`PoseLoss`)."""

    def __init__(self, net, loss, **kwargs):
        super().__init__(**kwargs)
        self.net, self.loss = net, loss

    def hybrid_forward(self, F, images, joints, visible, keys):
        heatmaps, predicted = self.net(images)
        return self.loss(heatmaps, predicted, joints, visible, keys)


def split(batch, contexts):
    """A loader's batch -> for each device its part, (images, joints, visible, keys).

    Every device gets at least one sample: a batch smaller than that is filled up with black ones without joints,
    which carry no loss.
    """
    arrays = (batch.images, batch.joints, batch.visible, batch.keys)
    lacking = len(contexts) - len(batch.images)
    if lacking > 0:
        arrays = [np.concatenate([a, np.zeros((lacking, *a.shape[1:]), a.dtype)]) for a in arrays]
    parts = [gluon.utils.split_and_load(a, contexts, even_split=False) for a in arrays]
    return list(zip(*parts))


def train_step(graph, trainer, batch, contexts, workers=1):
    """One step of the optimizer on one batch; returns each device's sums (2,) of heat-map and joint loss, unread.

    The gradient is that of the mean over the batches of all devices and, with a dist kvstore, of all workers.
    """
    sums = []
    with autograd.record():
        for part in split(batch, contexts):
            heatmap_loss, joint_loss = graph(*part)
            sums.append(mx.nd.concat(heatmap_loss.sum(), joint_loss.sum(), dim=0))
    autograd.backward(sums)
    trainer.step(len(batch.images) * workers)
    return sums


def train_one_epoch(graph, trainer, loader, epoch, contexts, title):
    """One pass over the loader; returns the mean losses and images/s. A loss that is not finite is an InputError."""
    meter, pending, start = Meter(title), None, time.time()
    with tqdm(total=len(loader.order(epoch)), desc=title, unit=' images', mininterval=1, dynamic_ncols=True,
              disable=loader.shard[0] > 0) as bar:
        for batch in loader.batches(epoch):
            step = train_step(graph, trainer, batch, contexts, loader.shard[1]), len(batch.images)
            if pending:                       # read one step late, so that the device never waits for the host
                meter.add(*pending)
            pending = step
            bar.set_postfix_str(str(meter), refresh=False)
            bar.update(len(batch.images))
        meter.add(*pending)
    mx.nd.waitall()                           # batch normalisation's statistics change untracked, in the backward pass
    return {**meter.means(), 'images_per_second': meter.images / (time.time() - start)}


class Meter:
    """Mean losses over the images seen so far."""

    def __init__(self, title):
        self._title, self._sums, self.images = title, [0.0, 0.0], 0

    def add(self, sums, images):
        """Add one step's sums, as `train_step` returns them; InputError if they are not finite."""
        step = sum(s.asnumpy().astype(float) for s in sums)
        if not all(math.isfinite(value) for value in step):
            raise InputError(f'{self._title}: the loss is {sum(step)} after {self.images} images; a lower train.rates '
                             'may hold, and --resume goes on from the last epoch saved')
        self._sums = [total + float(value) for total, value in zip(self._sums, step)]
        self.images += images

    def means(self):
        heatmap_loss, joint_loss = (total / max(1, self.images) for total in self._sums)
        return {'heatmap_loss': heatmap_loss, 'joint_loss': joint_loss}

    def __str__(self):
        return ', '.join(f'{name.replace("_", " ")} {value:.4f}' for name, value in self.means().items())


def optimizer(net, kvstore='device'):
    """Adam for the parameters that have gradients, updated on every device after kvstore has summed these.

    Running statistics stay out: a `gluon.Trainer` would set them back to the first device's in its first step.
    """
    trained = [parameter for parameter in net.collect_params().values() if parameter.grad_req != 'null']
    return gluon.Trainer(trained, 'adam', kvstore=kvstore, update_on_kvstore=False)


class Statistics:
    """The running statistics of batch normalisation, which every device of every worker gathers for itself."""

    KEY = 10 ** 6                             # in the kvstore, above the keys of the trainer's parameters

    def __init__(self, net, contexts, store):
        self._parameters = [parameter for name, parameter in checkpoint.parameters(net).items()
                            if name.endswith(('running_mean', 'running_var'))]
        self._contexts, self._store, (_, self._workers) = contexts, store, runtime.shard(store)
        if self._workers > 1:
            store.init(self.KEY, self._flat())

    def _flat(self):
        return mx.nd.concat(*(parameter.data(self._contexts[0]) for parameter in self._parameters), dim=0)

    def average(self):
        """Give every device of every worker the mean of them all, which is also what is saved.

        The workers' networks are equal after that, and so is what they find in validation.
        """
        if len(self._contexts) > 1:
            for parameter in self._parameters:
                parameter.set_data(parameter._reduce())
        if self._workers > 1:
            total = self._flat()
            self._store.pushpull(self.KEY, total, out=total)
            start = 0
            for parameter in self._parameters:
                end = start + parameter.shape[0]
                parameter.set_data(total[start:end] / self._workers)
                start = end


def fit(cfg, net, loader, validate, folder, contexts, kvstore='device'):
    """Train `net` (initialised, on `contexts`) until the schedule ends; returns the history, a dict an epoch.

    loader: training batches (`loader.Loader`); validate: a function of the network that returns a dict of metrics
    with the 'score' that decides. kvstore: from `runtime.kvstore`; of several workers each trains on its shard and
    validates, which gives them all the same scores, and the first one writes.

    `folder` receives, after every epoch and each whole at any time: best.params, log.jsonl (one line an epoch),
    TensorBoard's scalars, and last.state, from which a run that finds it there goes on.
    """
    folder = Path(folder)
    graph = LossGraph(net, PoseLoss(cfg, net.stride))
    graph.hybridize(static_alloc=True, static_shape=True)
    trainer = optimizer(net, kvstore)
    schedule = Schedule(cfg.train.rates, cfg.train.patience, cfg.train.drops, cfg.train.epochs)
    history = []
    if (folder / STATE).exists():
        state = checkpoint.load_state(folder / STATE, net, trainer, contexts)
        schedule.state, history = state['schedule'], state['history']
    statistics = Statistics(net, contexts, kvstore)
    first_worker = loader.shard[0] == 0
    board = SummaryWriter(str(folder / 'tensorboard'), purge_step=len(history) + 1) if first_worker else None
    while not schedule.finished:
        epoch = schedule.state['epoch'] + 1
        rate = schedule.rate
        trainer.set_learning_rate(rate)
        losses = train_one_epoch(graph, trainer, loader, epoch, contexts, f'{cfg.name} epoch {epoch}')
        statistics.average()
        metrics = validate(net)
        best = schedule.update(metrics['score'])
        history.append({'epoch': epoch, 'rate': rate, **losses, **metrics, 'best': best})
        if board:
            if best:
                checkpoint.save_parameters(net, folder / BEST)
            files.write_text(folder / 'log.jsonl', ''.join(json.dumps(line) + '\n' for line in history))
            checkpoint.save_state(folder / STATE, net, trainer, {'schedule': schedule.state, 'history': history})
            _show(cfg, history[-1], len(loader.skipped), board)
    if board:
        board.close()
    return history


def _show(cfg, line, skipped, board):
    """An epoch's line of the log on the terminal and in TensorBoard."""
    for name, value in line.items():
        if isinstance(value, (int, float)):
            board.add_scalar(name, value, line['epoch'])
    tqdm.write(f'{cfg.name} epoch {line["epoch"]}: rate {line["rate"]:g}, heat maps {line["heatmap_loss"]:.4f}, joints '
               f'{line["joint_loss"]:.4f}, {line["images_per_second"]:.1f} images/s, score {line["score"]:.2f}'
               + ' (best)' * line['best'] + f', {skipped} unreadable images skipped' * bool(skipped))
