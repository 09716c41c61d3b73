"""A small COCO data set made by hand, for tests."""
import json

from pose_coco.skeleton import JOINTS

SIZE = (256, 256)
CATEGORY = {'id': 1, 'name': 'person', 'keypoints': [name.replace(' ', '_') for name in JOINTS]}


def keypoints_at(x, y, flag=2):
    """A person's keypoints: a grid of 5 x 4 pixels' steps from (x, y)."""
    return [value for k in range(17) for value in (x + 5 * (k % 4), y + 7 * (k // 4), flag)]


def annotation(image_id, x, y, number, **changes):
    return {'id': number, 'image_id': image_id, 'category_id': 1, 'bbox': [x - 5, y - 5, 40, 60], 'area': 2000.5,
            'iscrowd': 0, 'num_keypoints': 17, 'keypoints': keypoints_at(x, y), **changes}


def small_set():
    """Two images and three people, and a fourth person without keypoints."""
    return {'images': [{'id': n, 'file_name': f'{n}.jpg', 'width': 200, 'height': 100} for n in (4, 9)],
            'annotations': [annotation(4, 20, 10, 1), annotation(4, 100, 20, 2), annotation(9, 50, 30, 3),
                            annotation(9, 120, 30, 4, num_keypoints=0, keypoints=[0] * 51)],
            'categories': [CATEGORY]}


def write(folder, dataset, split='tiny', kind='person_keypoints'):
    """A data folder with an annotation file; returns the file."""
    for name in ('annotations', 'images'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    path = folder / 'annotations' / f'{kind}_{split}.json'
    path.write_text(json.dumps(dataset))
    return path


def box(image_id=4, bbox=(10, 10, 30, 60), score=0.9, category_id=1):
    return {'image_id': image_id, 'category_id': category_id, 'bbox': list(bbox), 'score': score}


def result(image_id=4, x=20, y=10, score=0.5):
    return {'image_id': image_id, 'category_id': 1, 'keypoints': keypoints_at(x, y, 0.8), 'score': score}


def detections(folder, records):
    path = folder / 'detections.json'
    path.write_text(json.dumps(records))
    return path
