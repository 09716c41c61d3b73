"""Read the networks of PyTorch's files, and write ours for PyTorch. Needs `sh scripts/setup.sh torch`.

    python -m common.torch_weights --torch pose_resnet_50_256x192.pth.tar --cfg experiments/coco/table8/h1.yaml \\
        --out DIR
    python -m common.torch_weights --params best.params --cfg experiments/mpii/table2/i1.yaml --out DIR

--torch reads torchvision's ResNets, the networks of Simple Baselines (microsoft/human-pose-estimation.pytorch on
GitHub), MMPose's of heat maps on a ResNet (without UDP or DARK), those of the paper's authors
(JimmySuen/integral-human-pose), and what --params wrote. --cfg names an experiment on the data set whose joints the
network finds; ResNet, deconvolutions and how the network was trained are then those of the file: the grid of its cells,
the order of the colours, their mean and deviation, the decoding, and the size of the input where the file's name has it
(256x192: height, then width). DIR/<name>.params and DIR/<name>.yaml are what programs of this project take as --params
and --cfg. A file without a layer for these joints (a ResNet's, or the authors' for joints in space) gives
DIR/<name>.params alone, to start a training from.

Of Simple Baselines' files those with "caffe" in their names are of another ResNet. --colours rgb is for networks that
were trained with its code, but on RGB; its own are on BGR.

--params writes DIR/<name>.pth, a state dict, and DIR/<name>.py with the module that takes it: in PyTorch,
`load('<name>.pth')` of this module gives heat maps and joints, the integral over all cells, as the network here does.
<name> is that of the .params file; for a training's best.params the last part of the experiment's: i1.

Of a PyTorch file nothing but tensors is unpickled (`weights_only=True`).
"""
import json
import re
from pathlib import Path

import mxnet as mx

from common import config, files
from common.deploy import torch_export
from common.deploy.export import network_name
from common.errors import InputError
from common.guard import torch_file
from common.nets import pose_net
from common.programs import options
from common.programs.cli import run
from common.weights import checkpoint, matching, torch_names

SUFFIXES = r'(\.pth|\.pt|\.tar|\.bin)+$'


def from_torch(args) -> list:
    """Read --torch; returns the paths written."""
    path, name = args.torch, re.sub(SUFFIXES, '', Path(args.torch).name) or 'network'
    base = Path(args.out) / name
    files.check_outputs([f'{base}.params', f'{base}.yaml'], [args.cfg, path])
    if 'caffe' in name.lower():
        raise InputError(f'{path}: a ResNet with its strides in other convolutions than here, by its name; expected '
                         'one without "caffe"')
    network = torch_names.network(torch_file.read(path), path)
    colours = args.colours or network.kind.colours
    if colours == 'bgr':
        network = torch_names.swap_colours(network)
    cfg = configuration(args, network, colours, name)
    joints = len(cfg.data.skeleton['joints'])
    if network.kind in (torch_names.SIMPLE_BASELINES, torch_names.MMPOSE) and network.outputs != joints:
        raise InputError(f'{path}: finds {network.outputs} joints, and {args.cfg} is for {joints}; expected an '
                         'experiment on the data set it was trained on')
    whole = network.kind is torch_names.OURS or network.outputs == joints
    net = pose_net.create(cfg, [mx.cpu()])
    arrays = {key: mx.nd.array(array, dtype=array.dtype) for key, array in network.arrays.items()}
    match = matching.load(checkpoint.parameters(net), arrays, path, [mx.cpu()], partly=not whole)
    print(f'{path}: {network.kind.title}, {network.backbone}, {colours.upper()}; {match}')
    written = [Path(f'{base}.params'), Path(f'{base}.yaml')][:1 + whole]
    if whole:
        checkpoint.save_parameters(net, written[0])
        config.save(cfg, written[1])
    else:
        checkpoint.write_arrays(written[0], {own: arrays[source] for own, source in match.matched.items()})
        print(f'to start a training from: --set network.pretrained={written[0]}')
    return written


def configuration(args, network, colours, name):
    """The experiment of --cfg, as the network in the file was trained and with its name; --set has the last word."""
    settings = {'network.pretrained': '', 'train.start_from': '', **network.settings(colours)}
    size = re.search(r'(?<![a-z\d])(\d{2,4})x(\d{2,4})(?!\d)', name)
    if network.outputs and size:
        settings['input.size'] = [int(size[2]), int(size[1])]
    cfg = options.load(args.cfg, [*(f'{key}={json.dumps(value)}' for key, value in settings.items()), *args.overrides])
    cfg.name = name
    return cfg


def to_torch(args) -> list:
    """Write the network of --params; returns the paths written."""
    if args.colours:
        raise InputError('--colours goes with --torch: networks here take RGB')
    cfg = options.load(args.cfg, args.overrides, args.params)
    base = Path(args.out) / network_name(cfg, args.params)
    files.check_outputs([f'{base}.pth', f'{base}.py'], [args.cfg, args.params])
    return torch_export.write(cfg, args.params, base)


def main(argv=None):
    parser = options.parser(__doc__)
    direction = parser.add_mutually_exclusive_group(required=True)
    direction.add_argument('--torch', metavar='FILE', help='a file of PyTorch\'s to read')
    direction.add_argument('--params', metavar='FILE', help='the .params of a network to write for PyTorch')
    options.add_configuration(parser)
    parser.add_argument('--out', required=True, metavar='DIR', help='the folder for the files')
    parser.add_argument('--colours', choices=('rgb', 'bgr'), help='the order in which the network of --torch takes '
                                                                  'them (default: bgr for Simple Baselines, else rgb)')
    args = parser.parse_args(argv)
    written = from_torch(args) if args.torch else to_torch(args)
    print('\n'.join(f'{path} ({path.stat().st_size / 1e6:.1f} MB)' for path in written))


if __name__ == '__main__':
    run(main)
