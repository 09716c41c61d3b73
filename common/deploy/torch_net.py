"""The network in PyTorch: images uint8 (B, H, W, 3), RGB -> heat maps and joints of every stage.

Two lists, one member a stage: heat maps (B, K, H/s, W/s), none of a regression network, and joints (B, K, 2) in input
pixels. Its parameters are in the .pth file that was written with this one: net = load('NAME.pth').
"""
from collections import OrderedDict

import torch
from torch import nn

SETTINGS = {}


def load(path):
    """The network with the parameters of a file, to infer with."""
    net = PoseNet(**SETTINGS)
    net.load_state_dict(torch.load(path, map_location='cpu', weights_only=True))
    return net.train(False)


def convolution(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut, or a bottleneck of 1x1, 3x3 and 1x1."""

    def __init__(self, inputs, width, stride, bottleneck):
        super().__init__()
        plain = (3, width, stride), (3, width, 1)
        self.layers = ((1, width, 1), (3, width, stride), (1, 4 * width, 1)) if bottleneck else plain
        outputs, self.downsample = self.layers[-1][1], nn.Identity()
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        for number, (kernel, width, step) in enumerate(self.layers, 1):
            self.add_module(f'conv{number}', convolution(inputs, width, kernel, step))
            self.add_module(f'bn{number}', nn.BatchNorm2d(width))
            inputs = width

    def forward(self, x):
        y = x
        for number in range(1, len(self.layers) + 1):
            y = getattr(self, f'bn{number}')(getattr(self, f'conv{number}')(y))
            y = torch.relu(y + self.downsample(x) if number == len(self.layers) else y)
        return y


def layer(number, inputs, blocks, bottleneck):
    """layer1 to layer4 of a ResNet."""
    width, outputs = 32 << number, (128 if bottleneck else 32) << number
    first = Block(inputs, width, 1 if number == 1 else 2, bottleneck)
    return nn.Sequential(first, *(Block(outputs, width, 1, bottleneck) for _ in range(blocks[number - 1] - 1)))


class PoseNet(nn.Module):
    def __init__(self, network, joints, size, mean, std):
        """network: {blocks, bottleneck, head, deconvolutions, stages, grid, beta, debiased}; size: (width, height)."""
        super().__init__()
        self.network, self.joints, self.size = network, joints, size
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(3, 1, 1), persistent=False)
        blocks, bottleneck = network['blocks'], network['bottleneck']
        c2, c3, c4, c5 = ((256 if bottleneck else 64) << n for n in range(4))
        self.stem = nn.Sequential(OrderedDict(
            conv1=convolution(3, 64, 7, 2), bn1=nn.BatchNorm2d(64), relu=nn.ReLU(), maxpool=nn.MaxPool2d(3, 2, 1),
            layer1=layer(1, 64, blocks, bottleneck), layer2=layer(2, c2, blocks, bottleneck)))
        trunks = [nn.Sequential(OrderedDict(layer3=layer(3, c3 + joints * (stage > 0), blocks, bottleneck),
                                            layer4=layer(4, c4, blocks, bottleneck)))
                  for stage in range(network['stages'])]
        if network['head'] == 'regression':
            self.trunk = trunks[0]
            self.head = nn.Sequential(OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(),
                                                  final=nn.Linear(c5, 2 * joints)))
        else:
            self.trunks = nn.ModuleList(trunks)
            self.heads = nn.ModuleList([self.heatmap_head(c5) for _ in trunks])

    def heatmap_head(self, inputs):
        layers = []
        for channels in [inputs] + [256] * (self.network['deconvolutions'] - 1):
            layers += [nn.ConvTranspose2d(channels, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU()]
        return nn.Sequential(OrderedDict(deconvolutions=nn.Sequential(*layers), final=nn.Conv2d(256, self.joints, 1)))

    def forward(self, images):
        features = self.stem((images.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std)
        if self.network['head'] == 'regression':
            offsets = self.head(self.trunk(features)).view(-1, self.joints, 2) * self.size[0]
            return [], [offsets + (torch.tensor(self.size, dtype=offsets.dtype, device=offsets.device) - 1) / 2]
        heatmaps = []
        for trunk, head in zip(self.trunks, self.heads):
            heatmaps.append(head(trunk(torch.cat([features, *heatmaps[-1:]], 1))))
        return heatmaps, [self.integral(maps) for maps in heatmaps]

    def integral(self, maps):
        """The expectation of the softmax of beta times the maps, less the background's weight if `debiased`."""
        logits = self.network['beta'] * maps
        highest = logits.amax((2, 3), keepdim=True)
        mass = torch.exp(logits - highest)
        if self.network['debiased']:
            mass = torch.relu(mass - torch.exp(-torch.relu(highest))) + 1e-9
        x, y = ((mass.sum(axis) * torch.arange(maps.shape[5 - axis], device=maps.device)).sum(2) / mass.sum((2, 3))
                for axis in (2, 3))
        cells, stride = torch.stack([x, y], 2), 32 // 2 ** self.network['deconvolutions']
        return cells * stride if self.network['grid'] == 'corner' else (cells + 0.5) * stride - 0.5
