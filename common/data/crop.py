"""From a person's box to the network's input: one affine, its inverse, and what training does to it at random.

Coordinates are 0-based pixels with pixel centres at integers, in the source image and in the input alike. A box
(cx, cy, w, h) covers [cx - w/2, cx + w/2]; the continuous input coordinate (i + 0.5)/W maps linearly onto it, so that
an unrotated crop has x_source = cx + w*((i + 0.5)/W - 0.5). A box whose proportions are not the input's is stretched;
`fit` avoids that.
"""
from math import cos, radians, sin
from typing import NamedTuple, Optional, Tuple

import cv2
import numpy as np

from common.data import images
from common.errors import InputError


class Sample(NamedTuple):
    """A person in an image: what a data set makes of an annotation record."""

    image: str                                # the file's path
    box: Tuple[float, float, float, float]    # (cx, cy, w, h) in source pixels
    joints: np.ndarray                        # (K, 2) float32 in source pixels
    visible: np.ndarray                       # (K,) float32: 1 for an annotated joint, 0 for another, whose coordinates
                                              # mean nothing (but are finite)
    size: Optional[Tuple[int, int]] = None    # (width, height) of the image, where its annotation says so


class Augmentation(NamedTuple):
    """What `random_view` may do to a crop (section 6.1 of the paper: 30, 0.25, True)."""

    rotation: float                           # at most this many degrees either way
    scale: float                              # the box grows or shrinks by at most this fraction
    flip: bool                                # mirror half of the crops
    flip_pairs: tuple                         # the pairs of joints that then change places


def check(samples, joints):
    """InputError for the first of `Sample`s that is none of a person with these joints (K names)."""
    for sample in samples:
        for name, shape in (('box', (4,)), ('joints', (len(joints), 2)), ('visible', (len(joints),))):
            found = np.shape(getattr(sample, name))
            if found != shape:
                raise InputError(f'{sample.image}: the {name} of its Sample have the shape {found}, not {shape}; '
                                 f'the skeleton has {len(joints)} joints')


def fit(width, height, size) -> Tuple[float, float]:
    """The least (width, height) of a box around one of `width` and `height` in the proportions of `size` (W, H)."""
    step = max(width / size[0], height / size[1])             # source pixels per input pixel
    return step * size[0], step * size[1]


def crop_matrix(box, size, rotation=0.0, scale=1.0, mirror=False) -> np.ndarray:
    """The affine (2, 3) float64 that maps source pixels to the pixels of an input of `size` (width, height).

    The box is enlarged by `scale` and turned about its centre, so that the content turns counter-clockwise by
    `rotation` degrees; `mirror` then takes the input's x to W - 1 - x.
    """
    cx, cy, w, h = box
    width, height = size
    x_scale, y_scale = width / (w * scale), height / (h * scale)
    if mirror:
        x_scale = -x_scale
    c, s = cos(radians(rotation)), sin(radians(rotation))
    return np.array([[x_scale * c, x_scale * s, (width - 1) / 2 - x_scale * (c * cx + s * cy)],
                     [-y_scale * s, y_scale * c, (height - 1) / 2 - y_scale * (c * cy - s * cx)]])


def invert(matrix) -> np.ndarray:
    """The inverse (2, 3) of an affine (2, 3)."""
    return cv2.invertAffineTransform(matrix)


def transform_points(matrix, points) -> np.ndarray:
    """Points (..., 2) through an affine (2, 3)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def random_view(augmentation, rng) -> Tuple[float, float, bool]:
    """A random (rotation, scale, mirror) for `crop_matrix` from `rng`, an np.random.Generator."""
    turn, grow, flip = rng.random(3)
    return (augmentation.rotation * (2 * turn - 1), 1 + augmentation.scale * (2 * grow - 1),
            bool(augmentation.flip and flip < 0.5))


def crop_sample(sample, size, matrix, flip_pairs=(), out=None) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a `Sample` out of its image by `matrix` (see `crop_matrix`) to `size` (width, height).

    Returns the image uint8 (height, width, 3) in RGB (in `out` if that is given), joints (K, 2) float32 in input
    pixels, and visible (K,) float32: joints outside of the crop become invisible, they carry no loss. If the matrix
    mirrors, the joints of each of `flip_pairs` change places: the mirrored left wrist is a right wrist.
    InputError if the image cannot be read, AnnotationError if it is not of the sample's size.
    """
    image = images.read_crop(sample.image, invert(matrix), size, out, sample.size)
    joints = transform_points(matrix, sample.joints).astype(np.float32)
    inside = ((joints >= -0.5) & (joints < np.subtract(size, 0.5))).all(axis=1)
    visible = sample.visible * inside
    if matrix[0, 0] * matrix[1, 1] < matrix[0, 1] * matrix[1, 0]:
        order = mirrored_order(flip_pairs, len(joints))
        joints, visible = joints[order], visible[order]
    return image, joints, visible


def cut(image, box, size) -> np.ndarray:
    """The crop of a box (cx, cy, w, h) at `size` (width, height) of an image (H, W, 3), as by `images.read_crop`."""
    to_source = invert(crop_matrix(box, size))
    factor = images.reduction(images.steps(to_source))
    return images.warp(images.reduced(image, factor), factor, to_source, size)


def mirrored_order(flip_pairs, count) -> list:
    """For each of `count` joints the one whose place it takes in a mirrored image."""
    order = list(range(count))
    for a, b in flip_pairs:
        order[a], order[b] = b, a
    return order
