"""Drawing the poses that a trained network finds in photographs, in a video, or before a camera.

People are where --box (once for each) or a detector's --boxes say, or --detect finds them; without any of these, one
person is taken to fill the image. A person's right is drawn orange, the left blue; joints that the network is not sure
of (`heatmaps.confidence` below 0.3) are faint, and those that it was never trained to find (`nets.trained.moved`) are
not drawn. A person whose joints' mean score is below 0.45 (`poses.UNSURE`) is not drawn, and a warning says so. Boxes
are drawn where there may be several, in the colour of their person, who keeps it in a video.

--json writes a list with one member for each person, whether there is one or there are several in an image:

    image       a file's name or a frame's number
    person      a number: in a video the same person's in all frames
    box         [x, y, width, height], as --box takes it
    box_score   the detector's, where there is one
    score       the mean of the joints' scores
    sure        whether that is enough for a person to be there
    joints      of each joint `name`, `x` and `y` in pixels (0-based: the centre of the top left pixel is (0, 0); an
                image's orientation tag is obeyed), `score` in 0..1, that confidence (1 for a regression network), and
                `trained`, false for a joint that the network was never trained to find: its place means nothing

An image in which nobody is found has no member.
"""
import sys
import time
from pathlib import Path
from typing import Iterator

import numpy as np
from tqdm import tqdm

from common import files, runtime, skeleton
from common.data import video
from common.data.crop import cut
from common.errors import InputError
from common.predict import boxes, inference, people, poses, visualise
from common.predict.onnx_net import is_export
from common.programs import options, sources
from common.train.termination import Termination

FAINT = 0.3                                   # joints with a lower score are drawn faintly
COLUMNS = 4                                   # of heat maps in a row


# --- pictures and JSON out -----------------------------------------------------------------------------------------

def draw(scene, person, boxed) -> np.ndarray:
    """The image with the skeletons of the people whom the network is sure of, and if `boxed` everybody's box, RGB."""
    picture = scene.image.copy()
    for pose in scene.poses:
        if boxed:
            visualise.draw_box(picture, pose.box, pose.number)
        if pose.sure:
            picture = visualise.draw_person(picture, pose.joints, person, pose.trained, pose.scores < FAINT)
    return picture


def draw_heatmaps(cfg, scene) -> np.ndarray:
    """The first person's crop under the heat map of each joint that was trained (see `inference.pictured`), RGB."""
    (width, height), pose = cfg.input.size, scene.poses[0]
    crop = cut(scene.image, boxes.crop_box(pose.box, scene.image.shape, cfg.input.size), (256, 256 * height // width))
    maps = inference.pictured(cfg, pose.heatmaps[None])[0]
    pictures = [visualise.overlay(crop, heatmap, cfg.network.grid) for heatmap in maps[pose.trained]]
    names = [name for name, trained in zip(skeleton.of(cfg).joints, pose.trained) if trained]
    blank = [np.full_like(pictures[0], 255)] * (-len(pictures) % COLUMNS)
    pictures, names = pictures + blank, names + [''] * len(blank)
    rows = range(0, len(names), COLUMNS)
    return visualise.labelled([pictures[i:i + COLUMNS] for i in rows], [names[i:i + COLUMNS] for i in rows])


def picture_name(folder, name) -> Path:
    """Where the picture of one of several photographs goes: under its name, with .png after one not written here."""
    return folder / (name if Path(name).suffix.lower() in visualise.SUFFIXES else f'{name}.png')


# --- the program ---------------------------------------------------------------------------------------------------

def check_network(args, released):
    """InputError where one of --cfg and --params is given without the other, or neither, and none is released."""
    if is_export(args.params):                # which has a configuration
        args.cfg = None if args.cfg == (released and released.with_suffix('.yaml')) else args.cfg
        return
    if released is None and not (args.cfg and args.params):
        raise InputError('--cfg and --params are both needed: no trained network is released for this data set')
    if released and (args.cfg == released.with_suffix('.yaml')) != (args.params == released):
        raise InputError('--cfg and --params go together: parameters fit their own network')
    if args.params == released and not released.exists():
        raise InputError(f'{released}: the released network is not there (an installed package has none); give --cfg '
                         'and --params')


def check_places(args, cfg, source):
    """Say before anything is computed what cannot be written."""
    if not args.out and source.kind != 'camera':
        raise InputError('--out is missing')
    out = Path(args.out or '')
    if source.kind == 'photograph':
        visualise.check_suffix(out)
    if source.kind in sources.MOVING and args.out and out.suffix.lower() not in video.CODECS:
        raise InputError(f'--out {out}: videos are written as {" or ".join(video.CODECS)}')
    if args.heatmaps:
        visualise.check_suffix(args.heatmaps)
        if source.kind != 'photograph':
            raise InputError(f'--heatmaps {args.heatmaps}: is for a single photograph')
        if cfg.network.head == 'regression':
            raise InputError(f'--heatmaps {args.heatmaps}: {cfg.name} is a regression network, which has none')
    read = [*source.paths, args.boxes, args.cfg, args.params, args.detector_params]
    written = [args.json, args.heatmaps]
    if source.kind == 'photographs':
        pictures = [picture_name(out, path.name) for path in source.paths]
        if any(path.parent.resolve() == out.resolve() for path in source.paths):
            raise InputError(f'--out {out}: would overwrite what is read')
        if len(set(pictures)) < len(pictures):
            twice = next(path for path in pictures if pictures.count(path) > 1)
            raise InputError(f'{twice}: given for two different photographs; rename one')
        written += pictures
    else:
        written.append(args.out)
    files.check_outputs(written, read)


def arguments(released):
    """The command line's parser; released: the `Dataset`'s."""
    parser = options.parser(__doc__)
    options.add_network(parser, released and released.with_suffix('.yaml'), required=False)
    parser.add_argument('--params', default=released, metavar='FILE',
                        help='its .params, or an exported .onnx' + f' (default: {released})' * bool(released))
    parser.add_argument('images', nargs='*', metavar='IMAGE', help='photographs, a folder of them, or a video')
    parser.add_argument('--camera', metavar='0', help='instead of an IMAGE: the number of a camera, its device or the '
                        'address of a stream; Ctrl-C ends')
    parser.add_argument('--out', metavar='PNG', help='the picture to write, the folder for several, the video (.mp4, '
                        '.avi) for a video or camera (a camera without: a window)')
    where = parser.add_mutually_exclusive_group()
    where.add_argument('--box', action='append', metavar='x,y,w,h', help='a person with a tenth of the box to spare on '
                       'each side, in pixels of every image; again for more people; --box=-9,0,.. where it begins '
                       'outside')
    where.add_argument('--boxes', metavar='FILE', help="a detector's people in COCO's result format (image_id: the "
                       "number that a file's name ends in, or a frame's; or file_name), those of a score of at least "
                       f'{boxes.LEAST_SCORE}')
    where.add_argument('--detect', action='store_true', help='find people first')
    parser.add_argument('--detector', metavar='NAME', help=f"one of GluonCV's Faster R-CNNs, {people.OWN}, the "
                        f"paper's, or {people.HOG}, OpenCV's (default: GluonCV's {people.DEFAULT}, fetched once, or "
                        "OpenCV's where that cannot be fetched)")
    parser.add_argument('--detector-params', metavar='FILE', help="the detector's .params")
    parser.add_argument('--flip-test', action='store_true',
                        help='average with the mirrored image (default: for photographs, what the experiment says)')
    parser.add_argument('--heatmaps', metavar='PNG', help="draw the heat maps of a photograph's (first) person")
    parser.add_argument('--json', metavar='FILE', help='write joints, in 0-based pixels, and their scores')
    return parser


class Demo:
    """One run: what is drawn, and what is known of it afterwards."""

    def __init__(self, args, cfg, source, net, contexts):
        self._args, self._cfg, self._source, self._net, self._contexts = args, cfg, source, net, contexts
        self._tracks = boxes.Tracks() if source.kind in sources.MOVING else None
        self._boxed = bool(args.detect or args.boxes or len(args.box or ()) > 1)
        self.records, self.count, self.doubts = [], 0, 0

    def pictures(self, images, proposed) -> Iterator[tuple]:
        """Yield (label, picture) of each of the images of `poses.find_poses`; proposed: boxes may be anything's."""
        person, at_once = skeleton.of(self._cfg), 1 if self._source.kind == 'camera' else poses.PER_CONTEXT
        scenes = poses.find_poses(self._cfg, self._net, images, self._contexts, at_once)
        for scene in tqdm(scenes, desc='demo', unit=' images', leave=False, **runtime.bar_intervals()):
            scene = self._settled(scene, proposed)
            if self._args.json:
                self.records += [poses.record(scene.label, pose, person.joints) for pose in scene.poses]
            if self._args.heatmaps and scene.poses:
                visualise.save(self._args.heatmaps, draw_heatmaps(self._cfg, scene))
            elif self._args.heatmaps:
                print(f'warning: {self._args.heatmaps}: not written, as nobody is found', file=sys.stderr)
            yield scene.label, draw(scene, person, self._boxed)

    def _settled(self, scene, proposed):
        """The scene with its people's numbers, and without those who are none; doubts are said, or counted."""
        found = poses.surest(scene.poses) if proposed else scene.poses
        if self._tracks:
            numbers = self._tracks.numbers([pose.box for pose in found])
            found = [pose._replace(number=number) for pose, number in zip(found, numbers)]
        scene = scene._replace(poses=found)
        self.count += 1
        said = poses.doubt(scene)
        self.doubts += bool(said)
        if said and not self._tracks:
            print(f'warning: {scene.label}: {said}', file=sys.stderr)
        return scene


def main(dataset, argv=None):
    args = arguments(dataset.released).parse_intermixed_args(argv)
    check_network(args, dataset.released)
    source = sources.source_of(args.images, args.camera)
    plain = source.kind in sources.MOVING and not is_export(args.params)       # which flips as it was exported
    cfg = options.experiment(args, [*['test.flip=false'] * plain, *args.overrides,
                                    *['test.flip=true'] * args.flip_test])
    check_places(args, cfg, source)
    contexts = options.contexts(args)
    find = sources.finder(args, source, runtime.contexts(cpus=args.cpus) if is_export(args.params) else contexts)
    if source.kind in sources.MOVING:
        shown = video.camera(args.camera) if source.kind == 'camera' else video.read(source.paths[0])
        images = ((number, frame, find(number, frame)) for number, frame in enumerate(shown.frames))
    else:
        images = sources.read_photographs(source, find, cfg.input.size)
    net = inference.load_network(cfg, args.params, contexts)
    demo = Demo(args, cfg, source, net, contexts)
    pictures = demo.pictures(images, find is people.propose)
    try:
        if source.kind in sources.MOVING:
            film(args.out and Path(args.out), shown.rate, pictures, demo, source)
        else:
            for name, picture in pictures:
                out = Path(args.out)
                visualise.save(picture_name(out, name) if source.kind == 'photographs' else out, picture)
    finally:                                  # of what is interrupted, too, what is known
        if args.json and (demo.records or demo.count):
            files.write_json(args.json, demo.records)


def film(out, rate, pictures, demo, source):
    """Write the pictures as a video to `out`, or without it show them, and say how many there were a second.

    Those of a camera end in good order with the first Ctrl-C or SIGTERM.
    """
    begin = time.monotonic()
    with Termination(enabled=source.kind == 'camera') as termination:
        frames = (picture for _, picture in iter(lambda: None if termination.signal else next(pictures, None), None))
        video.write(out, rate, frames) if out else video.show(frames)
    seconds = time.monotonic() - begin
    if demo.doubts:
        print(f'warning: {source.name}: in {demo.doubts} of {demo.count} frames nobody is found, or the network is not '
              'sure of somebody, who is not drawn', file=sys.stderr)
    print(f'{demo.count} frames in {seconds:.1f} s, {demo.count / seconds:.1f} a second')
