"""The I1 network and its losses in PyTorch, to compare with: layer for layer that of `common.nets`.

Attributes are named as ours, so that a network takes our parameters by their structural names (`load`). PyTorch users
write ReLUs in place, normalise with `BatchNorm2d` and take the softmax from the library; so does this.
"""
import numpy as np
import torch
from torch import nn
from torch.nn.functional import relu

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LAYERS = {'resnet18': (2, 2, 2, 2), 'resnet50': (3, 4, 6, 3)}
NAMES = {'gamma': 'weight', 'beta': 'bias'}                   # of batch normalisation, ours -> PyTorch's


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (ResNet-18)."""

    expansion = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = convolution(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)

    def forward(self, x):
        y = relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += self.downsample(x)
        return relu(y, inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride, as v1b has it) and 1x1 convolutions around a shortcut (ResNet-50)."""

    expansion = 4

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = convolution(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = convolution(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        self.downsample = shortcut(inputs, 4 * width, stride)

    def forward(self, x):
        y = relu(self.bn1(self.conv1(x)), inplace=True)
        y = relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        y += self.downsample(x)
        return relu(y, inplace=True)


def convolution(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def shortcut(inputs, outputs, stride):
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class Stem(nn.Module):
    """Images uint8 (B, H, W, 3) -> features of conv1 to conv3. Seen as (B, 3, H, W) they are channels_last already."""

    def __init__(self, layer1, layer2):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1, self.layer2 = layer1, layer2
        self.register_buffer('mean', 255 * torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', 255 * torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images):
        x = (images.permute(0, 3, 1, 2).float() - self.mean) / self.std
        x = self.maxpool(relu(self.bn1(self.conv1(x)), inplace=True))
        return self.layer2(self.layer1(x))


class Trunk(nn.Module):
    """Features of conv3 -> of conv5."""

    def __init__(self, layer3, layer4):
        super().__init__()
        self.layer3, self.layer4 = layer3, layer4

    def forward(self, x):
        return self.layer4(self.layer3(x))


class Head(nn.Module):
    """Two deconvolutions and a 1x1 convolution: features (B, C, h, w) -> heat maps (B, K, 4h, 4w)."""

    def __init__(self, inputs, joints):
        super().__init__()
        layers = []
        for channels in (inputs, 256):
            layers += [nn.ConvTranspose2d(channels, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU(True)]
        self.deconvolutions = nn.Sequential(*layers)
        self.final = nn.Conv2d(256, joints, 1)

    def forward(self, x):
        return self.final(self.deconvolutions(x))


class PoseNet(nn.Module):
    """Images uint8 (B, H, W, 3) -> heat maps (B, K, H/8, W/8) and joints (B, K, 2) in input pixels."""

    stride = 8

    def __init__(self, backbone, joints, beta):
        super().__init__()
        self.beta = beta
        block = Bottleneck if backbone == 'resnet50' else BasicBlock
        layers, inputs = [], 64
        for index, blocks in enumerate(LAYERS[backbone]):
            width, first = 64 << index, 2 if index else 1
            outputs = width * block.expansion
            layers.append(nn.Sequential(block(inputs, width, first),
                                        *(block(outputs, width, 1) for _ in range(blocks - 1))))
            inputs = outputs
        self.stem = Stem(*layers[:2])
        self.trunks = nn.ModuleList([Trunk(*layers[2:])])
        self.heads = nn.ModuleList([Head(inputs, joints)])

    def forward(self, images):
        heatmaps = self.heads[0](self.trunks[0](self.stem(images)))
        return heatmaps, self.integral(heatmaps)

    def integral(self, heatmaps):
        mass = torch.softmax(self.beta * heatmaps.flatten(2), 2).view(heatmaps.shape)
        columns, rows = mass.sum(2), mass.sum(3)
        x = columns @ torch.arange(columns.shape[2], dtype=mass.dtype)
        y = rows @ torch.arange(rows.shape[2], dtype=mass.dtype)
        return (torch.stack([x, y], 2) + 0.5) * self.stride - 0.5


class LossNet(nn.Module):
    """Network and losses of I1: images, joints (B, K, 2) and visible (B, K) -> heat-map and joint losses (2, B)."""

    def __init__(self, net, sigma):
        super().__init__()
        self.net, self.sigma = net, sigma

    def forward(self, images, joints, visible):
        heatmaps, predicted = self.net(images)
        height, width = heatmaps.shape[2:]
        cells = (joints + 0.5) / self.net.stride - 0.5
        along_x = self.profile(torch.arange(width), cells[:, :, 0, None])
        along_y = self.profile(torch.arange(height), cells[:, :, 1, None])
        target = along_y[:, :, :, None] * along_x[:, :, None, :]
        heatmap_loss = (heatmaps - target).square().sum((2, 3))
        joint_loss = (predicted - joints).abs().sum(2) / images.shape[2]
        return torch.stack([(heatmap_loss * visible).mean(1), (joint_loss * visible).mean(1)])

    def profile(self, positions, centres):
        return torch.exp(-0.5 * ((positions - centres) / self.sigma).square())


def load(path, backbone, joints, beta):
    """The network, channels_last, with our parameters out of an .npz file: all of them and nothing else."""
    net = PoseNet(backbone, joints, beta)
    state = {}
    for name, value in np.load(path).items():
        module, _, last = name.rpartition('.')
        state[f'{module}.{NAMES.get(last, last)}'] = torch.from_numpy(value)
    net.load_state_dict(state)
    return net.to(memory_format=torch.channels_last)
