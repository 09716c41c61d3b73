"""R1 (section 4), the baseline: joints are regressed from the features, without heat maps."""
import numpy as np
from mxnet import gluon, init
from mxnet.gluon import nn

from common.nets.backbone import Trunk, resnet
from common.nets.trained import moved


class RegressionHead(gluon.HybridBlock):
    """N_J (section 4): features (B, C, h, w) -> joints (B, K, 2) in input pixels.

    Average pooling, then one fully connected layer; its outputs are offsets from the input's centre in widths of it.
    """

    def __init__(self, joints, size, **kwargs):
        super().__init__(**kwargs)
        self._size = size
        self._joints = joints
        with self.name_scope():
            self.pool = nn.GlobalAvgPool2D()
            self.final = nn.Dense(2 * joints, weight_initializer=init.Normal(0.001), prefix='final_')

    def hybrid_forward(self, F, x):
        width, height = self._size
        offsets = self.final(self.pool(x)).reshape((-1, self._joints, 2)) * width
        x, y = F.split(offsets, num_outputs=2, axis=2)
        return F.concat(x + (width - 1) / 2, y + (height - 1) / 2, dim=2)


class RegressionNet(gluon.HybridBlock):
    """R1 (section 4): images uint8 (B, H, W, 3) -> no heat maps, and joints (B, K, 2) in input pixels.

    Returns two lists as `HeatmapNet` does, the first of them empty.
    """

    stride = None

    def __init__(self, stem, backbone, joints, size, freeze_bn=False, **kwargs):
        super().__init__(**kwargs)
        self.stem = stem
        self.trunk = Trunk(resnet(backbone, 'stage0_', freeze_bn))
        self.head = RegressionHead(joints, size, prefix='head_')

    def hybrid_forward(self, F, images):
        return [], [self.head(self.trunk(self.stem(images)))]

    def trained_joints(self) -> np.ndarray:
        """`moved` of the joints (K,)."""
        return moved(self.head.final.bias, coordinates=2)
