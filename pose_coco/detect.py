"""Find the people in COCO's images: write the boxes that `test.py --boxes` takes.

    python pose_coco/detect.py --data data/coco --split val2017 --out person_detections_val2017.json
    python pose_coco/detect.py --data data/coco --split test-dev2017 --out person_detections_test-dev2017.json \\
        --model xception --params output/coco/detector/last.params

The detector is a Faster R-CNN of GluonCV's model zoo, trained on COCO, or the paper's own (`train_detector.py`). What
is found goes into OUT.partial, image by image; there the same command goes on after it was stopped, and the file it
ends with is that of an uninterrupted run.
"""
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Iterator

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.runtime import import_gluoncv    # before MXNet: it sets the threads

import_gluoncv()

import mxnet as mx
import numpy as np
from gluoncv.data.transforms.presets.rcnn import transform_test
from mxnet import gluon
from tqdm import tqdm

from common import files, provenance, runtime
from common.data.images import read_image
from common.errors import InputError
from common.guard.rules import is_list, is_object
from common.predict.people import DEFAULT, OWN, SHORT, check_shape, load_detector, people_in
from common.programs import options
from common.programs.cli import run
from common.weights import checkpoint
from pose_coco.layout import PERSON, annotation_files, read_split, write_results

MOST = 100                                    # COCO's evaluation takes no more boxes of an image


class Photographs(gluon.data.Dataset):
    """Images as a detector sees them: (1, 3, h, w) float32, and the size (H, W) of the file's image.

    records: as of `layout.read_split`; short, max_size: of the sides h and w. InputError where a file cannot be read.
    """

    def __init__(self, records, short, max_size):
        self._records, self._short, self._max_size = records, short, max_size

    def __len__(self):
        return len(self._records)

    def __getitem__(self, index):
        image = read_for_detector(self._records[index]['path'], self._short)
        return transform_test(image, self._short, self._max_size)[0], image.shape[:2]


def read_for_detector(path, short) -> mx.nd.NDArray:
    """The image in a file, uint8 (H, W, 3), to be scaled to a shorter side of `short` and a longer of at most 5/3 that.

    InputError as `images.read_image`, and where nothing would be left of the shorter side.
    """
    image = read_image(path)[0]
    check_shape(path, image.shape, short)
    return mx.nd.array(image[..., ::-1], dtype=np.uint8)


def detect(net, records, contexts, threshold) -> Iterator[list]:
    """For every image, in order, the list of people in it: COCO's records, the best first, of at least a score."""
    loader = gluon.data.DataLoader(Photographs(records, net.short, net.max_size), len(contexts), batchify_fn=list,
                                   num_workers=runtime.available_cores(), thread_pool=True)
    for batch in loader:
        outputs = [net(image.as_in_context(context)) for (image, _), context in zip(batch, contexts)]   # at once
        for (image, size), output in zip(batch, outputs):
            boxes, scores = people_in(net, output, image.shape[2:], size)
            chosen = np.flatnonzero(scores >= threshold)
            chosen = chosen[np.argsort(-scores[chosen], kind='stable')[:MOST]]
            yield to_records(boxes[chosen], scores[chosen])


def to_records(boxes, scores) -> list:
    """Boxes (N, 4), [x, y, width, height], as COCO's records without image ids."""
    return [{'category_id': PERSON, 'bbox': [round(float(n), 2) for n in box], 'score': round(float(score), 5)}
            for box, score in zip(boxes, scores)]


def read_partial(path, about) -> list:
    """What an interrupted run found in the first images, a list of records for each; where there is no file, starts it.

    about: what has to be the same (a JSON-able dict); InputError if it was not, or if the file cannot be used.
    """
    if not path.exists():
        files.write_text(path, json.dumps(about) + '\n')
    content = files.read_bytes(path)
    end = content.rfind(b'\n') + 1            # the rest is of an image in whose midst it was stopped
    try:
        first, *found = map(json.loads, content[:end].splitlines())
    except (ValueError, RecursionError):
        first = found = None
    if not is_object(first) or not is_list(found, lambda people: is_list(people, is_object)):
        raise InputError(f'{path}: damaged; remove it to start anew')
    changed = [key for key in about if first.get(key) != about[key]]
    if changed:
        raise InputError(f'{path}: of a run with {changed[0]} {first.get(changed[0])!r}, not {about[changed[0]]!r}; '
                         'remove it, or use another --out')
    os.truncate(path, end)
    return found


def write_detections(net, records, contexts, threshold, out, about) -> int:
    """Write the people in images to a file, by way of its .partial (`read_partial`); returns how many."""
    partial = Path(f'{out}.partial')
    found = read_partial(partial, about)
    bar = tqdm(total=len(records), initial=len(found), desc='detect', unit=' images', dynamic_ncols=True,
               **runtime.bar_intervals())
    try:
        with bar, open(partial, 'a', encoding='utf-8') as file:
            for people in detect(net, records[len(found):], contexts, threshold):
                found.append(people)
                file.write(json.dumps(people) + '\n')
                file.flush()
                bar.update()
    except OSError as error:                  # a full disk
        raise InputError(f'{partial}: cannot be written ({error.strerror}); the same command goes on from it') from None
    boxes = [{'image_id': image['id'], **person} for image, people in zip(records, found) for person in people]
    write_results(out, boxes)
    partial.unlink()
    return len(boxes)


def main(argv=None):
    parser = options.parser(__doc__)
    options.add_devices(parser)
    parser.add_argument('--data', default='data/coco', help='folder in COCO\'s layout (default: data/coco)')
    parser.add_argument('--split', default='val2017', help='val2017 (default), test-dev2017, ...')
    parser.add_argument('--out', required=True, metavar='FILE', help='the boxes, in COCO\'s result format')
    parser.add_argument('--model', default=DEFAULT, metavar='NAME',
                        help=f'{OWN}, the paper\'s, or one of GluonCV\'s Faster R-CNNs (default: %(default)s)')
    parser.add_argument('--params', metavar='FILE', help='the model\'s .params (default: GluonCV\'s, fetched once)')
    parser.add_argument('--short', type=int, default=SHORT, metavar='PIXELS',
                        help=f'length of images\' shorter side for {OWN}, as it was trained (default: 800)')
    parser.add_argument('--score', type=float, default=0.05, metavar='S',
                        help='write the boxes of at least this score (default: 0.05)')
    args = parser.parse_args(argv)
    if not 0 <= args.score <= 1:
        raise InputError(f'--score {args.score:g}: expected a number from 0 to 1')
    files.check_outputs([args.out], [args.params, *annotation_files(args.data, args.split)])
    records = read_split(args.data, args.split, keypoints=False)['images']
    files.require_images([image['path'] for image in records])
    contexts = runtime.contexts(args.gpus, args.cpus)
    net = load_detector(args.model, args.params, args.short, contexts)
    about = {'model': args.model, 'parameters': _digest(net), 'data': provenance.data_name(args.data),
             'split': args.split, 'images': len(records), 'short': net.short, 'score': args.score}
    with files.locked(args.out):
        count = write_detections(net, records, contexts, args.score, args.out, about)
    print(f'{count} people in {args.out}')


def _digest(net):
    """A short name for the values of a network's parameters."""
    digest = hashlib.sha1()
    for _, parameter in sorted(checkpoint.parameters(net).items()):
        digest.update(parameter.list_data()[0].asnumpy())
    return digest.hexdigest()[:12]


if __name__ == '__main__':
    run(main)
