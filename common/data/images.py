"""Reading what a crop needs of an image file, and no more.

A JPEG decodes directly at 1/2, 1/4 or 1/8 of its size, for far less work. Reduced pixel j covers the source pixels
[r*j, r*j + r), so its centre lies at r*j + (r - 1)/2; the warp accounts for that, and a crop has its content at the
same place whatever the reduction.
"""
import re
from contextlib import suppress
from io import BytesIO
from typing import Tuple

import cv2
import numpy as np
from PIL import Image

from common import files
from common.errors import AnnotationError, InputError

FORMATS = ('JPEG', 'PNG', 'BMP', 'WEBP', 'TIFF', 'GIF')
MOST_PIXELS = 1 << 26                         # 200 MB as BGR, and 400 MB more while a progressive JPEG is decoded
LONGEST = 32766                               # side of what OpenCV warps
# Scans of a JPEG, each of which passes over all of it: of the largest, and of one a fifth of that. Encoders write ten.
FEW_SCANS, MOST_SCANS = 20, 100
Image.MAX_IMAGE_PIXELS = None                 # Pillow's own limit, which is higher, warns on stderr

# The loader works on many images at once; threads within one image would only get in each other's way.
cv2.setNumThreads(1)
# A bad file is reported once, by an InputError.
cv2.setLogLevel(0)

# Annotations are in the pixels that the file stores, so an orientation in the metadata is not applied.
_FLAGS = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
          8: cv2.IMREAD_REDUCED_COLOR_8}
_ORIENTATION = 0x0112                         # Exif's tag
_JPEG, _START_OF_SCAN, _END_OF_IMAGE = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
_MARKER = re.compile(b'\xff[\xc0-\xcf\xd8-\xfe]')                            # none of these occurs within a scan


def read_image(path, step=1.0, upright=False, announced=None) -> Tuple[np.ndarray, int]:
    """Decode an image for use at `step` source pixels per output pixel, `upright` as its metadata say.

    Returns (image, reduction): BGR uint8 of (ceil(height/reduction), ceil(width/reduction), 3), where `reduction` is
    the largest of 1, 2, 4, 8 that `step` allows without enlarging anything (1 for every format but JPEG). Grey images
    and images with an alpha channel come out in three channels.
    announced: the (width, height) that an annotation says the file has.
    InputError for a file that is missing, empty, no image, larger than 67 million pixels, a JPEG whose end is missing
    (more of it than the end's marker) or that has more than about 100 scans, or one whose metadata turn it and which is
    neither JPEG nor PNG: OpenCV obeys them always or never. AnnotationError where it has another size than announced.
    """
    data = files.read_bytes(path)
    if not data:
        raise InputError(f'{path}: this file is empty')
    reduction = 1
    if data.startswith(_JPEG):
        reduction = max(r for r in _FLAGS if r <= max(step, 1))
    width, height, turned = image_head(data)
    if turned:
        raise InputError(f'{path}: has an orientation tag, which only JPEG and PNG may have; save it upright')
    if width * height > MOST_PIXELS or max(width, height) > LONGEST:
        raise InputError(f'{path}: an image of {width} x {height} pixels; at most {MOST_PIXELS} are decoded, and '
                         f'{LONGEST} of a side')
    if data.startswith(_JPEG) and width and _scans(data) > min(MOST_SCANS, FEW_SCANS * MOST_PIXELS // (width * height)):
        raise InputError(f'{path}: this JPEG has {_scans(data)} scans, which take minutes to decode; save it anew')
    if width and announced not in (None, (width, height)):
        raise AnnotationError(_misfit(path, data, (width, height), announced))
    if data.startswith(_JPEG) and _truncated(data):
        if not _lacks_only_its_end(data):
            raise InputError(f'{path}: this JPEG is truncated ({len(data)} bytes); fetch it again')
        data += _END_OF_IMAGE
    image = None
    if width:
        with suppress(cv2.error):
            stored = 0 if upright else cv2.IMREAD_IGNORE_ORIENTATION
            image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[reduction] | stored)
    if image is None:
        raise InputError(f'{path}: not an image that can be decoded')
    return image, reduction


def read_rgb(path) -> np.ndarray:
    """The image in a file, RGB uint8 (H, W, 3), upright as a viewer shows it; InputError as `read_image`."""
    return cv2.cvtColor(read_image(path, upright=True)[0], cv2.COLOR_BGR2RGB)


def _misfit(path, data, size, announced):
    """What to say of an image of `size` (width, height) whose annotation is of one of another."""
    text = (f'{path}: an image of {size[0]} x {size[1]} pixels; its annotation says width {announced[0]} and height '
            f'{announced[1]}')
    if tuple(announced) != size[::-1]:
        return f'{text}; is it of this file?'
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        turn = image.getexif().get(_ORIENTATION)
    cause = f'turned; the file has EXIF orientation {turn}' if turn in range(2, 9) else 'turned'
    return f'{text} ({cause}): annotate the pixels as they are stored, or save the image upright'


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


def _truncated(jpeg):
    """Whether the last scan lacks its end: OpenCV then returns a picture that is grey from there on.

    Neither marker occurs within a scan, and a thumbnail's lie before the picture's, so that of most files the last
    end-of-image comes after the last start-of-scan. Searching from the end, this takes no time. Where it does not,
    something else may follow the picture (a phone's video): then its segments are passed, one by one.
    """
    end = jpeg.rfind(_END_OF_IMAGE)
    if end >= 0 and jpeg.find(_START_OF_SCAN, end) < 0:
        return False
    return all(segment[0] != _END_OF_IMAGE for segment in _segments(jpeg))


def _lacks_only_its_end(jpeg):
    """Whether a JPEG without end-of-image is whole but for this marker (some cameras and tools forget it).

    A decoder reads no further than to the last pixel. So, the picture is whole if it is the same whatever comes after
    these bytes: an end, or noise and an end. Two zeros are the rest of a file for which room was made, and that did not
    come.
    """
    if jpeg.endswith(b'\0\0') or not _has_all_scans(jpeg):
        return False
    noise = np.random.default_rng(0).integers(1, 255, 4096, np.uint8).tobytes()
    pictures = []
    for more in (b'', noise):
        content = BytesIO(jpeg.rstrip(b'\xff') + more + _END_OF_IMAGE)
        try:
            with Image.open(content, formats=FORMATS) as image:       # OpenCV's decoder would complain on stderr
                pictures.append(np.asarray(image))
        except Exception:                     # as of `image_head`
            return False
    return np.array_equal(*pictures)


def _has_all_scans(jpeg):
    """Whether the scans of a JPEG, whole or not, hold all 64 coefficients of every component, to their last bit."""
    whole, last = {}, None
    for last in _segments(jpeg):
        length = int.from_bytes(jpeg[last.end():last.end() + 2], 'big')
        head = jpeg[last.end() + 3:last.end() + length]        # pairs of component and table, then what it has of them
        if last[0] == _START_OF_SCAN and len(head) > 3:
            for component in head[:-3:2]:
                whole.setdefault(component, set()).update(range(head[-3], head[-2] + 1) if head[-1] % 16 == 0 else ())
    return last is not None and last[0] == _START_OF_SCAN and {*map(len, whole.values())} == {64}


def _scans(jpeg):
    """The number of scans, or a larger one that is not large.

    Their marker occurs in thumbnails too, and by chance in what follows a picture. Only where it is found often are
    the segments passed one by one.
    """
    found = jpeg.count(_START_OF_SCAN)
    return found if found <= FEW_SCANS else sum(segment[0] == _START_OF_SCAN for segment in _segments(jpeg))


def _segments(jpeg):
    """Yield the matches of the markers of the picture's segments, to its end-of-image or that of the file."""
    marker = _MARKER.search(jpeg, len(_JPEG))
    while marker:
        yield marker
        if marker[0] == _END_OF_IMAGE:
            return
        length = int.from_bytes(jpeg[marker.end():marker.end() + 2], 'big')
        marker = _MARKER.search(jpeg, marker.end() + length)


def read_crop(path, to_source, size, out=None, announced=None) -> np.ndarray:
    """Cut a crop of `size` (width, height) out of an image file; black outside of the image.

    `to_source` (2, 3) maps the crop's pixels to the file's. Returns RGB uint8 (height, width, 3), in `out` if that is
    given. The image is interpolated linearly between pixels that are at most 2 times as fine as the crop's (JPEG, up
    to 16 source pixels per pixel of the crop). announced, InputError and AnnotationError: as of `read_image`.
    """
    image, reduction = read_image(path, step=np.hypot(to_source[0, :2], to_source[1, :2]).min(), announced=announced)
    to_reduced = to_source / reduction
    to_reduced[:, 2] -= (reduction - 1) / (2 * reduction)
    crop = cv2.warpAffine(image, to_reduced, tuple(size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return cv2.cvtColor(crop, cv2.COLOR_BGR2RGB, dst=out)
