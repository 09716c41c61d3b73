"""What may be wrong with a JPEG that a decoder does not complain of: a missing end, and scans without end."""
import re
from io import BytesIO

import numpy as np
from PIL import Image

from common.errors import InputError

START, START_OF_SCAN, END_OF_IMAGE = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
# Scans, each of which passes over all of the picture: of 67 million pixels, and of a fifth of that. Encoders write ten.
FEW_SCANS, MOST_SCANS = 20, 100
_PIXELS = 1 << 26
_MARKER = re.compile(b'\xff[\xc0-\xcf\xd8-\xfe]')                            # none of these occurs within a scan


def made_whole(path, jpeg, pixels) -> bytes:
    """A JPEG of so many pixels with its end, which alone it may lack; InputError where it lacks more.

    Also where its scans take minutes to decode. path: for messages.
    """
    scans = _scans(jpeg)
    if scans > min(MOST_SCANS, FEW_SCANS * _PIXELS // max(pixels, 1)):
        raise InputError(f'{path}: this JPEG has {scans} scans, which take minutes to decode; save it anew')
    if not _truncated(jpeg):
        return jpeg
    if not _lacks_only_its_end(jpeg):
        raise InputError(f'{path}: this JPEG is truncated ({len(jpeg)} bytes); fetch it again')
    return jpeg + END_OF_IMAGE


def _truncated(jpeg):
    """Whether the last scan lacks its end: OpenCV then returns a picture that is grey from there on.

    Neither marker occurs within a scan, and a thumbnail's lie before the picture's, so that of most files the last
    end-of-image comes after the last start-of-scan. Searching from the end, this takes no time. Where it does not,
    something else may follow the picture (a phone's video): then its segments are passed, one by one.
    """
    end = jpeg.rfind(END_OF_IMAGE)
    if end >= 0 and jpeg.find(START_OF_SCAN, end) < 0:
        return False
    return all(segment[0] != END_OF_IMAGE for segment in _segments(jpeg))


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
        content = BytesIO(jpeg.rstrip(b'\xff') + more + END_OF_IMAGE)
        try:
            with Image.open(content, formats=('JPEG',)) as image:      # OpenCV's decoder would complain on stderr
                pictures.append(np.asarray(image))
        except Exception:                     # Pillow raises many kinds of error for damaged files
            return False
    return np.array_equal(*pictures)


def _has_all_scans(jpeg):
    """Whether the scans of a JPEG, whole or not, hold all 64 coefficients of every component, to their last bit."""
    whole, last = {}, None
    for last in _segments(jpeg):
        length = int.from_bytes(jpeg[last.end():last.end() + 2], 'big')
        head = jpeg[last.end() + 3:last.end() + length]        # pairs of component and table, then what it has of them
        if last[0] == START_OF_SCAN and len(head) > 3:
            for component in head[:-3:2]:
                whole.setdefault(component, set()).update(range(head[-3], head[-2] + 1) if head[-1] % 16 == 0 else ())
    return last is not None and last[0] == START_OF_SCAN and {*map(len, whole.values())} == {64}


def _scans(jpeg):
    """The number of scans, or a larger one that is not large.

    Their marker occurs in thumbnails too, and by chance in what follows a picture. Only where it is found often are
    the segments passed one by one.
    """
    found = jpeg.count(START_OF_SCAN)
    return found if found <= FEW_SCANS else sum(segment[0] == START_OF_SCAN for segment in _segments(jpeg))


def _segments(jpeg):
    """Yield the matches of the markers of the picture's segments, to its end-of-image or that of the file."""
    marker = _MARKER.search(jpeg, len(START))
    while marker:
        yield marker
        if marker[0] == END_OF_IMAGE:
            return
        length = int.from_bytes(jpeg[marker.end():marker.end() + 2], 'big')
        marker = _MARKER.search(jpeg, marker.end() + length)
