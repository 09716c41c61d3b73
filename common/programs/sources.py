"""What a network is shown: photographs, their folders, videos and cameras, and where in them people are."""
import sys
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

import numpy as np

from common.data import video
from common.data.images import read_rgb
from common.errors import InputError
from common.predict import boxes, people

MOVING = ('video', 'camera')
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')      # of photographs in a folder
UNREAD = ('.gif', '.jfif', '.avif', '.heic', '.heif')                      # photographs too, but passed over


class Source(NamedTuple):
    """What is to be looked at."""

    kind: str                                 # photograph, photographs, video or camera
    paths: list                               # of files; of a camera what OpenCV calls it
    name: str                                 # for messages


def find_photographs(folder) -> list:
    """The image files of a folder, sorted; InputError if there is none. Those of other kinds are named in a warning."""
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f'{folder}: cannot be read ({error.strerror})') from None
    paths, others = ([path for path in found if path.suffix.lower() in kinds] for kinds in (SUFFIXES, UNREAD))
    if others:
        print(f'warning: {folder}: left out: {", ".join(path.name for path in others)} (what is read: '
              f'{", ".join(SUFFIXES)})', file=sys.stderr)
    if not paths:
        raise InputError(f'{folder}: no image in this folder ({", ".join(SUFFIXES)})')
    return paths


def source_of(images, camera) -> Source:
    """What the command line names; InputError where it is nothing, not there, or not of one kind."""
    if (camera is None) == (not images):
        raise InputError('expected photographs, a folder of them or a video, or else --camera and nothing of these')
    if camera is not None:
        return Source('camera', [camera], f'--camera {camera}')
    paths = [Path(image) for image in images]
    for path in paths:
        if not path.exists():
            raise InputError(f'{path}: no such file or folder')
    (first, *others), suffixes = paths, {path.suffix.lower() for path in paths}
    if first.is_dir() and not others:
        return Source('photographs', find_photographs(first), str(first))
    if suffixes <= set(SUFFIXES):
        return Source('photographs' if others else 'photograph', paths, ', '.join(map(str, paths[:3])))
    if suffixes <= set(video.SUFFIXES) and not others:
        return Source('video', paths, str(first))
    wrong = next(path for path in paths if path.suffix.lower() not in SUFFIXES)
    raise InputError(f'{wrong}: expected one folder, photographs ({", ".join(SUFFIXES)}) or one video '
                     f'({", ".join(video.SUFFIXES)})')


def read_photographs(source, find, size) -> Iterator[tuple]:
    """Yield (name, RGB image, boxes) of each photograph, `find`(name, image) being the boxes.

    Of several, each that fails, or that a box is not of, is a warning; all of them are an InputError.
    """
    used = 0
    for path in source.paths:
        try:
            image = read_rgb(path)
            found = find(path.name, image)
            for box in found.boxes if found else ():
                boxes.crop_box(box, image.shape, size)
        except InputError as error:
            if source.kind == 'photograph':
                raise
            print(f'warning: left out: {path.name}: {error}', file=sys.stderr)
            continue
        used += 1
        yield path.name, image, found
    if not used:
        raise InputError(f'{source.name}: none of its {len(source.paths)} photographs can be used')


def finder(args, source, contexts) -> Callable:
    """A function of an image's name and the RGB image: `boxes.Boxes`, or None where one person fills it."""
    if not args.detect and (args.detector or args.detector_params):
        raise InputError('--detector and --detector-params: are of --detect')
    if args.detect:
        return people.finder(args.detector, args.detector_params, contexts, '--detector-params FILE')
    if args.boxes:
        read = boxes.read(args.boxes)
        if source.kind in MOVING:             # people leave the picture
            return lambda number, frame: boxes.within(boxes.of_image(read, number), frame.shape)
        _warn_of_others(args.boxes, read, [path.name for path in source.paths])
        return lambda name, image: boxes.of_image(read, name)
    found = boxes.Boxes(np.array([boxes.parse(box) for box in args.box])) if args.box else None
    return lambda name, image: found


def _warn_of_others(path, found, photographs):
    """Say it where the file's boxes, as `boxes.read` found them, are of none of the photographs."""
    if not any(name in found for photograph in photographs for name in boxes.names_of(photograph)):
        print(f'warning: {path}: has boxes of {_some(found)}, but none of {_some(photographs)} (file_name is the name '
              'of a photograph, image_id the number at its end, before the suffix)', file=sys.stderr)


def _some(names):
    """The first names of many, for a message."""
    names = list(map(str, names))
    return ', '.join(names[:3]) + ', ...' * (len(names) > 3) or 'nothing'
