"""The training loop: batches spread over devices, forward, backward, kvstore step, validation, schedule, checkpoint."""
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from tqdm import tqdm

from common import runtime
from common.errors import AnnotationError, StorageError
from common.nets.losses import LossGraph, PoseLoss
from common.train.run import Run


def fit(cfg, net, loader, validate, folder, devices) -> list:
    """Train `net` (initialised, on the devices) until the schedule ends; returns the history, a dict an epoch.

    Args:
        loader: training batches (`data.loader.Loader`).
        validate: a function of the network that returns a dict of metrics with the 'score' that decides.
        folder: where everything goes, and from where a run that is there goes on (`run.Run`).
        devices: a `runtime.Devices`; of several workers each trains on its shard, the first one validates and writes.

    InputError where a loss is not finite, `errors.Terminated` where a signal ended the run: the state is saved then.
    """
    graph = loss_graph(cfg, net)
    with Run(cfg, net, optimizer(net, devices.kvstore), loader, folder, devices) as run:
        while not run.schedule.finished:
            run.begin_epoch()
            train_one_epoch(graph, run, loader, devices.contexts)
            run.record(run.validate(validate))
    return run.history


def train_one_epoch(graph, run, loader, contexts):
    """The rest of a pass over the loader, from where the run's meter stands; InputError where a loss is not finite.

    Returns early, after the step it is in, when a signal to end the process came. StorageError where an image cannot be
    read any more, AnnotationError where it has another size than before: from both the run can go on.
    """
    epoch, meter, pending = run.epoch, run.meter, None
    with tqdm(total=len(loader.order(epoch)), initial=meter.passed, desc=meter.title, unit=' images',
              dynamic_ncols=True, disable=loader.shard[0] > 0, **runtime.bar_intervals()) as bar:
        try:
            for batch in loader.batches(epoch, meter.passed):
                step = train_step(graph, run.trainer, batch, contexts, loader.shard[1]), batch
                if pending:                   # read one step late, so that the device never waits for the host
                    meter.add(*pending)
                pending = step
                bar.set_postfix_str(str(meter), refresh=False)
                bar.update(len(batch.images))
                if run.termination.signal:
                    break
        except (StorageError, AnnotationError):          # the state after the last whole step is kept
            if pending:
                meter.add(*pending)
            run.save_unfinished()
            raise
        if pending:
            meter.add(*pending)
    mx.nd.waitall()                           # batch normalisation's statistics change untracked, in the backward pass
    meter.stop()


def train_step(graph, trainer, batch, contexts, workers=1) -> list:
    """One step of the optimizer on one batch; returns each device's heat-map and joint losses, (2, B), unread.

    The gradient is that of the mean over the batches of all devices and, with a dist kvstore, of all workers.
    """
    with autograd.record():
        losses = [mx.nd.stack(*graph(*part)) for part in share_out(batch, contexts)]
    graph.backward(losses)
    trainer.step(len(batch.images) * workers)
    return losses


def share_out(batch, contexts) -> list:
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


def loss_graph(cfg, net) -> LossGraph:
    """The configured losses of a network, compiled with it as one graph (`losses.LossGraph`)."""
    kind = LossGraph
    if cfg.train.dtype == 'bfloat16':
        from common.nets import bfloat16  # MXNet's automatic mixed precision is only loaded where it is used
        kind = bfloat16.NarrowLossGraph
    graph = kind(net, PoseLoss(cfg, net.stride))
    graph.hybridize(static_alloc=True, static_shape=True)
    return graph


def optimizer(net, kvstore='device') -> gluon.Trainer:
    """Adam for the parameters that have gradients, updated on every device after kvstore has summed these.

    Running statistics stay out: a `gluon.Trainer` would set them back to the first device's in its first step.
    """
    trained = [parameter for parameter in net.collect_params().values() if parameter.grad_req != 'null']
    return gluon.Trainer(trained, 'adam', kvstore=kvstore, update_on_kvstore=False)
