"""Parameters on the disk: networks' `.params`, and the state of a run from which it resumes exactly.

A state is one `.params` file too (no pickle): the parameters, Adam's two moments for each, every device's running
statistics, and a JSON text. Nothing else is needed, since every random number of a run follows from the seed, the epoch
and the sample (`data/loader.py`).
"""
import json
from typing import Optional, Tuple

import mxnet as mx
import numpy as np

from common import files
from common.errors import InputError
from common.guard import params, rules
from common.weights import matching


def parameters(net) -> dict:
    """The network's parameters by structural name ('stem.conv1.weight'), as `save_parameters` writes them."""
    return net._collect_params_with_prefix()


def statistics(net) -> dict:
    """The running statistics of batch normalisation among them, which each device gathers for itself."""
    return {name: parameter for name, parameter in parameters(net).items()
            if name.endswith(('running_mean', 'running_var'))}


def save_parameters(net, path):
    """Write the network's parameters (see `files.replacing`), the first device's: after an epoch all are equal."""
    write_arrays(path, _values(net))


def _values(net):
    return {name: parameter.list_data()[0] for name, parameter in parameters(net).items()}


def write_arrays(path, arrays):
    """Write {name: NDArray} (see `files.replacing`); a full disk is an InputError, and the old file stays."""
    with files.replacing(path) as temporary:
        try:
            name = files.utf8_name(temporary)
            mx.nd.save(name, arrays)
            mx.nd.load(name)                  # MXNet does not notice when the last kilobytes find no room
        except mx.MXNetError:
            raise InputError(f'{path}: cannot be written (is the disk full?); any earlier version is '
                             'unchanged') from None


def read_arrays(path) -> dict:
    """{name: NDArray} of a `.params` file; InputError if the file is not one."""
    arrays = params.read(path)
    return {name: mx.nd.array(arrays[name], dtype=arrays.pop(name).dtype) for name in list(arrays)}


def load_parameters(net, path, contexts, partly=False) -> matching.Match:
    """Set the network's parameters from any `.params` file that holds them; returns a `matching.Match`.

    The state of a run is one, too: of its last epoch. All of them and nothing else has to be there, or with `partly`
    enough for a start of training (`matching.load`). InputError names the first that does not fit, or says that a
    network's maps would be read on another grid than it was trained on.
    """
    arrays = read_arrays(path)
    match = matching.load(parameters(net), _of_state(arrays) or arrays, path, contexts, partly)
    if not partly and getattr(net, 'grid', None) == 'centre' and matching.is_simple_pose(arrays):
        raise InputError(f"{path}: GluonCV's SimplePose, whose cells are on another grid; --set network.grid=corner")
    return match


def _of_state(arrays):
    """{structural name: array} of the parameters among the arrays of a state."""
    return {name.partition(':')[2]: array for name, array in arrays.items() if name.startswith('parameter:')}


def save_state(path, net, trainer, history, begun):
    """Write the whole state of a run: parameters, optimizer, its history and the epoch begun (`train.meter.Meter`)."""
    arrays = {f'parameter:{name}': value for name, value in _values(net).items()}
    moments = trainer._updaters[0].states     # the same on every device
    for index, name in _trained(net, trainer):
        if index in moments:
            arrays[f'mean:{name}'], arrays[f'variance:{name}'] = moments[index]
    for name, parameter in statistics(net).items():
        copies = [copy.as_in_context(mx.cpu()) for copy in parameter.list_data()]
        arrays[f'devices:{name}'] = mx.nd.stack(*copies)
    state = {'history': history, 'begun': begun, 'updates': trainer.optimizer.num_update}
    arrays['json'] = mx.nd.array(np.frombuffer(json.dumps(state).encode(), np.uint8), dtype=np.uint8)
    write_arrays(path, arrays)


def load_state(path, net, trainer, contexts, needed=()) -> Tuple[list, Optional[dict]]:
    """Load what `save_state` wrote; returns history and the epoch begun.

    needed: the numbers that every epoch of the history has to have. InputError where the file is not the state of a run
    of this network.
    """
    arrays = read_arrays(path)
    history, begun, updates = _progress(path, arrays.pop('json', None), needed)
    matching.load(parameters(net), _of_state(arrays), path, contexts)
    _check_state(path, net, arrays)
    for name, parameter in statistics(net).items():
        copies = arrays.get(f'devices:{name}', ())
        if len(copies) == len(contexts):      # with another number of devices, all keep the first one's
            for own, copy in zip(parameter.list_data(), copies):
                own[:] = copy
    optimizer = trainer.optimizer
    optimizer.num_update = updates
    for device, updater in zip(contexts, trainer._updaters):
        for index, name in _trained(net, trainer):
            if f'mean:{name}' in arrays:
                moments = arrays[f'mean:{name}'], arrays[f'variance:{name}']
                updater.states[index] = tuple(moment.as_in_context(device).copy() for moment in moments)
                updater.states_synced[index] = True
        optimizer._all_index_update_counts[device.device_id] = {index: updates for index in updater.states}
    return history, begun


def _progress(path, text, needed):
    """The history, the epoch begun and the number of updates in the JSON of a state; InputError where one is none."""
    try:
        state = json.loads(text.asnumpy().tobytes().decode())
        history, begun, updates = (state[key] for key in ('history', 'begun', 'updates'))
    except (KeyError, ValueError, AttributeError, TypeError, RecursionError):
        raise InputError(f'{path}: not the state of a run') from None
    good = {'history': rules.is_list(history, lambda line: _is_line(line, needed)),
            'begun': begun is None or _is_begun(begun), 'updates': rules.is_count(updates)}
    for key, is_good in good.items():
        if not is_good:
            raise InputError(f'{path}: not the state of a run: its "{key}" is not what a training writes')
    return history, begun, updates


def _is_line(line, needed):
    """Whether it is what an epoch leaves in the history; its validation loss may be absent, and need not be finite."""
    return rules.is_object(line, needed) and type(line.get('validation_loss', 0)) in (int, float)


def _is_begun(epoch):
    """Whether it is what a `Meter` keeps of an epoch."""
    return (rules.is_object(epoch, ('steps', 'images'), rules.is_count)
            and rules.is_count(epoch.get('skipped', 0)) and rules.is_finite(epoch.get('seconds', 0.0))
            and rules.is_list(epoch.get('sums'), rules.is_finite, 2))


def _check_state(path, net, arrays):
    """InputError unless the moments and running statistics in a state fit the network's parameters."""
    for name, parameter in parameters(net).items():
        own = parameter.list_data()[0]
        moments = [arrays[key] for key in (f'mean:{name}', f'variance:{name}') if key in arrays]
        copies = arrays.get(f'devices:{name}')
        if (len(moments) == 1 or any((moment.shape, moment.dtype) != (own.shape, own.dtype) for moment in moments)
                or copies is not None and copies.shape[1:] != own.shape):
            raise InputError(f'{path}: not the state of a run of this network: what it holds of {name} does not fit')


def _trained(net, trainer):
    """(index in the trainer, structural name) of every parameter; the index differs between processes."""
    names = {id(parameter): name for name, parameter in parameters(net).items()}
    return [(index, names[id(parameter)]) for index, parameter in enumerate(trainer._params)]
