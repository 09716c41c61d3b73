"""The networks of the paper: one or several stages of backbone and head, and the integral.

Every part with parameters is given its prefix, so that an exported network's names are the same whatever else the
process has built: stem_layers1_conv0_weight, stage0_layers3_conv0_weight, head0_conv0_weight.
"""
import mxnet as mx
import numpy as np
from mxnet import gluon
from mxnet.gluon import nn

from common import grid
from common.nets.backbone import Stem, Trunk, resnet
from common.nets.heads import HeatmapHead, RegressionHead
from common.nets.integral import Integral


class HeatmapNet(gluon.HybridBlock):
    """(MS-)H and (MS-)I networks (Figure 1): images uint8 (B, H, W, 3) -> heat maps and joints of every stage.

    Returns two lists, one member a stage: heat maps (B, K, H/s, W/s) and joints (B, K, 2) in input pixels. All stages
    share conv1 to conv3; each has its own conv4, conv5 and head, and sees the heat maps of the stage before.
    """

    def __init__(self, stem, backbone, joints, deconvolutions, stages, integral, freeze_bn=False, **kwargs):
        super().__init__(**kwargs)
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


def moved(bias, coordinates=1) -> np.ndarray:
    """Which joints (K,) a network was ever trained to find: those whose bias in the last layer is not 0.

    Every training starts there from 0, and a joint without annotations has no gradient: its bias stays exactly 0,
    whatever the loss, and in half precision, too. Of a network where all are 0 nothing is known; all count then.

    bias: the parameter, of K times so many coordinates.
    """
    joints = (bias.list_data()[0].asnumpy().reshape(-1, coordinates) != 0).any(axis=1)
    return joints if joints.any() else np.ones_like(joints)


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
    net.initialize(mx.init.Xavier(rnd_type='gaussian', factor_type='in', magnitude=2), ctx=contexts)
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
