"""Detecting people: the file of boxes and its resuming, training a detector and using it."""
import hashlib
import json
import os
import shutil
from functools import partial

import cv2
import mxnet as mx
import numpy as np
import pytest
from gluoncv.model_zoo import model_store
from gluoncv.model_zoo.xception import Block, SeparableConv2d
from mxnet.gluon import nn

from common import files
from common.errors import InputError
from common.predict import detector
from common.weights import checkpoint, store
from pose_coco import detect, layout, train_detector
from pose_coco.dataset import load_people

CPU = [mx.cpu()]


# --- the file of boxes ---------------------------------------------------------------------------------------------

class Fake:
    """A detector that finds, wherever it looks, a dog and four people, one at the image's very left; `seen` counts."""

    classes, short, max_size = ('dog', 'person'), 48, 80
    ids, scores = (0, 1, 1, 1, 1, -1), (0.9, 0.3, 0.8, 0.8, 0.01, -1)
    boxes = ((1, 1, 5, 5), (-3, 0, 9, 19), (10, 10, 19, 29), (20, 10, 29, 29), (0, 0, 9, 9), (-1, -1, -1, -1))

    def __init__(self, stop_at=None):
        self.seen, self.stop_at = 0, stop_at

    def __call__(self, image):
        self.seen += 1
        if self.seen == self.stop_at:
            raise KeyboardInterrupt
        ids, scores = (mx.nd.array(values).reshape((1, -1, 1)) for values in (self.ids, self.scores))
        return ids, scores * (1 + image.mean()) / 4, mx.nd.array([self.boxes])


def images_of(data, split='train2017'):
    return layout.read_split(data, split, keypoints=False)['images']


def test_people_alone_the_best_first_in_pixels_of_the_file(tiny_coco):
    """The image of 192 x 96 is seen at 80 x 40, so boxes grow by 2.4: of pixels 10 to 19 come 24 to 45.6, 22.6 wide."""
    (people,) = detect.detect(Fake(), images_of(tiny_coco)[:1], CPU, 0.02)
    assert [person['category_id'] for person in people] == [1, 1, 1]
    assert [person['bbox'] for person in people] == [[24, 24, 22.6, 46.6], [48, 24, 22.6, 46.6], [0, 0, 22.6, 46.6]]
    assert people[0]['score'] == people[1]['score'] > people[2]['score'] > 0.02


@pytest.mark.parametrize('contexts', [1, 3])
def test_interrupted_detection_ends_with_the_same_file(tiny_coco, tmp_path, contexts):
    contexts, images = [mx.cpu(i) for i in range(contexts)], images_of(tiny_coco)
    whole, resumed = tmp_path / 'whole.json', tmp_path / 'resumed.json'
    count = detect.write_detections(Fake(), images, CPU, 0.02, whole, {'score': 0.02})
    with pytest.raises(KeyboardInterrupt):
        detect.write_detections(Fake(stop_at=5), images, contexts, 0.02, resumed, {'score': 0.02})
    assert not resumed.exists()
    partial = tmp_path / 'resumed.json.partial'
    partial.write_bytes(partial.read_bytes()[:-7])            # killed in the midst of a line
    kept = partial.read_bytes().count(b'\n') - 1
    assert kept == (2 if len(contexts) == 3 else 3)           # of one batch of three, or of four images
    net = Fake()
    assert detect.write_detections(net, images, contexts, 0.02, resumed, {'score': 0.02}) == count == 3 * len(images)
    assert net.seen == len(images) - kept
    assert resumed.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ['resumed.json', 'whole.json']
    assert len(load_people(tiny_coco, 'train2017', (64, 64), resumed).samples) == count


def test_interrupted_detection_of_another_run_or_damaged(tiny_coco, tmp_path):
    out, partial = tmp_path / 'out.json', tmp_path / 'out.json.partial'
    with pytest.raises(KeyboardInterrupt):
        detect.write_detections(Fake(stop_at=2), images_of(tiny_coco), CPU, 0.1, out, {'score': 0.1})
    with pytest.raises(InputError, match='out.json.partial: of a run with score 0.1, not 0.2; remove it'):
        detect.write_detections(Fake(), images_of(tiny_coco), CPU, 0.2, out, {'score': 0.2})
    about = partial.read_text().splitlines()[0] + '\n'
    for content in ('', 'no JSON\n', '[1]\n', *(f'{about}{line}\n' for line in ('1', '{}', '[1]', 200000 * '['))):
        partial.write_text(content)
        with pytest.raises(InputError, match='out.json.partial: damaged; remove it'):
            detect.write_detections(Fake(), images_of(tiny_coco), CPU, 0.1, out, {'score': 0.1})


def test_unreadable_image_is_named(tiny_coco, tmp_path):
    shutil.copytree(tiny_coco, tmp_path, dirs_exist_ok=True)
    third = images_of(tmp_path)[2]['path']
    with open(third, 'wb') as file:
        file.write(b'\xff\xd8\xff')
    with pytest.raises(InputError, match=third):
        detect.write_detections(Fake(), images_of(tmp_path), CPU, 0, tmp_path / 'out.json', {})


# --- programs ------------------------------------------------------------------------------------------------------

def train(folder, data, *options):
    train_detector.main(['--data', str(data), '--split', 'mini', '--out', str(folder), '--pretrained=', '--short', '64',
                         '--images', '2', *options])
    return [json.loads(line) for line in (folder / train_detector.LOG).read_text().splitlines()]


class Slim(nn.HybridBlock):
    """Xception65's layers by their names, with few channels and two of sixteen blocks in the middle."""

    def __init__(self, output_stride, norm_layer):
        super().__init__()
        block, separable = (partial(kind, norm_layer=norm_layer) for kind in (Block, SeparableConv2d))
        self.conv1, self.bn1 = nn.Conv2D(8, 3, 2, 1, use_bias=False), norm_layer()
        self.conv2, self.bn2 = nn.Conv2D(16, 3, 1, 1, use_bias=False), norm_layer()
        self.relu = nn.Activation('relu')
        self.block1 = block(16, 24, 2, 2, start_with_relu=False)
        self.block2 = block(24, 32, 2, 2, start_with_relu=False)
        self.block3 = block(32, 48, 2, 2, is_last=True)
        self.midflow = nn.HybridSequential()
        self.midflow.add(block(48, 48, 3), block(48, 48, 3))
        self.block20 = block(48, 64, 2, grow_first=False, is_last=True)
        self.conv3, self.bn3 = separable(64, 64, dilation=2), norm_layer()
        self.conv4, self.bn4 = separable(64, 64, dilation=2), norm_layer()
        self.conv5, self.bn5 = separable(64, 96, dilation=2), norm_layer()


@pytest.fixture(scope='module', params=['slim', pytest.param('paper', marks=pytest.mark.long)])
def trained(request, shared, tmp_path_factory):
    """The folder of a training on COCO's four photographs, six times over, and its log.

    The network is the paper's, or for speed a narrow one, which `detector.build` then makes in all tests that use this.
    """
    folder = tmp_path_factory.mktemp('detector')
    with pytest.MonkeyPatch.context() as patch:
        if request.param == 'slim':
            slim(patch)
        yield folder, train(folder, shared / 'coco_mini', '--cpus', '1', '--epochs', '6', '--rate', '5e-4')


def slim(patch):
    """Have `detector.build` make a narrow network."""
    for name, value in (('Xception65', Slim), ('REDUCED', 32), ('HIDDEN', 64)):
        patch.setattr(detector, name, value)


def test_training_lowers_the_loss_and_deforms(trained):
    folder, log = trained
    first, *_, last = [sum(line[name] for name in train_detector.LOSSES) for line in log]
    assert last < 0.9 * first
    arrays = checkpoint.read_arrays(folder / train_detector.PARAMS)
    offsets = [array for name, array in arrays.items() if name.endswith('offset.weight')]
    assert len(offsets) == 3 and all(abs(array).max().asscalar() > 0 for array in offsets)


def test_training_resumes_on_other_devices(trained, shared, tmp_path):
    before, log = trained
    folder = tmp_path / 'run'
    shutil.copytree(before, folder)
    with pytest.raises(InputError, match='run: holds a run of the detector; --resume continues it'):
        train(folder, shared / 'coco_mini')
    with pytest.raises(InputError, match="run: holds a run with images 2, not 1; use another --out"):
        train(folder, shared / 'coco_mini', '--resume', '--images', '1')
    longer = train(folder, shared / 'coco_mini', '--resume', '--cpus', '2', '--epochs', '7', '--rate', '5e-4',
                   '--drops', '6')
    assert longer[:6] == log and [line['rate'] for line in longer] == [5e-4] * 6 + [pytest.approx(5e-5)]
    assert sum(longer[6][name] for name in train_detector.LOSSES) < sum(log[0][name] for name in train_detector.LOSSES)


def test_trained_detector_detects(trained, shared, tmp_path):
    out, params = tmp_path / 'boxes.json', trained[0] / train_detector.PARAMS
    options = ['--data', str(shared / 'coco_mini'), '--split', 'mini', '--out', str(out), '--model', 'xception',
               '--cpus', '1']
    detect.main([*options, '--params', str(params), '--short', '64', '--score', '0'])
    boxes = layout.read_detections(out)
    sizes = {image['id']: (image['width'], image['height']) for image in images_of(shared / 'coco_mini', 'mini')}
    assert {box['image_id'] for box in boxes} == set(sizes)
    for box in boxes:
        (x, y, w, h), (width, height) = box['bbox'], sizes[box['image_id']]
        assert 0 <= x and 0 <= y and w >= 1 and h >= 1 and x + w <= width + 0.02 and y + h <= height + 0.02
    assert len(load_people(shared / 'coco_mini', 'mini', (64, 64), out).samples) == len(boxes) > 4
    arrays = checkpoint.read_arrays(params)
    arrays['class_predictor.weight'] = mx.nd.zeros((3, detector.HIDDEN))
    mx.nd.save(str(tmp_path / 'other.params'), arrays)
    with pytest.raises(InputError, match='other.params: not the parameters of xception: .*shape incompatible'):
        detect.main([*options, '--params', str(tmp_path / 'other.params')])


def test_bad_options(tiny_coco, tmp_path, monkeypatch):
    mx.nd.save(str(tmp_path / 'other.params'), {'stem.conv1.weight': mx.nd.zeros((1,))})
    (tmp_path / 'folder').mkdir()
    run = ['--data', str(tiny_coco), '--out', str(tmp_path / 'out.json'), '--cpus', '1']
    own = [*run, '--model', 'xception', '--params', str(tmp_path / 'other.params')]

    def offline(name):
        raise ConnectionError
    monkeypatch.setattr(model_store, 'get_model_file', offline)
    for options, message in (
            ([*run, '--split', 'val2016'], 'person_keypoints_val2016.json: no such file'),
            ([*run, '--out', str(tmp_path / 'folder')], 'folder: cannot be written'),
            ([*run, '--model', 'faster_rcnn'], 'faster_rcnn: unknown; there are xception, faster_rcnn_'),
            ([*run, '--model', 'xception'], 'xception: --params FILE is missing'),
            (own, 'other.params: not the parameters of xception: it has no features.0.weight'),
            ([*own, '--short', '10'], '--short 10: at least 32 pixels'),
            (run, 'cannot fetch faster_rcnn_fpn_resnet101_v1d_coco-1194ab4e.params from .* give it by --params FILE')):
        with pytest.raises(InputError, match=message):
            detect.main(options)
    train_options = ['--data', str(tiny_coco), '--out', str(tmp_path / 'run'), '--cpus', '1']
    for options, message in (
            (['--split', 'train2016'], 'person_keypoints_train2016.json: no such file'),
            (['--images', '0'], '--images 0: at least 1'),
            (['--images', '9', '--pretrained=', '--short', '64'], 'the split has 8 images with people, fewer than one'),
            (['--short', '64'], 'cannot fetch xception-37c1c90b.params from .* give it by --pretrained FILE')):
        with pytest.raises(InputError, match=message):
            train_detector.main([*train_options, *options])


def test_what_would_be_lost_or_mixed_up_is_refused_before_the_first_image(tiny_coco, tmp_path):
    run = ['--data', str(tiny_coco), '--split', 'train2017', '--cpus', '1']
    for options, message in ((['--score', 'nan'], '--score nan: expected a number from 0 to 1'),
                             (['--params', str(tmp_path / 'x'), '--out', str(tmp_path / 'x')],
                              'x: would overwrite what')):
        with pytest.raises(InputError, match=message):
            detect.main([*run, '--out', str(tmp_path / 'out.json'), *options])
    for options in (['--epochs', '0'], ['--rate', 'nan']):
        with pytest.raises(InputError, match='--epochs .*: expected at least 1'):
            train_detector.main([*run, '--out', str(tmp_path), *options])
    data = shutil.copytree(tiny_coco, tmp_path / 'data')
    lost = images_of(data)[3]['path']
    os.unlink(lost)
    for program, out in ((detect, tmp_path / 'out.json'), (train_detector, tmp_path / 'run')):
        with pytest.raises(InputError, match=f'{lost}: missing .1 of '):
            program.main(['--data', str(data), '--split', 'train2017', '--cpus', '1', '--out', str(out)]
                         + ['--model', 'faster_rcnn_resnet50_v1b_coco'] * (program is detect))


def test_an_image_that_is_a_line_is_named(tiny_coco, tmp_path):
    cv2.imwrite(str(tmp_path / 'line.png'), np.zeros((1, 3000, 3), np.uint8))
    with pytest.raises(InputError, match='line.png: an image of 3000 x 1 pixels is too narrow'):
        detect.read_for_detector(tmp_path / 'line.png', 800)
    cv2.imwrite(str(tmp_path / 'strip.png'), np.zeros((4, 3000, 3), np.uint8))
    assert detect.read_for_detector(tmp_path / 'strip.png', 800).shape == (4, 3000, 3)


def test_two_detections_into_one_file(trained, shared, tmp_path):
    options = ['--data', str(shared / 'coco_mini'), '--split', 'mini', '--out', str(tmp_path / 'x.json'), '--model',
               'xception', '--cpus', '1', '--params', str(trained[0] / train_detector.PARAMS), '--short', '64']
    with files.locked(tmp_path / 'x.json'), pytest.raises(InputError, match='x.json: another process is writing there'):
        detect.main(options)


def test_parameters_in_the_projects_folder_are_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(store, 'MODELS', tmp_path)
    monkeypatch.setitem(model_store._model_sha1, 'xception', hashlib.sha1(b'parameters').hexdigest())
    path = tmp_path / f'xception-{hashlib.sha1(b"parameters").hexdigest()[:8]}.params'
    path.write_bytes(b'parameters')
    assert store.fetch('xception', '--pretrained FILE') == path
    path.write_bytes(b'others')
    with pytest.raises(InputError, match=f'{path}: damaged, its SHA-1 does not begin with '):
        store.fetch('xception', '--pretrained FILE')
    (tmp_path / 'xception-00000000.params').touch()           # another one, of which nobody asks
    path.write_bytes(b'parameters')
    assert store.fetch('xception', '--pretrained FILE') == path
    path.rename(tmp_path / 'resnet18_v1b-01234567.params')
    for place in ('imagenet', str(tmp_path)):
        with pytest.raises(InputError, match='resnet18_v1b-01234567.params: damaged'):
            store.pretrained(place, 'resnet18')
