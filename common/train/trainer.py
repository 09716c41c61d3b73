"""The training loop: batches split over devices, forward, backward, kvstore step, validation, schedule, checkpoint."""
import json
import time
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from tensorboardX import SummaryWriter
from tqdm import tqdm

from common import files, runtime
from common.errors import InputError, Terminated
from common.nets import bfloat16
from common.nets.losses import LossGraph, PoseLoss
from common.train.schedule import Schedule
from common.train.termination import Termination
from common.train.workers import FirstWorker, Statistics, share_parameters
from common.weights import checkpoint

STATE, BEST, LOG = 'last.state', 'best.params', 'log.jsonl'                # what `fit` writes into the folder of a run


def loss_graph(cfg, net):
    """The configured losses of a network, compiled with it as one graph (`losses.LossGraph`)."""
    kinds = {'float32': LossGraph, 'bfloat16': bfloat16.LossGraph}
    graph = kinds[cfg.train.dtype](net, PoseLoss(cfg, net.stride))
    graph.hybridize(static_alloc=True, static_shape=True)
    return graph


def split(batch, contexts):
    """A loader's batch -> for each device its part, (images, joints, visible, keys).

    Every device gets at least one sample: a batch smaller than that is filled up with its own without their joints,
    which carry no loss, and bring nothing foreign into batch normalisation's statistics.
    """
    arrays = (batch.images, batch.joints, batch.visible, batch.keys)
    lacking = len(contexts) - len(batch.images)
    if lacking > 0:
        images, joints, visible, keys = (np.concatenate([a, np.resize(a, (lacking, *a.shape[1:]))]) for a in arrays)
        visible[-lacking:] = 0
        arrays = images, joints, visible, keys
    return list(zip(*(runtime.scatter(a, contexts) for a in arrays)))


def train_step(graph, trainer, batch, contexts, workers=1):
    """One step of the optimizer on one batch; returns each device's heat-map and joint losses, (2, B), unread.

    The gradient is that of the mean over the batches of all devices and, with a dist kvstore, of all workers.
    """
    with autograd.record():
        losses = [mx.nd.stack(*graph(*part)) for part in split(batch, contexts)]
    graph.backward(losses)
    trainer.step(len(batch.images) * workers)
    return losses


def train_one_epoch(graph, trainer, loader, epoch, contexts, meter, termination):
    """The rest of a pass over the loader, from where the meter stands; InputError where a loss is not finite.

    Returns early, after the step it is in, when a signal to end the process came.
    """
    pending = None
    with tqdm(total=len(loader.order(epoch)), initial=meter.images, desc=meter.title, unit=' images', mininterval=1,
              dynamic_ncols=True, disable=loader.shard[0] > 0) as bar:
        for batch in loader.batches(epoch, meter.steps):
            step = train_step(graph, trainer, batch, contexts, loader.shard[1]), batch.indices
            if pending:                       # read one step late, so that the device never waits for the host
                meter.add(*pending)
            pending = step
            bar.set_postfix_str(str(meter), refresh=False)
            bar.update(len(batch.images))
            if termination.signal:
                break
        if pending:
            meter.add(*pending)
    mx.nd.waitall()                           # batch normalisation's statistics change untracked, in the backward pass


class Meter:
    """Mean losses over the images of an epoch seen so far, and how many these are.

    `state` holds the sums, as plain numbers for the checkpoint.
    """
    NAMED = 5                                 # images in a message

    def __init__(self, title, samples, state=None):
        self.title, self._samples = title, samples
        self.state = state or {'steps': 0, 'images': 0, 'sums': [0.0, 0.0]}
        self._start, self._before = time.time(), self.images

    @property
    def steps(self):
        return self.state['steps']

    @property
    def images(self):
        return self.state['images']

    def add(self, losses, indices):
        """Add one step's losses, as `train_step` returns them, of these samples; InputError if one is not finite."""
        losses = np.concatenate([part.asnumpy() for part in losses], axis=1)[:, :len(indices)]
        self.state['steps'] += 1
        finite = np.isfinite(losses).all(axis=0)
        if not finite.all():
            names = [self._samples[index].image for index in indices[~finite]]
            more = f' and {len(names) - self.NAMED} more' * (len(names) > self.NAMED)
            raise InputError(f'{self.title}, step {self.steps}: the loss of {", ".join(names[:self.NAMED])}{more} is '
                             'not finite')
        self.state['images'] += len(indices)
        self.state['sums'] = [total + float(value) for total, value in zip(self.state['sums'], losses.sum(axis=1))]

    def means(self):
        heatmap_loss, joint_loss = (total / max(1, self.images) for total in self.state['sums'])
        return {'heatmap_loss': heatmap_loss, 'joint_loss': joint_loss}

    def speed(self):
        """Images per second, since this process took the epoch up."""
        return (self.images - self._before) / (time.time() - self._start)

    def __str__(self):
        return ', '.join(f'{name.replace("_", " ")} {value:.4f}' for name, value in self.means().items())


def optimizer(net, kvstore='device'):
    """Adam for the parameters that have gradients, updated on every device after kvstore has summed these.

    Running statistics stay out: a `gluon.Trainer` would set them back to the first device's in its first step.
    """
    trained = [parameter for parameter in net.collect_params().values() if parameter.grad_req != 'null']
    return gluon.Trainer(trained, 'adam', kvstore=kvstore, update_on_kvstore=False)


def fit(cfg, net, loader, validate, folder, contexts, kvstore='device'):
    """Train `net` (initialised, on `contexts`) until the schedule ends; returns the history, a dict an epoch.

    loader: training batches (`loader.Loader`); validate: a function of the network that returns a dict of metrics
    with the 'score' that decides. kvstore: from `runtime.kvstore`; of several workers each trains on its shard, and the
    first one validates and writes.

    `folder` receives, after every epoch and each whole at any time: best.params, log.jsonl (one line an epoch),
    TensorBoard's scalars, and last.state, from which a run that finds it there goes on. SIGTERM or Ctrl-C write
    last.state after the step they come in, and end the run by `errors.Terminated`; a second one ends it at once, as
    they do where there are several workers, which do not stop at the same step.
    """
    folder = Path(folder)
    graph = loss_graph(cfg, net)
    trainer = optimizer(net, kvstore)
    rank, workers = loader.shard
    history, begun = [], None
    if (folder / STATE).exists():
        history, begun = checkpoint.load_state(folder / STATE, net, trainer, contexts, ('score',))
        begun = begun if workers == 1 else None                # several workers start the epoch anew
    schedule = Schedule(cfg.train.rates, cfg.train.patience, cfg.train.drops, cfg.train.epochs,
                        [line['score'] for line in history])
    share_parameters(trainer, kvstore)
    statistics, first_worker = Statistics(net, contexts, kvstore), FirstWorker(kvstore)
    board = SummaryWriter(str(folder / 'tensorboard'), purge_step=len(history) + 1) if rank == 0 else None

    def save(begun):
        checkpoint.save_state(folder / STATE, net, trainer, history, begun)

    with Termination(enabled=workers == 1) as termination:
        while not schedule.finished:
            epoch, rate = schedule.epoch + 1, schedule.rate
            trainer.set_learning_rate(rate)
            meter, begun = Meter(f'{cfg.name} epoch {epoch}', loader.samples, begun), None
            try:
                train_one_epoch(graph, trainer, loader, epoch, contexts, meter, termination)
            except InputError as error:
                raise InputError(f'{error}{_saved(folder)}') from None
            speed = meter.speed()
            if not termination.signal:
                statistics.average()
                try:
                    metrics = termination.give_up(first_worker, validate, net)
                except InputError as error:   # of a validation image; the epoch's training need not be done again
                    if workers == 1:
                        save(meter.state)
                    raise InputError(f'{error}{_saved(folder)}') from None
            if termination.signal:
                save(meter.state)
                raise Terminated(termination.signal, f'{meter.title}, step {meter.steps}{_saved(folder)}')
            best = schedule.update(metrics['score'])
            history.append({'epoch': epoch, 'rate': rate, **meter.means(), 'images_per_second': speed,
                            **metrics, 'best': best})
            if board:
                if best:
                    checkpoint.save_parameters(net, folder / BEST)
                files.write_text(folder / LOG, ''.join(json.dumps(line) + '\n' for line in history))
                save(None)
                _show(cfg, history[-1], len(loader.skipped), board)
            if termination.signal:
                raise Terminated(termination.signal, f'{meter.title}, its end{_saved(folder)}')
    if board:
        board.close()
    return history


def _saved(folder):
    """The end of a message: what a stopped run can go on from."""
    path = Path(folder) / STATE
    return f'; {path} is whole, --resume goes on from it' if path.exists() else ''


def _show(cfg, line, skipped, board):
    """An epoch's line of the log on the terminal and in TensorBoard."""
    for name, value in line.items():
        if isinstance(value, (int, float)):
            board.add_scalar(name, value, line['epoch'])
    tqdm.write(f'{cfg.name} epoch {line["epoch"]}: rate {line["rate"]:g}, heat maps {line["heatmap_loss"]:.4f}, joints '
               f'{line["joint_loss"]:.4f}, {line["images_per_second"]:.1f} images/s, score {line["score"]:.2f}'
               + ' (best)' * line['best'] + f', {skipped} unreadable images skipped' * bool(skipped))
