"""Videos, cameras and streams as frames, by OpenCV: reading and writing."""
import os
import re
import sys
from contextlib import suppress
from itertools import chain
from typing import Iterator, NamedTuple

import cv2

from common import files
from common.errors import InputError

# A bad video is reported once, by an InputError.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v')
# How the files begin that hold a video themselves: MP4 and QuickTime, AVI, Matroska, MPEG, ASF, FLV, Ogg.
CONTAINERS = re.compile(rb'\x00...(?:ftyp|moov|mdat|wide|free|skip|pnot|uuid)|....mdat|RIFF....AVI |\x1aE\xdf\xa3|'
                        rb'\x00\x00\x01[\xb3\xba]|G.{187}G|0&\xb2u\x8ef\xcf\x11|FLV\x01|OggS\x00', re.DOTALL)
CODECS = {'.mp4': 'mp4v', '.avi': 'MJPG'}     # of the videos written
RATES, USUAL_RATE = (0.01, 1000), 25          # frames per second that can be, and what is taken instead of others
FINEST = 65535                                # MPEG-4 counts time in at most this many parts of a second


class Video(NamedTuple):
    """What a video shows."""

    frames: Iterator                          # of RGB uint8 (H, W, 3), upright as a player shows them
    rate: float                               # frames per second


def read(path) -> Video:
    """A video file.

    InputError if there is not a single frame that can be decoded, or OpenCV cannot take the file's name. A file that
    does not begin as a container of video does is none: FFmpeg would take a list of other files for a video of them.
    One that ends more than a frame before its announced end is a warning.
    """
    try:
        name = files.utf8_name(os.path.abspath(path))          # what begins as 'word:' is an address to FFmpeg
        with open(path, 'rb') as file:
            head = file.read(192)
    except UnicodeError:                      # a name that is not UTF-8 crashes it
        name, head = '\n', b''
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror})') from None
    if not name.isprintable():
        raise InputError(f'{str(path)!r}: give the video a name without unprintable characters')
    if not CONTAINERS.match(head):
        raise InputError(f'{path}: not a video that can be decoded ({", ".join(SUFFIXES)})')
    return _open(cv2.VideoCapture(name), path, 'not a video that can be decoded')


def camera(source) -> Video:
    """A camera by its number or device (/dev/video0), or the stream at an address, as OpenCV finds it.

    InputError where there is none.
    """
    capture = cv2.VideoCapture()
    with suppress(cv2.error):                 # a number that no camera can have
        capture.open(int(source) if source.isdecimal() else source)
    return _open(capture, f'--camera {source}', 'no camera or stream that OpenCV can open')


def _open(capture, name, problem):
    """The `Video` of a capture; InputError that names it and says the problem where it has no frame."""
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)             # OpenCV's default changed with 4.11
    rate, announced = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    frames = _frames(capture, name, announced)
    first = next(frames, None)
    if first is None:
        raise InputError(f'{name}: {problem}')
    return Video(chain([first], frames), rate if RATES[0] <= rate <= RATES[1] else USUAL_RATE)


def _frames(capture, name, announced):
    """Yield a capture's frames; fewer than announced are a warning (one less is the rounding of a duration)."""
    count = 0
    for count, (_, frame) in enumerate(iter(capture.read, (False, None)), 1):
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    if 0 < count < announced - 1:
        print(f'warning: {name}: ends after {count} frames of {announced:.0f} that it announces', file=sys.stderr)


def written_rate(rate) -> float:
    """A rate with as many decimals, at most 3, as MPEG-4 can hold."""
    digits = next(digits for digits in (3, 2, 1, 0) if rate * 10 ** digits <= FINEST)
    return max(round(rate, digits), RATES[0])


def write(path, rate, frames):
    """Write RGB frames, all of one shape, to an .mp4 or .avi (see `files.replacing`)."""
    writer, count = cv2.VideoWriter(), 0
    with files.replacing(path) as temporary:
        for count, frame in enumerate(frames, 1):
            if not writer.isOpened():
                codec = cv2.VideoWriter_fourcc(*CODECS[path.suffix.lower()])
                if not writer.open(files.utf8_name(temporary), codec, written_rate(rate), frame.shape[1::-1]):
                    raise InputError(f'{path}: cannot be written; this OpenCV has no encoder for {path.suffix}')
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        written = cv2.VideoCapture(files.utf8_name(temporary)).get(cv2.CAP_PROP_FRAME_COUNT)
        if written != count:                  # it reports no errors
            raise InputError(f'{path}: cannot be written (is the disk full?); any earlier version is unchanged')


def show(frames):
    """Show RGB frames in a window, until they end, or q or Escape is pressed; InputError where is no display."""
    if not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        raise InputError('there is no display here to show the pictures on; --out FILE.mp4 writes them')
    try:
        for frame in frames:
            cv2.imshow('q ends', cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            if cv2.waitKey(1) & 0xff in (27, ord('q')):
                break
        cv2.destroyAllWindows()
    except cv2.error:
        raise InputError('this OpenCV cannot open a window; --out FILE.mp4 writes the pictures') from None
