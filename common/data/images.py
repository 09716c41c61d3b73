"""Reading what a crop needs of an image file, and no more.

Interpolation between single pixels of an image that is much finer than the crop would skip most of them, so the image
is reduced before. A JPEG decodes directly at 1/2, 1/4 or 1/8 of its size, for far less work; other formats are
averaged. Reduced pixel j covers the source pixels [r*j, r*j + r), so its centre lies at r*j + (r - 1)/2; the warp
accounts for that, and a crop has its content at the same place whatever the reduction.
"""
from contextlib import suppress
from io import BytesIO
from typing import Tuple

import cv2
import numpy as np
from PIL import Image

from common import files
from common.data import jpeg
from common.errors import AnnotationError, InputError

FORMATS = ('JPEG', 'PNG', 'BMP', 'WEBP', 'TIFF', 'GIF')
MOST_PIXELS = 1 << 26                         # 200 MB as BGR, and 400 MB more while a progressive JPEG is decoded
LONGEST = 32766                               # side of what OpenCV warps
Image.MAX_IMAGE_PIXELS = None                 # Pillow's own limit, which is higher, warns on stderr

# The loader works on many images at once; threads within one image would only get in each other's way.
cv2.setNumThreads(1)
# A bad file is reported once, by an InputError.
cv2.setLogLevel(0)

# Annotations are in the pixels that the file stores, so an orientation in the metadata is not applied.
_FLAGS = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
          8: cv2.IMREAD_REDUCED_COLOR_8}
_ORIENTATION = 0x0112                         # Exif's tag


def read_image(path, step=1.0, upright=False, announced=None) -> Tuple[np.ndarray, int]:
    """Decode an image for use at `step` source pixels per output pixel, `upright` as its metadata say.

    Returns (image, reduction): BGR uint8 of (ceil(height/reduction), ceil(width/reduction), 3), where `reduction` is
    `reduction(step)`. Grey images and images with an alpha channel come out in three channels.
    announced: the (width, height) that an annotation says the file has.
    InputError for a file that is missing, empty, no image, larger than 67 million pixels, a JPEG whose end is missing
    (more of it than the end's marker) or that has more than about 100 scans, or one whose metadata turn it and which is
    neither JPEG nor PNG: OpenCV obeys them always or never. AnnotationError where it has another size than announced.
    """
    data = files.read_bytes(path)
    if not data:
        raise InputError(f'{path}: this file is empty')
    is_jpeg = data.startswith(jpeg.START)
    factor = reduction(step)
    width, height, turned = image_head(data)
    if turned:
        raise InputError(f'{path}: has an orientation tag, which only JPEG and PNG may have; save it upright')
    if width * height > MOST_PIXELS or max(width, height) > LONGEST:
        raise InputError(f'{path}: an image of {width} x {height} pixels; at most {MOST_PIXELS} are decoded, and '
                         f'{LONGEST} of a side')
    if width and announced not in (None, (width, height)):
        raise AnnotationError(_misfit(path, data, (width, height), announced))
    if is_jpeg:
        data = jpeg.made_whole(path, data, width * height)
    image = None
    if width:
        with suppress(cv2.error):
            stored = 0 if upright else cv2.IMREAD_IGNORE_ORIENTATION
            image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[factor if is_jpeg else 1] | stored)
    if image is None:
        raise InputError(f'{path}: not an image that can be decoded')
    return image if is_jpeg else reduced(image, factor), factor


def reduction(step) -> int:
    """The largest of 1, 2, 4, 8 by which an image that has `step` pixels for each of a crop's can be reduced."""
    return max(r for r in _FLAGS if r <= max(step, 1))


def reduced(image, factor) -> np.ndarray:
    """The means of `factor` x `factor` pixels of an image (H, W, 3): (ceil(H/factor), ceil(W/factor), 3)."""
    if factor == 1:
        return image
    below, beside = (-length % factor for length in image.shape[:2])
    whole = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    return cv2.resize(whole, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)


def steps(to_source) -> float:
    """How many source pixels lie between two neighbours of a crop (at least, of the two directions)."""
    return np.hypot(to_source[0, :2], to_source[1, :2]).min()


def read_rgb(path) -> np.ndarray:
    """The image in a file, RGB uint8 (H, W, 3), upright as a viewer shows it; InputError as `read_image`."""
    return cv2.cvtColor(read_image(path, upright=True)[0], cv2.COLOR_BGR2RGB)


def _misfit(path, data, size, announced):
    """What to say of an image of `size` (width, height) whose annotation is of one of another."""
    text = (f'{path}: an image of {size[0]} x {size[1]} pixels; its annotation says width {announced[0]} and height '
            f'{announced[1]}')
    if tuple(announced) != size[::-1]:
        return f'{text}; is it of this file?'
    turn = orientation(BytesIO(data))
    cause = f'turned; the file has EXIF orientation {turn}' if turn > 1 else 'turned'
    return f'{text} ({cause}): annotate the pixels as they are stored, or save the image upright'


def orientation(file) -> int:
    """The orientation (1 to 8) in the metadata of an image, a path or an open file; 1, upright, where there is none."""
    turn = 1
    with suppress(Exception):                 # Pillow raises many kinds of error for damaged metadata
        with Image.open(file, formats=FORMATS) as image:
            turn = image.getexif().get(_ORIENTATION)
    return turn if turn in range(1, 9) else 1


def image_head(data) -> Tuple[int, int, bool]:
    """(width, height, turned) as the head of an image file has it, before memory is taken; zeros if it is none.

    turned: it is neither JPEG nor PNG, and has an orientation tag other than upright.
    """
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            turned = image.format not in ('JPEG', 'MPO', 'PNG') and image.getexif().get(_ORIENTATION, 1) != 1
            return *image.size, turned
    except Exception:                         # Pillow raises many kinds of error for damaged files
        return 0, 0, False


def read_crop(path, to_source, size, out=None, announced=None) -> np.ndarray:
    """Cut a crop of `size` (width, height) out of an image file; black outside of the image.

    `to_source` (2, 3) maps the crop's pixels to the file's. Returns RGB uint8 (height, width, 3), in `out` if that is
    given. The image is interpolated linearly between pixels that are at most 2 times as fine as the crop's (up to 16
    source pixels per pixel of the crop). announced, InputError and AnnotationError: as of `read_image`.
    """
    image, factor = read_image(path, steps(to_source), announced=announced)
    return cv2.cvtColor(warp(image, factor, to_source, size), cv2.COLOR_BGR2RGB, dst=out)


def warp(image, factor, to_source, size) -> np.ndarray:
    """The crop of `size` (width, height) of an image that is reduced by a factor; black outside of the image."""
    to_reduced = to_source / factor
    to_reduced[:, 2] -= (factor - 1) / (2 * factor)
    return cv2.warpAffine(image, to_reduced, tuple(size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
