"""Write a trained network for PyTorch: its parameters, and a module that takes them and gives the same."""
from pathlib import Path
from pprint import pformat

import mxnet as mx

from common import files
from common.errors import InputError
from common.guard import torch_file
from common.nets import backbone, pose_net
from common.weights import checkpoint, torch_names

SOURCE = Path(__file__).with_name('torch_net.py')
KEYS = ('head', 'deconvolutions', 'stages', 'grid', 'beta', 'debiased')


def write(cfg, params, base) -> list:
    """Write the network of a configuration and a .params file to `base`.pth and `base`.py; returns these paths.

    The first is a state dict, the second `torch_net.py` with the network's settings. InputError where PyTorch is not
    installed or a file cannot be written.
    """
    torch = torch_file.require()
    net = pose_net.create(cfg, [mx.cpu()])
    checkpoint.load_parameters(net, params, [mx.cpu()])
    arrays = {name: parameter.data().asnumpy() for name, parameter in checkpoint.parameters(net).items()}
    state = {name: torch.from_numpy(array) for name, array in torch_names.state_dict(arrays).items()}
    values, module = Path(f'{base}.pth'), Path(f'{base}.py')
    with files.replacing(values) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError:                  # what it makes of an OSError
            raise InputError(f'{values}: cannot be written (is the disk full?); any earlier version is '
                             'unchanged') from None
    text = SOURCE.read_text(encoding='utf-8')
    files.write_text(module, text.replace('SETTINGS = {}', f'SETTINGS = {pformat(settings(cfg), sort_dicts=False)}'))
    return [values, module]


def settings(cfg) -> dict:
    """What `torch_net.PoseNet` has to know of a configuration."""
    block, blocks = backbone.LAYERS[cfg.network.backbone]
    network = {'blocks': blocks, 'bottleneck': block is backbone.BottleneckV1b}
    network.update({key: cfg.network[key] for key in KEYS})
    return {'network': network, 'joints': len(cfg.data.skeleton['joints']),
            **{key: list(cfg.input[key]) for key in ('size', 'mean', 'std')}}
