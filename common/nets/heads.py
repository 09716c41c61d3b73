"""The two shallow heads on the backbone: N_H makes heat maps (Eq. 2), N_J regresses joints (Eq. 3)."""
from mxnet import gluon, init
from mxnet.gluon import nn


class HeatmapHead(gluon.HybridBlock):
    """N_H (section 3): features (B, C, h, w) -> heat maps (B, K, h * 2^n, w * 2^n).

    n deconvolutions (256 channels, 4x4, stride 2), each with batch normalisation and ReLU, then a 1x1 convolution.
    """

    def __init__(self, joints, deconvolutions, freeze_bn=False, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.deconvolutions = nn.HybridSequential(prefix='')
            for _ in range(deconvolutions):
                self.deconvolutions.add(nn.Conv2DTranspose(256, 4, 2, 1, use_bias=False),
                                        nn.BatchNorm(use_global_stats=freeze_bn), nn.Activation('relu'))
            self.final = nn.Conv2D(joints, 1, weight_initializer=init.Normal(0.001), prefix='final_')

    def hybrid_forward(self, F, x):
        return self.final(self.deconvolutions(x))


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
