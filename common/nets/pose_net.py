"""The networks of the paper: one or several stages of backbone and head, and the integral.

Every part with parameters is given its prefix, so that an exported network's names are the same whatever else the
process has built: stem_layers1_conv0_weight, stage0_layers3_conv0_weight, head0_conv0_weight.
"""
import mxnet as mx
import numpy as np
from mxnet import gluon, init
from mxnet.gluon import nn

from common import grid
from common.nets.backbone import Stem, Trunk, resnet
from common.nets.integral import Integral
from common.nets.regression import RegressionNet
from common.nets.trained import moved

CHANNELS = 256                                # of a deconvolution (section 3)


class HeatmapHead(gluon.HybridBlock):
    """N_H (section 3): features (B, C, h, w) -> heat maps (B, K, h * 2^n, w * 2^n).

    n deconvolutions (`CHANNELS`, 4x4, stride 2), each with batch normalisation and ReLU, then a 1x1 convolution.
    """

    def __init__(self, joints, deconvolutions, freeze_bn=False, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.deconvolutions = nn.HybridSequential(prefix='')
            for _ in range(deconvolutions):
                self.deconvolutions.add(nn.Conv2DTranspose(CHANNELS, 4, 2, 1, use_bias=False),
                                        nn.BatchNorm(use_global_stats=freeze_bn), nn.Activation('relu'))
            self.final = nn.Conv2D(joints, 1, weight_initializer=init.Normal(0.001), prefix='final_')

    def hybrid_forward(self, F, x):
        return self.final(self.deconvolutions(x))


class HeatmapNet(gluon.HybridBlock):
    """(MS-)H and (MS-)I networks (Figure 1): images uint8 (B, H, W, 3) -> heat maps and joints of every stage.

    Returns two lists, one member a stage: heat maps (B, K, H/s, W/s) and joints (B, K, 2) in input pixels. All stages
    share conv1 to conv3; each has its own conv4, conv5 and head, and sees the heat maps of the stage before.
    """

    def __init__(self, stem, backbone, joints, deconvolutions, stages, integral, freeze_bn=False):
        super().__init__()
        self.stride = grid.stride(deconvolutions)
        self.stem = stem
        self.trunks = nn.HybridSequential()
        self.heads = nn.HybridSequential()
        for stage in range(stages):
            self.trunks.add(Trunk(resnet(backbone, f'stage{stage}_', freeze_bn)))
            self.heads.add(HeatmapHead(joints, deconvolutions, freeze_bn, prefix=f'head{stage}_'))
        self.integral, self.grid = integral, integral.kind

    def hybrid_forward(self, F, images):
        features = self.stem(images)
        heatmaps = []
        for trunk, head in zip(self.trunks, self.heads):
            seen = F.concat(features, heatmaps[-1], dim=1) if heatmaps else features
            heatmaps.append(head(trunk(seen)))
        return heatmaps, [self.integral(h) for h in heatmaps]

    def trained_joints(self) -> np.ndarray:
        """`moved` of the joints (K,)."""
        return moved(self.heads[-1].final.bias)


def build(cfg) -> gluon.HybridBlock:
    """The network of a configuration, without parameters, ready to hybridize."""
    network, freeze_bn, joints = cfg.network, cfg.train.freeze_bn, len(cfg.data.skeleton['joints'])
    stem = Stem(resnet(network.backbone, 'stem_', freeze_bn), cfg.input.mean, cfg.input.std)
    if network.head == 'regression':
        return RegressionNet(stem, network.backbone, joints, cfg.input.size, freeze_bn)
    integral = Integral(grid.stride(network.deconvolutions), network.beta, debiased=network.debiased, kind=network.grid)
    return HeatmapNet(stem, network.backbone, joints, network.deconvolutions, network.stages, integral, freeze_bn)


def create(cfg, contexts) -> gluon.HybridBlock:
    """The network of a configuration with random parameters, on the devices, hybridized with static memory."""
    net = build(cfg)
    net.initialize(init.Xavier(rnd_type='gaussian', factor_type='in', magnitude=2), ctx=contexts)
    net.hybridize(static_alloc=True, static_shape=True)
    # Shapes become known without a run, which would leave weights in a layout of oneDNN's that no kvstore takes.
    net.infer_shape(blank(cfg, contexts[0]))
    for parameter in net.collect_params().values():
        parameter._finish_deferred_init()
    return net


def blank(cfg, context) -> mx.nd.NDArray:
    """A batch of one black image of the network's input size, uint8 (1, H, W, 3)."""
    width, height = cfg.input.size
    return mx.nd.zeros((1, height, width, 3), dtype=np.uint8, ctx=context)
