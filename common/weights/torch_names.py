"""What networks PyTorch's files hold, by the names of their parameters, and how such networks are run.

- torchvision's ResNets: 'layer3.0.conv1.weight', 'fc.weight';
- Simple Baselines (microsoft/human-pose-estimation.pytorch): the same, 'deconv_layers.0.weight', 'final_layer.weight';
- the authors of our paper (JimmySuen/integral-human-pose): 'backbone.layer3.0.conv1.weight', 'head.features.0.weight';
- MMPose's heat maps on a ResNet (open-mmlab/mmpose): 'backbone.layer3.0.conv1.weight', and
  'head.deconv_layers.0.weight' or, before its version 1, 'keypoint_head.deconv_layers.0.weight';
- ours, as `common.torch_weights` writes them: 'trunks.0.layer3.0.conv1.weight'.

The first four are GluonCV's names but for batch normalisation's, and `matching` knows these. 'module.' before all of
them is from a training on several GPUs.
"""
import re
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from common.config import BEFORE
from common.errors import InputError
from common.nets import backbone

GLUON = {'weight': 'gamma', 'bias': 'beta'}   # of batch normalisation: PyTorch's and Gluon's
TORCH = {gluon: torch for torch, gluon in GLUON.items()}
MMPOSES_HEAD = re.compile(r'^(keypoint_)?head\.(?=deconv_layers\.|final_layer\.)')


class Kind(NamedTuple):
    """A kind of network."""

    title: str
    colours: str                              # the order in which it takes them
    settings: dict                            # keys of a configuration by which it is run as it was trained


# All have their cells on the grid `corner`: Simple Baselines' targets, and those of MMPose's codec MSRAHeatmap, are
# drawn about the cell round(joint / stride) and read back as cell * stride (lib/dataset/JointsDataset.py,
# lib/core/inference.py); the authors' joints are compared as joint / width with cell / cells
# (common_pytorch/loss/integral.py), without a beta.
RESNET = Kind('a ResNet', 'rgb', {})
SIMPLE_BASELINES = Kind('Simple Baselines', 'bgr', {
    'network.grid': 'corner', 'loss.heatmap': 'mse', 'loss.joint': 'none', 'loss.window': 0, 'test.decode': 'quarter'})
MMPOSE = Kind('MMPose', 'rgb', SIMPLE_BASELINES.settings)
AUTHORS = Kind("the authors' network", 'rgb', {
    'network.grid': 'corner', 'network.beta': 1, 'network.debiased': False, 'loss.heatmap': 'none', 'loss.joint': 'l1',
    'loss.window': 0, 'test.decode': 'integral'})
OURS = Kind('a network of this project', 'rgb', {})


class Network(NamedTuple):
    """A network in a file."""

    kind: Kind
    arrays: dict                              # {name as GluonCV has it, or ours: array}
    backbone: str                             # its ResNet, 'resnet50'
    deconvolutions: int
    outputs: int                              # heat maps, in space their depth times as many; 0: none

    def settings(self, colours) -> dict:
        """{key of a configuration: value} by which it is run as it was trained; none for one of ours.

        colours: 'rgb' or 'bgr', as it takes them: either way the first is normalised by ImageNet's mean and deviation
        of red, as all these codes do.
        """
        if self.kind is OURS:
            return {}
        step = -1 if colours == 'bgr' else 1
        common = {'network.backbone': self.backbone, 'input.mean': BEFORE['input.mean'][::step],
                  'input.std': BEFORE['input.std'][::step]}
        head = {'network.head': 'heatmap', 'network.stages': 1, 'network.deconvolutions': self.deconvolutions}
        return {**common, **(head if self.outputs else {}), **self.kind.settings}


def network(state, path) -> Network:
    """The network in a state dict {PyTorch's name: array} of a file; InputError where it is of none of the kinds."""
    module = 'module.' if all(name.startswith('module.') for name in state) else ''
    arrays = _gluon({name[len(module):]: array for name, array in state.items()})
    if any(MMPOSES_HEAD.match(name) for name in arrays):
        kind, arrays = MMPOSE, {MMPOSES_HEAD.sub('', re.sub(r'^backbone\.', '', name)): array
                                for name, array in arrays.items()}
    elif any(name.startswith('backbone.') for name in arrays):
        kind, arrays = AUTHORS, _one_head(arrays)
    elif any(name.startswith('stem.') for name in arrays):
        kind = OURS
    else:
        kind = SIMPLE_BASELINES if 'final_layer.weight' in arrays else RESNET
    deconvolutions = sum(array.ndim == 4 for name, array in arrays.items() if name.startswith('deconv_layers.'))
    outputs = next(iter(np.shape(arrays.get('final_layer.weight', ()))), 0)
    return Network(kind, arrays, _backbone(arrays, path), deconvolutions, outputs)


def _backbone(arrays, path):
    """The name of the ResNet, by its blocks."""
    found = [re.search(r'(?:^|\.)layer([1-4])\.(\d+)\.', name) for name in arrays]
    blocks = tuple(max((int(place[2]) + 1 for place in found if place and place[1] == layer), default=0)
                   for layer in '1234')
    bottleneck = any(name.endswith('layer1.0.conv3.weight') for name in arrays)
    for name, (block, counts) in backbone.LAYERS.items():
        if counts == blocks and (block is backbone.BottleneckV1b) == bottleneck:
            return name
    raise InputError(f'{path}: has no network that is known here: {", ".join(backbone.LAYERS)} of torchvision, in '
                     'Simple Baselines or MMPose, or in the network of the paper\'s authors')


def _gluon(state):
    """The arrays with batch normalisation's parameters named as Gluon does, and without PyTorch's counters."""
    arrays = {}
    for name, array in state.items():
        layer, _, own = name.rpartition('.')
        if own != 'num_batches_tracked':
            arrays[f'{layer}.{GLUON.get(own, own)}' if f'{layer}.running_mean' in state else name] = array
    return arrays


def _one_head(arrays):
    """The authors' arrays as Simple Baselines names them: the last of the head's layers is the last one of all."""
    places = {name: int(re.match(r'head\.features\.(\d+)\.|', name)[1] or 0) for name in arrays}
    last = max(places.values())
    return {re.sub(rf'^head\.features\.{last}\.', 'final_layer.', name).replace('head.features.', 'deconv_layers.')
            .replace('backbone.', ''): array for name, array in arrays.items()}


def swap_colours(network) -> Network:
    """The network that takes the colours in the other order, and gives the same."""
    return network._replace(arrays={
        name: array[:, ::-1] if name in ('conv1.weight', 'stem.conv1.weight') and array.ndim == 4 else array
        for name, array in network.arrays.items()})


def state_dict(arrays) -> OrderedDict:
    """{PyTorch's name: array} of {our structural name: array}: batch normalisation's parameters have other names."""
    named = OrderedDict()
    for name, array in arrays.items():
        layer, _, own = name.rpartition('.')
        named[f'{layer}.{TORCH.get(own, own)}'] = array
    return named
