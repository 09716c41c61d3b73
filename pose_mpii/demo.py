"""Draw the pose that a trained network finds in a photograph, in every photograph of a folder, or in a video.

    python pose_mpii/demo.py photo.jpg --box 310,80,280,460 --out pose.png
    python pose_mpii/demo.py --cfg experiments/mpii/table2/i1.yaml --params output/mpii/table2/i1/best.params ...

The network is the released one (models/README.md) or another trained one. One person is found an image: the one in
--box, or else the one whom the whole image is taken to show. The person's right is drawn orange, the left blue; joints
that the network is not sure of (`inference.confidence` below 0.3) are faint. Where pelvis or thorax is one of them,
neck, shoulders and hips are joined directly instead.

--json writes a list, one member an image: `image`, a file's name or a frame's number, and `joints`, each with `name`,
`x` and `y` in pixels (0-based: the centre of the top left pixel is (0, 0); an image's orientation tag is obeyed) and
`score` in 0..1, that confidence (1 for a regression network).
"""
import os
import re
import sys
from collections import namedtuple
from itertools import chain, islice
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import cv2
import numpy as np
from tqdm import tqdm

from common import experiment, files, grid, results, runtime
from common.data.crop import crop_matrix, fit, invert
from common.data.images import SUFFIXES, find_photographs, read_image
from common.errors import InputError
from common.predict import inference, visualise
from common.programs import options
from common.programs.cli import run
from pose_mpii.skeleton import FLIP_PAIRS, JOINTS, LIMBS, PELVIS, SIDES, THORAX

# A bad video is reported once, by an InputError.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

RELEASED = results.ROOT / 'models/i1_resnet18.params'       # its configuration is the .yaml beside it
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v')
# How the files begin that hold a video themselves: MP4 and QuickTime, AVI, Matroska, MPEG, ASF, FLV, Ogg.
CONTAINERS = re.compile(rb'\x00...(?:ftyp|moov|mdat|wide|free|skip|pnot|uuid)|....mdat|RIFF....AVI |\x1aE\xdf\xa3|'
                        rb'\x00\x00\x01[\xb3\xba]|G.{187}G|0&\xb2u\x8ef\xcf\x11|FLV\x01|OggS\x00', re.DOTALL)
CODECS = {'.mp4': 'mp4v', '.avi': 'MJPG'}     # of the videos written
PER_CONTEXT = 8                               # images at a time for each device
UNSURE = 0.3                                  # joints with a lower score are drawn faintly
TRUNK = ((8, 12), (8, 13), (12, 2), (13, 3), (2, 3))          # limbs for a trunk without pelvis or thorax

Pose = namedtuple('Pose', 'label image box heatmaps joints scores')
Pose.__doc__ = """A person found in an image.

label: a file's name or a frame's number; image: RGB uint8 (H, W, 3); box: (cx, cy, w, h), the crop; heatmaps:
(16, h, w), None for regression; joints: (16, 2) in the image's 0-based pixels; scores: (16,) in 0..1."""


# --- images in -----------------------------------------------------------------------------------------------------

def read_photograph(path):
    """(name, RGB image) of a file, upright as a viewer shows it; InputError as `images.read_image`."""
    return path.name, cv2.cvtColor(read_image(path, upright=True)[0], cv2.COLOR_BGR2RGB)


def read_folder(folder, box, size):
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


def open_video(path):
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
    video = cv2.VideoCapture(name, cv2.CAP_FFMPEG)             # its other readers would take the file's neighbours
    rate = video.get(cv2.CAP_PROP_FPS)
    frames = enumerate(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for _, frame in iter(video.read, (False, None)))
    first = next(frames, None)
    if first is None:
        raise InputError(f'{path}: not a video that can be decoded')
    return chain([first], frames), rate if 0 < rate < 1000 else 25


# --- poses ---------------------------------------------------------------------------------------------------------

def parse_box(text):
    """'x,y,w,h' as four floats; InputError if it is not that, or empty."""
    try:
        x, y, w, h = (float(part) for part in text.split(','))
    except ValueError:
        x = y = w = h = np.nan
    if not (np.isfinite([x, y, w, h]).all() and w > 0 and h > 0):
        raise InputError(f'--box {text}: expected x,y,w,h in pixels, such as 310,80,280,460')
    return x, y, w, h


def crop_box(box, shape, size):
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


def cut(image, box, size):
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


def find_poses(cfg, net, images, box, contexts):
    """Yield the `Pose` in each of the (label, image) pairs by the configured decoding, few images at a time."""
    images, size = iter(images), cfg.input.size
    for batch in iter(lambda: list(islice(images, PER_CONTEXT * len(contexts))), []):
        boxes = [crop_box(box, image.shape, size) for _, image in batch]
        crops = np.stack([cut(image, crop, size) for (_, image), crop in zip(batch, boxes)])
        heatmaps, direct = inference.infer(cfg, net, crops, contexts, FLIP_PAIRS)
        joints = inference.locate(cfg, net, heatmaps, direct, cfg.test.decode,
                                  [crop_matrix(crop, size) for crop in boxes])
        if heatmaps is None:
            heatmaps, scores = [None] * len(batch), np.ones(joints.shape[:2])
        else:
            scores = inference.confidence(heatmaps, cfg.network.beta, cfg.test.window)
        for (label, image), *found in zip(batch, boxes, heatmaps, joints, scores):
            yield Pose(label, image, *found)


# --- pictures and JSON out -----------------------------------------------------------------------------------------

def draw(pose):
    """The image with the skeleton, RGB."""
    faint, shown, limbs = pose.scores < UNSURE, np.ones(len(JOINTS), bool), LIMBS
    if faint[[PELVIS, THORAX]].any():         # as of a network trained on data without them
        shown[[PELVIS, THORAX]], limbs = False, LIMBS + TRUNK
    return visualise.draw_skeleton(pose.image, pose.joints, limbs, SIDES, shown, faint)


def draw_heatmaps(cfg, pose, columns=4):
    """The crop under the heat map of each joint (see `inference.pictured`), RGB."""
    width, height = cfg.input.size
    crop = cut(pose.image, pose.box, (256, 256 * height // width))
    maps = inference.pictured(cfg, pose.heatmaps[None])[0]
    pictures = [visualise.overlay(crop, heatmap) for heatmap in maps]
    rows = range(0, len(JOINTS), columns)
    return visualise.labelled([pictures[i:i + columns] for i in rows], [JOINTS[i:i + columns] for i in rows])


def record(pose):
    """A pose as --json has it."""
    return [{'name': name, 'x': round(float(x), 2), 'y': round(float(y), 2), 'score': round(float(score), 3)}
            for name, (x, y), score in zip(JOINTS, pose.joints, pose.scores)]


def picture_name(folder, name):
    """Where the picture of a photograph in a folder goes: under its own name, with .png after one not written here."""
    return folder / (name if Path(name).suffix.lower() in visualise.SUFFIXES else f'{name}.png')


def write_video(path, rate, frames):
    """Write RGB frames, all of one shape, to an .mp4 or .avi (see `files.replacing`)."""
    writer, count = cv2.VideoWriter(), 0
    with files.replacing(path) as temporary:
        for count, frame in enumerate(frames, 1):
            if not writer.isOpened():
                codec = cv2.VideoWriter_fourcc(*CODECS[path.suffix.lower()])
                if not writer.open(str(temporary), codec, rate, frame.shape[1::-1]):
                    raise InputError(f'{path}: cannot be written; this OpenCV has no encoder for {path.suffix}')
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        if cv2.VideoCapture(str(temporary)).get(cv2.CAP_PROP_FRAME_COUNT) != count:           # it reports no errors
            raise InputError(f'{path}: cannot be written (is the disk full?); any earlier version is unchanged')


# --- the program ---------------------------------------------------------------------------------------------------

def kind(source):
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


def check_network(args):
    """InputError where one of --cfg and --params is given without the other, or neither, and none is released here."""
    if (args.cfg == RELEASED.with_suffix('.yaml')) != (args.params == RELEASED):
        raise InputError('--cfg and --params go together: parameters fit their own network')
    if args.params == RELEASED and not RELEASED.exists():
        raise InputError(f'{RELEASED}: the released network is not there (an installed package has none); give --cfg '
                         'and --params')


def check_outputs(args, cfg, given):
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


def main(argv=None):
    parser = options.parser(__doc__)
    options.add_network(parser, RELEASED.with_suffix('.yaml'))
    parser.add_argument('--params', default=RELEASED, metavar='FILE',
                        help=f'its .params, or an exported .onnx (default: {RELEASED})')
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
    check_network(args)
    cfg = options.configuration(args, 'mpii', ['test.flip=true'] * args.flip_test)
    box = None if args.box is None else parse_box(args.box)
    source, out, given = Path(args.image), Path(args.out), kind(Path(args.image))
    check_outputs(args, cfg, given)
    if given == 'video':
        images, rate = open_video(source)
    else:
        images = read_folder(source, box, cfg.input.size) if given == 'folder' else [read_photograph(source)]
    contexts = runtime.contexts(args.gpus, args.cpus)
    net = experiment.load_network(cfg, len(JOINTS), args.params, contexts)
    records = []

    def pictures():
        for pose in tqdm(find_poses(cfg, net, images, box, contexts), desc='demo', unit=' images', leave=False):
            records.append({'image': pose.label, 'joints': record(pose)})
            if args.heatmaps:
                visualise.save(args.heatmaps, draw_heatmaps(cfg, pose))
            yield pose.label, draw(pose)

    try:
        if given == 'video':
            write_video(out, rate, (picture for _, picture in pictures()))
        else:
            for name, picture in pictures():
                visualise.save(picture_name(out, name) if given == 'folder' else out, picture)
    finally:                                  # of an interrupted folder, too, what is known
        if args.json and records:
            files.write_json(args.json, records)


if __name__ == '__main__':
    run(main)
