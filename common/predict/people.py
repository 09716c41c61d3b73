"""Finding people in photographs: Faster R-CNNs, GluonCV's and the paper's own, and OpenCV's, which needs no file.

The last one takes much else for people, too: what it finds are *proposals*, of which `poses.surest` keeps those in
which the network is sure of a person.
"""
import sys
from functools import partial
from typing import Callable, Tuple

from common.runtime import import_gluoncv

import_gluoncv()

import cv2
import mxnet as mx
import numpy as np
from gluoncv.data.transforms.presets.rcnn import transform_test
from gluoncv.model_zoo import get_model, get_model_list
from gluoncv.utils.bbox import bbox_xyxy_to_xywh
from mxnet import gluon

from common.errors import InputError
from common.predict import boxes, detector
from common.weights import checkpoint, store

OWN, HOG = 'xception', 'hog'                  # the paper's, and OpenCV's
FASTER_RCNNS = sorted(name for name in get_model_list() if name.startswith('faster_rcnn') and name.endswith('_coco'))
DEFAULT = 'faster_rcnn_fpn_resnet101_v1d_coco'
SHORT = 800                                   # length of the shorter side for OWN
# OpenCV's sees an image of this longer side with a margin around it; windows of a larger IoU count once.
LONGER, MARGIN, STRIDE, DIFFERENT = 640, 64, 4, 0.4


def load_detector(model, params, short, contexts, option='--params FILE') -> gluon.HybridBlock:
    """`OWN` or one of `FASTER_RCNNS`, hybridized, with the parameters of a file, or else with those GluonCV has.

    short: the length of images' shorter side for `OWN`; option: how a user names the file. InputError for an unknown
    model, for a file that is not its, and where there are no parameters.
    """
    if model not in (OWN, *FASTER_RCNNS):
        raise InputError(f'{model}: unknown; there are {", ".join((OWN, *FASTER_RCNNS))}')
    if model == OWN and not params:
        raise InputError(f'{model}: {option} is missing; pose_coco/train_detector.py makes the file')
    params = params or store.fetch(model, option)
    net = detector.build(short=short) if model == OWN else get_model(model, pretrained_base=False)
    _load_parameters(net, params, model, contexts)
    if isinstance(net.short, (tuple, list)):                  # a range, in training
        net.short = net.short[-1]
    net.hybridize()
    return net


def _load_parameters(net, path, model, contexts):
    """Set all parameters of a model from a file, which may hold more (for training); InputError if it is not its."""
    arrays = checkpoint.read_arrays(path)     # what is no whole file does not come to MXNet's own reader below
    for name in checkpoint.parameters(net):
        if name not in arrays:
            raise InputError(f'{path}: not the parameters of {model}: it has no {name}')
    try:
        net.load_parameters(str(path), ctx=contexts, ignore_extra=True, cast_dtype=True)
    except AssertionError as error:           # Gluon's, where a shape differs
        raise InputError(f'{path}: not the parameters of {model}: {str(error).splitlines()[0]}') from None


def check_shape(name, shape, short):
    """InputError where of an image's shorter side nothing would be left beside one of `detector.max_size`."""
    if min(shape[:2]) * detector.max_size(short) < max(shape[:2]):
        raise too_narrow(name, shape)


def too_narrow(name, shape) -> InputError:
    """What to raise for an image of this shape (H, W, 3)."""
    return InputError(f'{name}: an image of {shape[1]} x {shape[0]} pixels is too narrow for a detector')


def people_in(net, output, shape, size) -> Tuple[np.ndarray, np.ndarray]:
    """The people in what a `load_detector` puts out for an image: boxes (N, 4), [x, y, width, height], and scores (N,).

    shape: (h, w) of what it saw; size: (H, W) of the image, in whose pixels the boxes are. They are cut off at its
    edges, and left out where nothing of them is within. GluonCV's x2, y2 are the last pixel's in the image, so a box
    is by one wider than x2 - x1.
    """
    ids, scores, corners = (array[0].asnumpy() for array in output)
    person = ids[:, 0] == net.classes.index('person')
    scores, corners = scores[person, 0], corners[person]
    (h, w), (height, width) = shape, size
    corners = np.clip(corners * ([width / w, height / h] * 2), 0, [width - 1, height - 1] * 2)
    inside = (corners[:, 2:] > corners[:, :2]).all(axis=1)
    return bbox_xyxy_to_xywh(corners[inside]), scores[inside]


def detect(net, context, name, image) -> boxes.Boxes:
    """What a detector finds in the image of a name, RGB uint8 (H, W, 3)."""
    check_shape(name, image.shape, net.short)
    seen = transform_test(mx.nd.array(image, dtype=np.uint8), net.short, net.max_size)[0]
    output = net(seen.as_in_context(context))
    return boxes.detected(*people_in(net, output, seen.shape[2:], image.shape[:2]))


def propose(name, image) -> boxes.Boxes:
    """What OpenCV's detector, histograms of oriented gradients (Dalal and Triggs, CVPR 2005), takes for people.

    image: RGB uint8 (H, W, 3). Its windows have some space around a person already; they may reach beyond the image,
    whose border pixels are repeated there.
    """
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
    scale = LONGER / max(image.shape[:2])
    if min(image.shape[:2]) * scale < 1:
        raise too_narrow(name, image.shape)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    around = cv2.copyMakeBorder(small, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_REPLICATE)
    windows, weights = hog.detectMultiScale(around, winStride=(STRIDE, STRIDE), groupThreshold=0)
    windows, weights = np.reshape(windows, (-1, 4)).astype(float), np.ravel(weights)
    windows[:, :2] -= MARGIN
    middles = windows[:, :2] + windows[:, 2:] / 2
    within = ((middles > 0) & (middles < small.shape[1::-1])).all(axis=1)
    windows, weights = windows[within], weights[within]
    kept = boxes.box_nms(windows, weights, DIFFERENT)
    return boxes.Boxes(windows[kept] / scale, weights[kept])


def finder(model, params, contexts, option) -> Callable:
    """A function of an image's name and the image: `detect` by the detector of a name, or `propose`.

    option: how a user names the parameters' file (`load_detector`). Without a name it is GluonCV's `DEFAULT`, or
    OpenCV's where that cannot be fetched, which is said. InputError as `load_detector`, and for OpenCV's with a file.
    """
    if model == HOG and params:
        raise InputError(f'{option.partition(" ")[0]} {params}: the detector {HOG} takes no file')
    if model == HOG:
        return propose
    if model not in (None, OWN, *FASTER_RCNNS):
        raise InputError(f'--detector {model}: unknown; there are {", ".join((HOG, OWN, *FASTER_RCNNS))}')
    try:
        return partial(detect, load_detector(model or DEFAULT, params, SHORT, contexts[:1], option), contexts[0])
    except InputError as error:
        if model or params:
            raise
        print(f"warning: {error}; OpenCV's HOG detector stands in, which finds few people who do not stand upright",
              file=sys.stderr)
        return propose
