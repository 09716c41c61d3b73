"""Train the paper's person detector (`common/predict/detector.py`) on COCO's people.

    python pose_coco/train_detector.py --data data/coco --gpus 0,1,2,3,4,5,6,7
    python pose_coco/detect.py --data data/coco --split val2017 --out person_detections_val2017.json \\
        --model xception --params output/coco/detector/last.params

The whole training (not run by us, for want of GPUs): train2017's 64,115 images with people, the shorter side 800
pixels, two images on each of eight GPUs, 26 epochs, the rate dropped after the 17th and the 23rd; epochs and drops are
those of GluonCV's own. As in all of the paper's experiments on COCO, no other data is used. The optimizer is Adam, as
for all networks of this project.

Writes OUT/: last.params, log.jsonl (the mean losses of every epoch, one line each), run.json, and last.state, from
which --resume goes on after the last whole epoch. Flips and sampled targets are drawn by several threads, so that two
runs are alike but not equal.
"""
import json
import math
import sys
import time
from pathlib import Path
from typing import Callable

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.runtime import import_gluoncv    # before MXNet: it sets the threads

import_gluoncv()

import mxnet as mx
import numpy as np
from gluoncv.data.batchify import FasterRCNNTrainBatchify
from gluoncv.data.transforms.presets.rcnn import FasterRCNNDefaultTrainTransform
from gluoncv.model_zoo.rcnn.faster_rcnn.data_parallel import ForwardBackwardTask
from gluoncv.utils.bbox import bbox_xywh_to_xyxy
from mxnet import gluon
from tqdm import tqdm

from common import files, provenance, runtime
from common.errors import InputError
from common.predict import detector
from common.programs import options
from common.programs.cli import run
from common.train.run import STATE
from common.train.trainer import optimizer
from common.train.workers import Statistics
from common.weights import checkpoint, store
from pose_coco.detect import read_for_detector
from pose_coco.layout import read_split

PARAMS, LOG, ABOUT = 'last.params', 'log.jsonl', 'run.json'
# Proposals: is it a person, and its box; then the same of the boxes chosen among them (Ren et al., 2015).
LOSSES = ('rpn_class_loss', 'rpn_box_loss', 'class_loss', 'box_loss')


class People(gluon.data.Dataset):
    """The images of a split in which people are annotated: image uint8 (H, W, 3) and boxes float32 (M, 5).

    A box is GluonCV's: x1, y1, x2, y2, of the first and the last pixel, and the class, 0. Crowds are left out, and so
    are boxes of which the image has no area between these (of one, every anchor would be the best). InputError as
    `layout.read_split`, and where an image cannot be read.
    """

    def __init__(self, data, split, short):
        self._short = short
        source = read_split(data, split)
        boxes = {}
        for person in source['annotations']:
            if not person['iscrowd']:
                boxes.setdefault(person['image_id'], []).append(person['bbox'])
        people = [(image, corners(boxes[image['id']], image)) for image in source['images'] if image['id'] in boxes]
        self._samples = [(image, found) for image, found in people if len(found)]
        files.require_images([image['path'] for image, _ in self._samples])

    def __len__(self):
        return len(self._samples)

    def __getitem__(self, index):
        image, found = self._samples[index]
        labels = np.hstack([found, np.zeros((len(found), 1))]).astype(np.float32)
        return read_for_detector(image['path'], self._short), labels


def corners(boxes, image) -> np.ndarray:
    """COCO's boxes in an image (its record) as first and last pixels (M, 4), those between which there is an area."""
    found = np.clip(bbox_xywh_to_xyxy(np.array(boxes, float)), 0, [image['width'] - 1, image['height'] - 1] * 2)
    return found[(found[:, 2:] > found[:, :2]).all(axis=1)]


def training_loader(net, people, contexts, images) -> gluon.data.DataLoader:
    """Shuffled batches with the targets of proposals, `images` on each device; those of an incomplete batch wait."""
    batch_size = images * len(contexts)
    if len(people) < batch_size:
        raise InputError(f'--images {images}: the split has {len(people)} images with people, fewer than one batch of '
                         f'{batch_size}')
    transform = FasterRCNNDefaultTrainTransform(net.short, net.max_size, net, ashape=net.ashape)
    return gluon.data.DataLoader(people.transform(transform), batch_size, shuffle=True, last_batch='rollover',
                                 batchify_fn=FasterRCNNTrainBatchify(net, len(contexts)), thread_pool=True,
                                 num_workers=runtime.available_cores())


def split(batch, contexts) -> list:
    """A batch of the loader -> for each device its arrays: images, boxes, and three of the proposals' targets."""
    shards = [part if isinstance(part, (list, tuple)) else [part] for part in batch]
    return [[part.as_in_context(context) for part in parts] for *parts, context in zip(*shards, contexts)]


def forward_backward(net, trainer) -> Callable:
    """GluonCV's function of a device's arrays: forward, the four losses, backward."""
    return ForwardBackwardTask(
        net, trainer, gluon.loss.SigmoidBinaryCrossEntropyLoss(from_sigmoid=False), gluon.loss.HuberLoss(rho=1 / 9),
        gluon.loss.SoftmaxCrossEntropyLoss(), gluon.loss.HuberLoss(), mix_ratio=1.0, amp_enabled=False).forward_backward


def train_one_epoch(step, trainer, loader, contexts, title) -> dict:
    """One pass over the loader; returns the mean losses and images/s. A loss that is not finite is an InputError."""
    losses, images, start = [], 0, time.time()
    with tqdm(loader, desc=title, unit=' batches', dynamic_ncols=True, **runtime.bar_intervals()) as bar:
        for batch in bar:
            parts = split(batch, contexts)
            outputs = [step(part)[:len(LOSSES)] for part in parts]              # all devices at once
            count = sum(len(part[0]) for part in parts)
            trainer.step(count)
            losses.append(np.mean([[loss.asscalar() for loss in output] for output in outputs], axis=0))
            images += count
            if not np.isfinite(losses[-1]).all():
                raise InputError(f'{title}: the loss is {losses[-1].sum()} after {images} images; a lower --rate may '
                                 'hold, and --resume goes on from the last epoch saved')
            bar.set_postfix_str(f'loss {np.mean(losses, axis=0).sum():.4f}', refresh=False)
    mx.nd.waitall()
    return {**dict(zip(LOSSES, np.mean(losses, axis=0).round(6).tolist())),
            'images_per_second': images / (time.time() - start)}


def fit(args, contexts, folder):
    """Train on `contexts` from the state in the folder, or else from the beginning."""
    people = People(args.data, args.split, args.short)
    net = detector.build(bool(args.pretrained), args.images, args.short)
    runtime.seed_everything(0)
    net.initialize(mx.init.Xavier(), ctx=contexts)
    net(mx.nd.zeros((1, 3, args.short, args.short), ctx=contexts[0]))           # shapes become known
    trainer, history = optimizer(net), []
    step = forward_backward(net, trainer)
    if (folder / STATE).exists():
        history, _ = checkpoint.load_state(folder / STATE, net, trainer, contexts)
    elif args.pretrained:
        detector.load_imagenet(net, store.fetch('xception', '--pretrained FILE') if args.pretrained == 'imagenet'
                               else args.pretrained)
    net.hybridize()
    loader, statistics = training_loader(net, people, contexts, args.images), Statistics(net, contexts, 'device')
    for epoch in range(len(history) + 1, args.epochs + 1):
        runtime.seed_everything(epoch)
        rate = args.rate * 0.1 ** sum(epoch > drop for drop in args.drops)
        trainer.set_learning_rate(rate)
        losses = train_one_epoch(step, trainer, loader, contexts, f'detector epoch {epoch}')
        statistics.average()
        history.append({'epoch': epoch, 'rate': rate, **losses})
        checkpoint.save_parameters(net, folder / PARAMS)
        files.write_text(folder / LOG, ''.join(json.dumps(line) + '\n' for line in history))
        checkpoint.save_state(folder / STATE, net, trainer, history, begun=None)
        tqdm.write(', '.join(f'{name.replace("_", " ")} {value:.4g}' for name, value in history[-1].items()))


def check_same_run(folder, about, resume):
    """InputError if the folder holds a run and --resume was not given, or one that had other options."""
    if not (folder / STATE).exists():
        return
    if not resume:
        raise InputError(f'{folder}: holds a run of the detector; --resume continues it, another --out starts anew')
    before = files.read_object(folder / ABOUT)
    for key, value in about.items():
        if before.get(key) != value:
            raise InputError(f'{folder}: holds a run with {key} {before.get(key)!r}, not {value!r}; use another --out')


def main(argv=None):
    parser = options.parser(__doc__)
    options.add_devices(parser)
    parser.add_argument('--data', default='data/coco', help='folder in COCO\'s layout (default: data/coco)')
    parser.add_argument('--split', default='train2017', help='train2017 (default), train2014+val2014, ...')
    parser.add_argument('--out', default='output/coco/detector', metavar='DIR', help='default: output/coco/detector')
    parser.add_argument('--resume', action='store_true', help='go on where an earlier run stopped')
    parser.add_argument('--pretrained', default='imagenet', metavar='FILE',
                        help='GluonCV\'s Xception65 to start from (default: imagenet, fetched once; empty: random '
                             'weights, and batch normalisation that learns)')
    parser.add_argument('--short', type=int, default=800, metavar='PIXELS', help='images\' shorter side (default: 800)')
    parser.add_argument('--images', type=int, default=2, metavar='N', help='images on each device (default: 2)')
    parser.add_argument('--rate', type=float, default=1e-4, help='learning rate (default: 1e-4)')
    parser.add_argument('--drops', type=int, nargs='*', default=[17, 23], metavar='EPOCH',
                        help='epochs after which the rate drops to a tenth (default: 17 23)')
    parser.add_argument('--epochs', type=int, default=26, help='default: 26')
    args = parser.parse_args(argv)
    if not (args.epochs >= 1 and 0 < args.rate < math.inf):
        raise InputError(f'--epochs {args.epochs} --rate {args.rate:g}: expected at least 1, and a number above 0')
    contexts, folder = runtime.contexts(args.gpus, args.cpus), files.make_folder(args.out)
    about = {'data': provenance.data_name(args.data), 'split': args.split, 'pretrained': args.pretrained,
             'short': args.short, 'images': args.images}
    with files.locked(folder):
        check_same_run(folder, about, args.resume)
        files.write_json(folder / ABOUT, about)
        fit(args, contexts, folder)
    print(f'detector and log: {folder}')


if __name__ == '__main__':
    run(main)
