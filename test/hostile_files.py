"""A whole file of every kind that the project reads."""
import json
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import yaml
from scipy.io import savemat

from common import config
from pose_coco.skeleton import JOINTS as COCO_JOINTS
from pose_mpii import prepare
from pose_mpii.layout import write_ground_truth
from pose_mpii.sample import write_sample

PEOPLE = 'annotations/person_keypoints_val.json'


def make(folder):
    """A valid file of every kind in a new folder."""
    folder.mkdir()
    data, coco = folder / 'mpii', folder / 'coco'
    write_sample(data, train=2, valid=4, size=96)
    make_coco(coco)
    rng = np.random.default_rng(0)
    predictions = rng.uniform(0, 96, (4, 16, 2))
    (folder / 'preds.json').write_text(json.dumps({'preds': predictions.tolist()}))
    savemat(folder / 'preds.mat', {'preds': predictions})
    write_ground_truth(folder / 'gt.mat', predictions, np.ones((4, 16)), rng.uniform(0, 1, (4, 2, 2)))
    for name, compressed in (('release.mat', False), ('packed.mat', True)):
        savemat(folder / name, {'RELEASE': release()}, do_compression=compressed)
    (folder / 'lsp').mkdir()
    joints = np.zeros((14, 3, 10000))
    joints[:, :, 8000] = np.column_stack([10 * np.arange(14), 20 * np.arange(14), np.ones(14)])
    savemat(folder / 'lsp' / 'joints.mat', {'joints': joints}, do_compression=True)
    mx.nd.save(str(folder / 'x.params'), {
        'stem.conv1.weight': mx.nd.ones((4, 3, 2, 2)), 'head.bias': mx.nd.zeros((5,), dtype='float16'),
        'json': mx.nd.array(np.arange(40), dtype='uint8')})
    cfg = config.load(common_experiment())
    (folder / 'x.yaml').write_text(yaml.safe_dump({'name': cfg.name, **config.sections(cfg)}))
    picture = cv2.GaussianBlur(rng.integers(0, 256, (120, 160, 3), np.uint8), (9, 9), 0)
    for name, options in (('x.jpg', []), ('progressive.jpg', [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), ('x.png', [])):
        cv2.imwrite(str(folder / name), picture, options)


def common_experiment():
    return Path(__file__).resolve().parents[1] / 'experiments' / 'cpu' / 'mpii' / 'table2' / 'h1.yaml'


def make_coco(folder):
    names = [name.replace(' ', '_') for name in COCO_JOINTS]
    (folder / 'annotations').mkdir(parents=True)
    (folder / 'val').mkdir()
    cv2.imwrite(str(folder / 'val' / '1.jpg'), np.zeros((96, 96, 3), np.uint8))
    people = [{'id': i, 'image_id': 1, 'category_id': 1, 'iscrowd': 0, 'bbox': [5.5, 6, 70, 80], 'area': 3000.5,
               'num_keypoints': 17, 'keypoints': [20, 30, 2] * 17} for i in range(3)]
    write = {PEOPLE: {
                 'images': [{'id': 1, 'file_name': '1.jpg', 'width': 96, 'height': 96}], 'annotations': people,
                 'categories': [{'id': 1, 'name': 'person', 'keypoints': names}]},
             'boxes.json': [{'image_id': 1, 'category_id': 1, 'bbox': [5, 6, 70, 80], 'score': score}
                            for score in (0, 0.3, 0.6, 0.9)],
             'results.json': [{'image_id': 1, 'category_id': 1, 'keypoints': [2.5, 3, 0.5] * 17, 'score': 0.7}] * 3}
    for name, value in write.items():
        (folder / name).write_text(json.dumps(value))


def release():
    """A small MPII release with two people of the validation split."""
    points = {'point': structs([{'x': 10. + k, 'y': 20. + k, 'id': k, 'is_visible': '1'} for k in range(16)])}
    person = {'x1': 5., 'y1': 6., 'x2': 25., 'y2': 36., 'annopoints': points, 'scale': 2.5,
              'objpos': {'x': 100., 'y': 200.}}
    names = [prepare.validation_people()[0][0], '5.jpg', '6.jpg']
    images = [{'image': {'name': name}, 'annorect': structs([person, person]), 'vididx': np.zeros((0, 0))}
              for name in names]
    return {'annolist': structs(images), 'img_train': np.array([[1, 1, 0]], np.uint8), 'version': '12',
            'single_person': np.array([[1], [np.zeros((0, 0))], [np.array([[1], [2]])]], object)}


def structs(values):
    """Dicts as a MATLAB struct array."""
    array = np.empty((1, len(values)), dtype=[(field, object) for field in values[0]])
    for index, value in enumerate(values):
        array[0, index] = tuple(value.values())
    return array
