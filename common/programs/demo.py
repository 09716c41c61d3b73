"""Drawing the pose that a trained network finds in a photograph, in every photograph of a folder, or in a video.

One person is found an image: the one in --box, or else the one whom the whole image is taken to show. The person's right
is drawn orange, the left blue; joints that the network is not sure of (`heatmaps.confidence` below 0.3) are faint. Where
one of them is a joint that not all data have, those are left out, and others joined directly instead (`common.skeleton`).

--json writes a list, one member an image: `image`, a file's name or a frame's number, and `joints`, each with `name`,
`x` and `y` in pixels (0-based: the centre of the top left pixel is (0, 0); an image's orientation tag is obeyed) and
`score` in 0..1, that confidence (1 for a regression network).
"""
import os
import re
import sys
from itertools import chain, islice
from pathlib import Path
from typing import Any, Iterator, NamedTuple, Optional, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from common import files, grid, heatmaps, runtime, skeleton
from common.data.crop import crop_matrix, fit, invert
from common.data.images import SUFFIXES, find_photographs, read_image
from common.errors import InputError
from common.predict import inference, visualise
from common.programs import options

# A bad video is reported once, by an InputError.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v')
# How the files begin that hold a video themselves: MP4 and QuickTime, AVI, Matroska, MPEG, ASF, FLV, Ogg.
CONTAINERS = re.compile(rb'\x00...(?:ftyp|moov|mdat|wide|free|skip|pnot|uuid)|....mdat|RIFF....AVI |\x1aE\xdf\xa3|'
                        rb'\x00\x00\x01[\xb3\xba]|G.{187}G|0&\xb2u\x8ef\xcf\x11|FLV\x01|OggS\x00', re.DOTALL)
CODECS = {'.mp4': 'mp4v', '.avi': 'MJPG'}     # of the videos written
PER_CONTEXT = 8                               # images at a time for each device
UNSURE = 0.3                                  # joints with a lower score are drawn faintly


class Pose(NamedTuple):
    """A person found in an image."""

    label: Any                                # a file's name or a frame's number
    image: np.ndarray                         # RGB uint8 (H, W, 3)
    box: tuple                                # (cx, cy, w, h), the crop
    heatmaps: Optional[np.ndarray]            # (K, h, w), None for regression
    joints: np.ndarray                        # (K, 2) in the image's 0-based pixels
    scores: np.ndarray                        # (K,) in 0..1


# --- images in -----------------------------------------------------------------------------------------------------

def read_photograph(path) -> Tuple[str, np.ndarray]:
    """(name, RGB image) of a file, upright as a viewer shows it; InputError as `images.read_image`."""
    return path.name, cv2.cvtColor(read_image(path, upright=True)[0], cv2.COLOR_BGR2RGB)


def read_folder(folder, box, size) -> Iterator[Tuple[str, np.ndarray]]:
    """Yield `read_photograph` of each photograph in a folder, but for those that fail, or that the box is not of.

    Each of these is a warning; all of them are an InputError.
    """
    paths, used = find_photographs(folder), 0
    for path in paths:
        try:
            name, image = read_photograph(path)
            crop_box(box, image.shape, size)
        except InputError as error:
            print(f'warning: left out: {path.name}: {error}', file=sys.stderr)
            continue
        used += 1
        yield name, image
    if not used:
        raise InputError(f'{folder}: none of its {len(paths)} photographs can be used')


def open_video(path) -> Tuple[Iterator, float]:
    """An iterator over (number, RGB image) of a video's frames, and its frames per second.

    InputError if there is not a single frame that can be decoded, or OpenCV cannot take the file's name. A file that
    does not begin as a container of video does is none: FFmpeg would take a list of other files for a video of them.
    """
    try:
        name = files.utf8_name(path)
        with open(path, 'rb') as file:
            head = file.read(192)
    except UnicodeError:                      # a name that is not UTF-8 crashes it
        name, head = '\n', b''
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror})') from None
    if not name.isprintable():
        raise InputError(f'{str(path)!r}: give the video a name without unprintable characters')
    if not CONTAINERS.match(head):
        raise InputError(f'{path}: not a video that can be decoded ({", ".join(VIDEOS)})')
    video = cv2.VideoCapture(name)
    rate = video.get(cv2.CAP_PROP_FPS)
    frames = enumerate(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for _, frame in iter(video.read, (False, None)))
    first = next(frames, None)
    if first is None:
        raise InputError(f'{path}: not a video that can be decoded')
    return chain([first], frames), rate if 0 < rate < 1000 else 25


# --- poses ---------------------------------------------------------------------------------------------------------

def parse_box(text) -> Tuple[float, float, float, float]:
    """'x,y,w,h' as four floats; InputError if it is not that, or empty."""
    try:
        x, y, w, h = (float(part) for part in text.split(','))
    except ValueError:
        x = y = w = h = np.nan
    if not (np.isfinite([x, y, w, h]).all() and w > 0 and h > 0):
        raise InputError(f'--box {text}: expected x,y,w,h in pixels, such as 310,80,280,460')
    return x, y, w, h


def crop_box(box, shape, size) -> Tuple[float, float, float, float]:
    """The least box (cx, cy, w, h) around `box` (x, y, w, h) that has the proportions of the input's `size`.

    box: pixels x to x + w - 1 and y to y + h - 1, None for a whole image of `shape`. It may reach beyond the image;
    InputError if it lies outside, or is more than ten times as large.
    """
    height, width = shape[:2]
    x, y, w, h = box or (0, 0, width, height)
    outside = x >= width or y >= height or x + w <= 0 or y + h <= 0
    if outside or max(w, h) > 10 * max(width, height):
        raise InputError(f'--box {x:g},{y:g},{w:g},{h:g}: expected a part of the image, which has {width} x {height} '
                         'pixels')
    return x + (w - 1) / 2, y + (h - 1) / 2, *fit(w, h, size)


def cut(image, box, size) -> np.ndarray:
    """The crop of a box (cx, cy, w, h) at `size` (width, height), as `images.read_crop` cuts it out of a JPEG.

    For a large box the image is first reduced to 1/2, 1/4 or 1/8, so that no pixel is skipped; black is outside.
    """
    cx, cy, w, h = box
    reduction = max(r for r in (1, 2, 4, 8) if r <= max(w / size[0], 1))
    below, beside = (-length % reduction for length in image.shape[:2])
    whole = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    small = cv2.resize(whole, None, fx=1 / reduction, fy=1 / reduction, interpolation=cv2.INTER_AREA)
    centre = grid.to_cells(cx, reduction), grid.to_cells(cy, reduction)
    to_small = invert(crop_matrix((*centre, w / reduction, h / reduction), size))
    return cv2.warpAffine(small, to_small, tuple(size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def find_poses(cfg, net, images, box, contexts) -> Iterator[Pose]:
    """Yield the `Pose` in each of the (label, image) pairs by the configured decoding, few images at a time."""
    images, size = iter(images), cfg.input.size
    for batch in iter(lambda: list(islice(images, PER_CONTEXT * len(contexts))), []):
        boxes = [crop_box(box, image.shape, size) for _, image in batch]
        crops = np.stack([cut(image, crop, size) for (_, image), crop in zip(batch, boxes)])
        maps, direct = inference.infer(cfg, net, crops, contexts)
        joints = inference.locate(cfg, net, maps, direct, cfg.test.decode,
                                  [crop_matrix(crop, size) for crop in boxes])
        if maps is None:
            maps, scores = [None] * len(batch), np.ones(joints.shape[:2])
        else:
            scores = heatmaps.confidence(maps, cfg.network.beta, cfg.test.window, cfg.network.debiased)
        for (label, image), *found in zip(batch, boxes, maps, joints, scores):
            yield Pose(label, image, *found)


# --- pictures and JSON out -----------------------------------------------------------------------------------------

def draw(pose, person) -> np.ndarray:
    """The image with the `skeleton.Skeleton` of the person, RGB."""
    faint, shown, limbs = pose.scores < UNSURE, np.ones(len(person.joints), bool), person.limbs
    if faint[list(person.optional)].any():    # as of a network trained on data without them
        shown[list(person.optional)], limbs = False, limbs + person.detours
    return visualise.draw_skeleton(pose.image, pose.joints, limbs, person.sides, shown, faint)


def draw_heatmaps(cfg, pose, columns=4) -> np.ndarray:
    """The crop under the heat map of each joint (see `inference.pictured`), RGB."""
    width, height = cfg.input.size
    crop = cut(pose.image, pose.box, (256, 256 * height // width))
    maps = inference.pictured(cfg, pose.heatmaps[None])[0]
    pictures = [visualise.overlay(crop, heatmap) for heatmap in maps]
    names = skeleton.of(cfg).joints
    blank = [np.full_like(pictures[0], 255)] * (-len(pictures) % columns)
    pictures, names = pictures + blank, list(names) + [''] * len(blank)
    rows = range(0, len(names), columns)
    return visualise.labelled([pictures[i:i + columns] for i in rows], [names[i:i + columns] for i in rows])


def record(pose, names) -> list:
    """A pose as --json has it; names: of the joints."""
    return [{'name': name, 'x': round(float(x), 2), 'y': round(float(y), 2), 'score': round(float(score), 3)}
            for name, (x, y), score in zip(names, pose.joints, pose.scores)]


def picture_name(folder, name) -> Path:
    """Where the picture of a photograph in a folder goes: under its own name, with .png after one not written here."""
    return folder / (name if Path(name).suffix.lower() in visualise.SUFFIXES else f'{name}.png')


def write_video(path, rate, frames):
    """Write RGB frames, all of one shape, to an .mp4 or .avi (see `files.replacing`)."""
    writer, count = cv2.VideoWriter(), 0
    with files.replacing(path) as temporary:
        for count, frame in enumerate(frames, 1):
            if not writer.isOpened():
                codec = cv2.VideoWriter_fourcc(*CODECS[path.suffix.lower()])
                if not writer.open(files.utf8_name(temporary), codec, rate, frame.shape[1::-1]):
                    raise InputError(f'{path}: cannot be written; this OpenCV has no encoder for {path.suffix}')
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        written = cv2.VideoCapture(files.utf8_name(temporary)).get(cv2.CAP_PROP_FRAME_COUNT)
        if written != count:                  # it reports no errors
            raise InputError(f'{path}: cannot be written (is the disk full?); any earlier version is unchanged')


# --- the program ---------------------------------------------------------------------------------------------------

def kind(source) -> str:
    """'folder', 'photograph' or 'video'; InputError if it is none of them, or is not there."""
    if not source.exists():
        raise InputError(f'{source}: no such file or folder')
    if source.is_dir():
        return 'folder'
    if source.suffix.lower() in SUFFIXES:
        return 'photograph'
    if source.suffix.lower() in VIDEOS:
        return 'video'
    raise InputError(f'{source}: expected a folder, a photograph ({", ".join(SUFFIXES)}) or a video '
                     f'({", ".join(VIDEOS)})')


def check_network(args, released):
    """InputError where one of --cfg and --params is given without the other, or neither, and none is released."""
    if released is None and not (args.cfg and args.params):
        raise InputError('--cfg and --params are both needed: no trained network is released for this data set')
    if released and (args.cfg == released.with_suffix('.yaml')) != (args.params == released):
        raise InputError('--cfg and --params go together: parameters fit their own network')
    if args.params == released and not released.exists():
        raise InputError(f'{released}: the released network is not there (an installed package has none); give --cfg '
                         'and --params')


def check_places(args, cfg, given):
    """Say before anything is computed what cannot be written for the `kind` given."""
    out = Path(args.out)
    if given == 'photograph':
        visualise.check_suffix(out)
    if given == 'video' and out.suffix.lower() not in CODECS:
        raise InputError(f'--out {out}: videos are written as {" or ".join(CODECS)}')
    if args.heatmaps:
        visualise.check_suffix(args.heatmaps)
        if given != 'photograph':
            raise InputError(f'--heatmaps {args.heatmaps}: is for a single photograph')
        if cfg.network.head == 'regression':
            raise InputError(f'--heatmaps {args.heatmaps}: {cfg.name} is a regression network, which has none')
    if given == 'folder':
        if os.path.realpath(out) == os.path.realpath(args.image):
            raise InputError(f'--out {out}: would overwrite what is read')
        files.make_folder(out.resolve().parent)
    outputs = filter(None, (given != 'folder' and out, args.json, args.heatmaps))
    files.check_outputs(outputs, (args.image, args.cfg, args.params))


def main(dataset, argv=None):
    released = dataset.released
    parser = options.parser(__doc__)
    options.add_network(parser, released and released.with_suffix('.yaml'), required=False)
    parser.add_argument('--params', default=released, metavar='FILE',
                        help='its .params, or an exported .onnx' + f' (default: {released})' * bool(released))
    parser.add_argument('image', metavar='IMAGE', help='a photograph, a folder of photographs, or a video')
    parser.add_argument('--out', required=True, metavar='PNG',
                        help='the picture to write, the folder for a folder, the video (.mp4, .avi) for a video')
    parser.add_argument('--box', metavar='x,y,w,h', help='the person with a tenth to spare on each side, in pixels of '
                        'every image; --box=-9,0,.. where it begins outside (default: the whole image, which one '
                        'person should fill)')
    parser.add_argument('--flip-test', action='store_true', help='average with the mirrored image')
    parser.add_argument('--heatmaps', metavar='PNG', help='draw the heat maps of all joints of a photograph')
    parser.add_argument('--json', metavar='FILE', help='write joints, in 0-based pixels, and their scores')
    args = parser.parse_args(argv)
    check_network(args, released)
    cfg = options.configuration(args, dataset, ['test.flip=true'] * args.flip_test)
    box = None if args.box is None else parse_box(args.box)
    source, out, given = Path(args.image), Path(args.out), kind(Path(args.image))
    check_places(args, cfg, given)
    if given == 'video':
        images, rate = open_video(source)
    else:
        images = read_folder(source, box, cfg.input.size) if given == 'folder' else [read_photograph(source)]
    contexts = runtime.contexts(args.gpus, args.cpus)
    net = inference.load_network(cfg, args.params, contexts)
    person, records = skeleton.of(cfg), []

    def pictures():
        for pose in tqdm(find_poses(cfg, net, images, box, contexts), desc='demo', unit=' images', leave=False):
            if args.json:
                records.append({'image': pose.label, 'joints': record(pose, person.joints)})
            if args.heatmaps:
                visualise.save(args.heatmaps, draw_heatmaps(cfg, pose))
            yield pose.label, draw(pose, person)

    try:
        if given == 'video':
            write_video(out, rate, (picture for _, picture in pictures()))
        else:
            for name, picture in pictures():
                visualise.save(picture_name(out, name) if given == 'folder' else out, picture)
    finally:                                  # of an interrupted folder, too, what is known
        if records:
            files.write_json(args.json, records)

