"""Fixtures shared by the tests."""
import gc
import json
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

if 'PYTEST_XDIST_WORKER' in os.environ:        # several processes run tests: one thread each
    os.environ.setdefault('OMP_NUM_THREADS', '1')

os.environ['CUDA_VISIBLE_DEVICES'] = ''        # what tests compare was computed on the CPU
os.environ['no_proxy'] = '127.0.0.1'           # what they serve here, no proxy fetches

from common import runtime                     # before the tests import MXNet: it sets the threads

runtime.import_gluoncv()                       # before they import it: it keeps PyTorch out of its sight

from pose_coco import skeleton as coco_skeleton
from pose_mpii import skeleton as mpii_skeleton
from pose_mpii.drawing import scene

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / 'shared' / 'data'


@pytest.fixture(autouse=True)
def seeded():
    """Every test draws the same random numbers, whichever ran before."""
    runtime.seed_everything(0)


@pytest.fixture(autouse=True)
def free_memory():
    """Networks are in reference cycles, and large: after a test that took its time they are freed at once."""
    start = time.time()
    yield
    if time.time() - start > 1:
        gc.collect()


def narrow_networks():
    """Networks have an eighth of their channels (narrow.py)."""
    from narrow import narrow
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch)
        yield


narrow = pytest.fixture(narrow_networks)                                       # of one test
narrow_file = pytest.fixture(narrow_networks, scope='module')                  # of all tests of a file


@pytest.fixture(scope='session')
def root():
    """The project's folder."""
    return ROOT


@pytest.fixture(scope='session')
def experiments():
    """Where the small experiments of Table 2 are."""
    return ROOT / 'experiments' / 'cpu' / 'mpii' / 'table2'


@pytest.fixture(scope='session')
def params(experiments, tmp_path_factory):
    """Networks for 64 x 64 pixels with random parameters: {'h1': .params, 'r1': .params}."""
    import mxnet as mx

    from common import config
    from common.nets import pose_net
    from common.weights import checkpoint
    folder = tmp_path_factory.mktemp('params')
    runtime.seed_everything(0)                # the same whichever tests ran before
    paths = {name: folder / f'{name}.params' for name in ('h1', 'r1')}
    for name, path in paths.items():
        cfg = config.load(experiments / f'{name}.yaml', ['input.size=[64, 64]'])
        checkpoint.save_parameters(pose_net.create(cfg, [mx.cpu()]), path)
    return paths


@pytest.fixture(scope='session')
def shared():
    """The folder of real data that lies beside a developer's checkout; tests that need it are skipped elsewhere."""
    if not SHARED.is_dir():
        pytest.skip(f'the real test data is not here ({SHARED})')
    return SHARED


@pytest.fixture(scope='session')
def mini(shared):
    """Four photographs of COCO's val2017 with their annotations and detections."""
    return shared / 'coco_mini'


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory):
    """A generated data set in the MPII layout, 16 + 8 images of 96 x 96 pixels; tests that change files copy it."""
    from pose_mpii.sample import write_sample
    folder = tmp_path_factory.mktemp('data') / 'tiny'
    write_sample(folder, train=16, valid=8, size=96)
    return folder


@pytest.fixture(scope='session')
def tiny_coco(tmp_path_factory):
    """A generated data set in COCO's layout; tests that change files copy it.

    train2017 (8 images) and val2017 (4) with two drawn people of 96 x 96 pixels each, test-dev2017 (3) without
    annotations, and for the latter two detections_<split>.json: every person twice, less sure the second time.
    """
    folder = tmp_path_factory.mktemp('data') / 'tiny_coco'
    (folder / 'annotations').mkdir(parents=True)
    for first_id, split, count in ((100, 'train2017', 8), (200, 'val2017', 4), (300, 'test-dev2017', 3)):
        images, people = zip(*(coco_image(image_id, folder / split.replace('test-dev', 'test'))
                               for image_id in range(first_id, first_id + count)))
        people = [person for pair in people for person in pair]
        dataset, kind = {'images': images, 'categories': [COCO_PERSON]}, 'image_info'
        if split != 'test-dev2017':
            dataset['annotations'], kind = people, 'person_keypoints'
        write_json(folder / 'annotations' / f'{kind}_{split}.json', dataset)
        if split != 'train2017':
            write_json(folder / f'detections_{split}.json', [
                {'image_id': person['image_id'], 'category_id': 1, 'bbox': person['bbox'], 'score': score}
                for score in (0.9, 0.4) for person in people])
    return folder


@pytest.fixture
def written(tmp_path):
    """A function that writes results and returns the pages of tables made from them, one after the other."""
    from tabled import pages

    from common import files
    from scripts import paper_tables

    def write(*found):
        for number, one in enumerate(found):
            files.make_folder(tmp_path / 'in' / str(number))
            files.write_json(tmp_path / 'in' / str(number) / 'test.json', one)
        paper_tables.main(['--results', str(tmp_path / 'in'), '--out', str(tmp_path / 'out')])
        return pages(tmp_path / 'out')
    return write


COCO_PERSON = {'id': 1, 'name': 'person', 'keypoints': [name.replace(' ', '_') for name in coco_skeleton.JOINTS]}


def coco_image(image_id, folder):
    """Draw two people into an image of a folder; its record, and their annotations. Eyes and ears have no label."""
    pictures, people = [], []
    for index in (0, 1):
        picture, joints, _ = scene(np.random.default_rng([image_id, index]), 96)
        known = {name: joint for name, joint in zip(mpii_skeleton.JOINTS, joints)
                 if min(joint) > 0 and max(joint) < 95}
        if 'upper neck' in known and 'head top' in known:
            known['nose'] = (known['upper neck'] + known['head top']) / 2
        known = {name: joint + [96 * index, 0] for name, joint in known.items()}
        keypoints = [(*known[name].round(2), 2) if name in known else (0, 0, 0) for name in coco_skeleton.JOINTS]
        low, high = np.min(list(known.values()), axis=0), np.max(list(known.values()), axis=0)
        x, y, w, h = (*(low - 4), *(high - low + 9))
        pictures.append(picture)
        people.append({'id': 10 * image_id + index, 'image_id': image_id, 'category_id': 1, 'iscrowd': 0,
                       'bbox': [x, y, w, h], 'area': 0.6 * w * h, 'num_keypoints': sum(k[2] > 0 for k in keypoints),
                       'keypoints': [value for keypoint in keypoints for value in keypoint]})
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / f'{image_id:012}.jpg'), np.hstack(pictures))
    return {'id': image_id, 'file_name': f'{image_id:012}.jpg', 'width': 192, 'height': 96}, people


def write_json(path, value):
    path.write_text(json.dumps(value))


def pytest_collection_finish():
    """What was imported and collected stays to the end: the garbage collector need not look at it after every test."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser):
    parser.addoption('--all', action='store_true', help='run the long tests too')


def pytest_collection_modifyitems(config, items):
    if not config.getoption('--all'):
        for item in items:
            if item.get_closest_marker('long'):
                item.add_marker(pytest.mark.skip(reason='long; --all runs it'))
