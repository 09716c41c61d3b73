"""The paper's person detector (section 6.2): Faster R-CNN on Xception with deformable convolutions, of GluonCV's parts.

The paper says no more of it than that and its box AP, 49 on test-dev; the rest is ours:

- **Xception-65** (GluonCV's). Of Xception-71 GluonCV has no ImageNet parameters, and its strides are twice as large as
  their name says.
- **Stride 16**: the exit flow is dilated, as Dai et al. (arXiv 1703.06211) do with the last stage of theirs, and runs
  once over the image. Its 2048 features are reduced to 256; proposals and, with two layers of 1024, boxes come of them.
- **Deformable** are the last three 3 x 3 convolutions, those of the exit flow between its block and the pooling: with
  three Dai et al. found most of the gain. They stay depthwise (`DeformableDepthwise`), so that ImageNet's filters fit.
"""
from functools import partial

from common.runtime import import_gluoncv

import_gluoncv()

from gluoncv.model_zoo.rcnn.faster_rcnn import FasterRCNN
from gluoncv.model_zoo.xception import Xception65
from mxnet import init
from mxnet.gluon import nn

from common.errors import InputError
from common.weights import checkpoint

CLASSES = ('person',)
STRIDE = 16
SCALES = (2, 4, 8, 16, 32)                    # anchors: 16 pixels times these, in three ratios
# Xception's layers up to its pooling, in their order.
LAYERS = ('conv1', 'bn1', 'relu', 'conv2', 'bn2', 'relu', 'block1', 'relu', 'block2', 'block3', 'midflow', 'block20',
          'relu', 'conv3', 'bn3', 'relu', 'conv4', 'bn4', 'relu', 'conv5', 'bn5', 'relu')
REDUCED, HIDDEN = 256, 1024                   # channels after Xception's 2048, and of the two layers before the boxes
DEFORMABLE = ('conv3', 'conv4', 'conv5')


class DeformableDepthwise(nn.Conv2D):
    """A depthwise 3 x 3 convolution whose nine sampling points move by learned offsets: (B, C, H, W) -> the same - 2d.

    d: the dilation. The offsets (B, 18, H - 2d, W - 2d) are in cells, y and x of each point, and come from an ordinary
    convolution of all channels, which all share them; it starts at zero, where this is an `nn.Conv2D`. Gluon's own
    DeformableConvolution groups that convolution as it groups the other: depthwise, its 18 channels per channel (460 MB
    for one image) would see no channel but their own, and not depthwise it has 1,500 times the filters.
    """

    def __init__(self, channels, dilation):
        super().__init__(channels, 3, dilation=dilation, groups=channels, in_channels=channels, use_bias=False)
        with self.name_scope():
            self.offset = nn.Conv2D(2 * 9, 3, dilation=dilation, in_channels=channels, weight_initializer='zeros')

    def hybrid_forward(self, F, x, weight):
        return F.contrib.DeformableConvolution(x, self.offset(x), weight, **self._kwargs)


def build(frozen=False, images=1, short=800) -> FasterRCNN:
    """The detector, without parameters: an image (1, 3, H, W), normalised as for ImageNet, -> what GluonCV's yield.

    These are the class, 0, or -1 where nothing is left (1, N, 1), scores (1, N, 1), and boxes x1, y1, x2, y2 in input
    pixels (1, N, 4). InputError where `short` or `images` is too small.

    frozen: batch normalisation keeps its statistics, scale and shift, those of ImageNet: in training a device sees too
    few images for its own. images: on each device in training. short: the length that images' shorter side should have.
    """
    if short < 2 * STRIDE:
        raise InputError(f'--short {short}: at least {2 * STRIDE} pixels')
    if images < 1:
        raise InputError(f'--images {images}: at least 1')
    xception = Xception65(output_stride=STRIDE, norm_layer=partial(nn.BatchNorm, use_global_stats=frozen))
    for name in DEFORMABLE:
        separable = getattr(xception, name)
        separable.conv1 = DeformableDepthwise(separable.conv1.weight.shape[0], separable.dilation)
    features = nn.HybridSequential()
    features.add(*(getattr(xception, name) for name in LAYERS))
    features.add(nn.Conv2D(REDUCED, 1), nn.Activation('relu'))
    box_features = nn.HybridSequential()
    for _ in range(2):
        box_features.add(nn.Dense(HIDDEN, activation='relu', weight_initializer=init.Normal(0.01)))
    proposals = 3 * len(SCALES) * (-(-short // STRIDE)) ** 2      # as many as a square image has anchors
    net = FasterRCNN(features, None, CLASSES, box_features, short=short, max_size=max_size(short), nms_thresh=0.5,
                     nms_topk=-1, post_nms=-1, roi_size=(7, 7), strides=STRIDE, clip=4.14, rpn_channel=512,
                     scales=SCALES, rpn_train_post_nms=min(2000, proposals), rpn_test_post_nms=min(300, proposals),
                     rpn_min_size=1, per_device_batch_size=images, max_num_gt=100)
    if frozen:
        features.collect_params('.*(gamma|beta)$').setattr('grad_req', 'null')
    return net


def max_size(short) -> int:
    """The greatest length of an image's longer side: 1333 for 800, as is the custom on COCO."""
    return short * 5 // 3


def load_imagenet(net, path):
    """Set the backbone to the parameters of GluonCV's Xception65 in a file; the offsets stay zero.

    InputError names the first that is missing or does not fit.
    """
    arrays = checkpoint.read_arrays(path)
    for index, layer in enumerate(LAYERS):
        for name, parameter in checkpoint.parameters(net.features[index]).items():
            place = f'{layer}.{name}'
            if '.offset.' in place:
                continue
            if place not in arrays or arrays[place].shape != parameter.shape:
                raise InputError(f'{path}: has no {place} of shape {parameter.shape}; expected the parameters of '
                                 'GluonCV\'s Xception65')
            parameter.set_data(arrays[place])
