"""The person detector's parts: deformable convolutions, the backbone, anchors and targets, what it is trained on."""
import json
import math
import shutil
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest
from gluoncv.data.transforms.presets.rcnn import FasterRCNNDefaultTrainTransform
from gluoncv.model_zoo.rcnn.rpn.anchor import RPNAnchorGenerator
from gluoncv.model_zoo.xception import Xception65
from mxnet import autograd
from mxnet.gluon import nn

from common.errors import InputError
from common.predict import detector
from pose_coco import train_detector

# --- deformable convolution ----------------------------------------------------------------------------------------

def deformable(dilation=1):
    """A `DeformableDepthwise` of four channels, an input, and the ordinary convolution of it with the same filters."""
    layer = detector.DeformableDepthwise(4, dilation)
    layer.initialize(mx.init.Normal(1))
    mx.random.seed(1)
    x = mx.nd.random.normal(shape=(2, 4, 12, 14))
    ordinary = mx.nd.Convolution(x, layer.weight.data(), kernel=(3, 3), dilate=(dilation, dilation), num_filter=4,
                                 num_group=4, no_bias=True).asnumpy()
    return layer, x, ordinary


@pytest.mark.parametrize('dilation', [1, 2])
def test_deformable_convolution_starts_as_the_ordinary_one(dilation):
    layer, x, ordinary = deformable(dilation)
    np.testing.assert_allclose(layer(x).asnumpy(), ordinary, atol=1e-5)


@pytest.mark.parametrize('dy, dx', [(1, 2), (-1, 0)])
def test_constant_offset_shifts_the_convolution(dy, dx):
    layer, x, ordinary = deformable()
    layer.offset.bias.set_data(mx.nd.array([dy, dx] * 9))
    shifted = np.roll(ordinary, (-dy, -dx), axis=(2, 3))
    np.testing.assert_allclose(layer(x).asnumpy()[:, :, 2:-2, 2:-2], shifted[:, :, 2:-2, 2:-2], atol=1e-5)


def test_offsets_learn():
    layer, x, ordinary = deformable()
    with autograd.record():
        loss = (layer(x) ** 2).sum()
    loss.backward()
    assert abs(layer.offset.weight.grad()).max().asscalar() > 0
    before = loss.asscalar()
    layer.offset.weight.set_data(-1e-5 * layer.offset.weight.grad())
    assert (layer(x) ** 2).sum().asscalar() < before
    assert abs(layer(x).asnumpy() - ordinary).max() > 1e-3


def test_backbone_takes_the_imagenet_parameters_of_gluoncv(tmp_path):
    """With offsets of zero the backbone is GluonCV's Xception65 at stride 16; frozen, its normalisation stays."""
    xception = Xception65(output_stride=16)
    xception.initialize(mx.init.Xavier())
    xception.save_parameters(str(tmp_path / 'xception.params'))
    net = detector.build(frozen=True, short=64)
    net.features.initialize(mx.init.Xavier())
    detector.load_imagenet(net, tmp_path / 'xception.params')
    x = expected = mx.nd.random.uniform(shape=(1, 3, 48, 64))
    for name in detector.LAYERS:
        expected = getattr(xception, name)(expected)
    found = net.features[:len(detector.LAYERS)](x)
    assert found.shape == (1, 2048, 3, 4)
    np.testing.assert_allclose(found.asnumpy(), expected.asnumpy(), rtol=1e-3, atol=1e-5 * expected.max().asscalar())
    trained = [name for name, parameter in net.features.collect_params().items() if parameter.grad_req != 'null']
    assert not any(name.endswith(('gamma', 'beta')) for name in trained)
    arrays = mx.nd.load(str(tmp_path / 'xception.params'))
    del arrays['midflow.3.rep.1.conv1.weight']
    mx.nd.save(str(tmp_path / 'less.params'), arrays)
    with pytest.raises(InputError, match=r'less.params: has no midflow.3.rep.1.conv1.weight of shape \(728, 1, 3, 3\)'):
        detector.load_imagenet(net, tmp_path / 'less.params')


# --- anchors and targets -------------------------------------------------------------------------------------------

def test_anchors_and_targets_of_a_hand_worked_case():
    """Stride 16, anchors of 16 and 32 pixels on a 64 x 64 image, one box from pixel (8, 8) to (39, 47).

    The 32-pixel anchor of the cell in row 1, column 1 is (8, 8, 39, 39): IoU 31 * 31 / (31 * 39) = 0.79, positive. One
    row below, 713 / 1457 = 0.49: neither. One column to the right, 465 / 1705 = 0.27: negative, as are all of 16
    pixels, IoU <= 225 / 1209. The 32-pixel anchors of the outer cells leave the image: neither. (GluonCV measures a box
    from the first pixel's centre to the last one's.)
    """
    anchors = RPNAnchorGenerator(16, 16, (1,), (1, 2), (4, 4))
    anchors.initialize()
    net = SimpleNamespace(rpn=SimpleNamespace(anchor_generator=anchors), features=nn.Conv2D(1, 1, strides=16))
    transform = FasterRCNNDefaultTrainTransform(64, 64, net, flip_p=0, ashape=4)
    image, box = mx.nd.zeros((64, 64, 3), dtype=np.uint8), np.float32([[8, 8, 39, 47, 0]])
    _, _, (labels,), (targets,), (masks,) = transform(image, box)
    assert (labels[..., 0] == 0).all()
    np.testing.assert_array_equal(labels[..., 1], [[-1, -1, -1, -1], [-1, 1, 0, -1], [-1, -1, 0, -1], [-1, -1, -1, -1]])
    targets, masks = (array.reshape(4, 4, 2, 4) for array in (targets, masks))
    np.testing.assert_allclose(targets[1, 1, 1], [0, 4 / 31, 0, math.log(39 / 31)], atol=1e-6)
    assert masks.sum() == 4 and masks[1, 1, 1].all()


def test_anchors_of_the_detector():
    """In every cell 3 ratios (height to width) of 5 sizes, around the cell's centre."""
    net = detector.build(short=64)
    net.rpn.anchor_generator.initialize()
    anchors = net.rpn.anchor_generator(mx.nd.zeros((1, 1, 3, 4))).asnumpy().reshape(3, 4, 3, 5, 4)
    np.testing.assert_array_equal(anchors[0, 0, 1, 0], [-8, -8, 23, 23])
    np.testing.assert_array_equal(anchors[2, 1, 1, 1], np.add([-24, -24, 39, 39], [16, 32, 16, 32]))
    sizes = anchors[0, 0, ..., 2:] - anchors[0, 0, ..., :2] + 1
    np.testing.assert_array_equal(sizes[1], [[n, n] for n in (32, 64, 128, 256, 512)])
    np.testing.assert_allclose((sizes[..., 1] / sizes[..., 0])[[0, 2]].T, [[0.5, 2]] * 5, atol=0.05)


def test_training_takes_people_and_their_boxes(tiny_coco, tmp_path):
    shutil.copytree(tiny_coco, tmp_path, dirs_exist_ok=True)
    path = tmp_path / 'annotations' / 'person_keypoints_val2017.json'
    dataset = json.loads(path.read_text())
    first, second, crowd, dog, tiny, *_ = people = dataset['annotations']
    first['bbox'], second['bbox'] = [10, 20, 30, 40], [180, 50, 30, 60]
    crowd['iscrowd'], dog['category_id'], tiny['bbox'] = 1, 18, [5, 5, 0.5, 20]
    del people[6:]
    people.append({**second, 'id': 10 ** 6, 'bbox': [191.5, 50, 30, 60]})         # only its edge is in the image
    path.write_text(json.dumps(dataset))
    samples = train_detector.People(tmp_path, 'val2017', 64)
    image, boxes = samples[0]
    assert image.shape == (96, 192, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(boxes, [[10, 20, 39, 59, 0], [180, 50, 191, 95, 0]])
    assert [len(boxes) for _, boxes in samples] == [2, 1]     # none with a crowd and a dog, none without anybody
