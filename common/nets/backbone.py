"""ResNet (He et al., CVPR 2016), cut where the multi-stage network of Figure 1 needs it.

The layers are GluonCV's `resnet*_v1b`, so their ImageNet parameters fit.
"""
from mxnet import gluon

from common.runtime import import_gluoncv

import_gluoncv()

from gluoncv.model_zoo.resnetv1b import BasicBlockV1b, BottleneckV1b, ResNetV1b


class Stem(gluon.HybridBlock):
    """Images uint8 (B, H, W, 3) RGB -> features of conv1 to conv3 (B, C, H/8, W/8). Normalises first.

    mean, std: of the colours in 0..1, by which it does.
    """

    def __init__(self, resnet, mean, std, **kwargs):
        super().__init__(**kwargs)
        self._mean, self._std = tuple(mean), tuple(std)
        for name in ('conv1', 'bn1', 'relu', 'maxpool', 'layer1', 'layer2'):
            setattr(self, name, getattr(resnet, name))

    def hybrid_forward(self, F, images):
        x = F.image.normalize(F.image.to_tensor(images), mean=self._mean, std=self._std)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer2(self.layer1(x))


class Trunk(gluon.HybridBlock):
    """Features (B, C, H/8, W/8) -> features of conv4 and conv5 (B, C', H/32, W/32)."""

    def __init__(self, resnet, **kwargs):
        super().__init__(**kwargs)
        self.layer3 = resnet.layer3
        self.layer4 = resnet.layer4

    def hybrid_forward(self, F, x):
        return self.layer4(self.layer3(x))


LAYERS = {'resnet18': (BasicBlockV1b, (2, 2, 2, 2)), 'resnet34': (BasicBlockV1b, (3, 4, 6, 3)),
          'resnet50': (BottleneckV1b, (3, 4, 6, 3)), 'resnet101': (BottleneckV1b, (3, 4, 23, 3)),
          'resnet152': (BottleneckV1b, (3, 8, 36, 3))}


def resnet(name, prefix, freeze_bn=False) -> ResNetV1b:
    """GluonCV's ResNet-18, -34, -50, -101 or -152 (`name` 'resnet18', ...) without parameters.

    prefix: of its parameters' names, as an export has them; freeze_bn: batch normalisation by the running statistics
    in training too.
    """
    return ResNetV1b(*LAYERS[name], use_global_stats=freeze_bn, name_prefix=prefix)
