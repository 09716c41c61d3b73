"""COCO's folder layout and its files (http://cocodataset.org/#format-data), checked.

    DATA/annotations/person_keypoints_<split>.json     splits such as train2017, val2017, train2014, val2014
    DATA/annotations/image_info_<split>.json           test-dev2017 and others without published annotations
    DATA/images/<split>/*.jpg, or DATA/<split>/*.jpg, or DATA/images/*.jpg: the first of these folders that exists

Keypoints are indices of pixels counted from 0, so they are this project's coordinates as they stand; boxes
[x, y, width, height] measure from the edge of the first pixel, half a pixel before its centre (`dataset.person_box`).
"""
import json
import sys
from pathlib import Path

from common.errors import InputError
from common.files import read_json, write_text
from common.guard.rules import check_records, is_list, is_number
from pose_coco import annotations
from pose_coco.annotations import BOX, PERSON, WHOLE, check_image, is_whole
from pose_coco.skeleton import JOINTS


def annotation_file(data, split) -> Path:
    """Path of the annotations of a split; InputError where there are none."""
    if not Path(data).is_dir():
        raise InputError(f'{data}: no such folder; get COCO\'s images and keypoint annotations from '
                         'http://cocodataset.org')
    paths = [Path(data) / 'annotations' / f'{kind}_{split}.json' for kind in ('person_keypoints', 'image_info')]
    for path in paths:
        if path.exists():
            return path
    raise InputError(f'{paths[0]}: no such file, nor is there an {paths[1].name} (splits: train2017, val2017, '
                     'test-dev2017, ...)')


def annotation_files(data, split) -> list:
    """Those of a split, or of all that a + joins; InputError as `annotation_file`."""
    return [annotation_file(data, part) for part in split.split('+')]


def has_annotations(data, split) -> bool:
    """Whether people are annotated in a split, or in all that a + joins; InputError as `annotation_file`."""
    return all(path.name.startswith('person_keypoints') for path in annotation_files(data, split))


def image_folder(data, split) -> Path:
    """Folder of the images of a split (those of test-dev are in test's); InputError where there is none."""
    name = split.replace('test-dev', 'test')
    folders = [Path(data) / 'images' / name, Path(data) / name, Path(data) / 'images']
    for folder in folders:
        if folder.is_dir():
            return folder
    raise InputError(f'{folders[0]}: no such folder, nor {folders[1]}; the images of {split} should be in one of them')


def read_split(data, split, keypoints=True) -> dict:
    """{'images': [...], 'annotations': [...]} of a split, or of several joined by +, such as 'train2014+val2014'.

    As `read_annotations`, or without `keypoints` the images alone; an image's record also has its `path`. Whether the
    images exist is not checked.
    """
    joined = {'images': [], 'annotations': []}
    for part in split.split('+'):
        path = annotation_file(data, part)
        folder = image_folder(data, part)
        dataset = read_annotations(path) if keypoints else {'images': read_images(path), 'annotations': []}
        joined['images'] += [{**image, 'path': str(folder / image['file_name'])} for image in dataset['images']]
        joined['annotations'] += dataset['annotations']
    annotations.check_unique(f'{data}: {split}', joined['images'])
    return joined


# --- annotations ---------------------------------------------------------------------------------------------------

def read_images(path) -> list:
    """The image records of an annotation file, checked: dicts with `id`, `file_name`, `width` and `height`."""
    return annotations.read_images(path, read_json(path))


def read_annotations(path) -> dict:
    """The images and the people of a person_keypoints_<split>.json, checked.

    Returns {'images': [...], 'annotations': [...]}, `Annotations.images` and `people`; a warning counts those without
    area. InputError as `annotations.read`, and where the keypoints are not `JOINTS`, in their order.
    """
    found = annotations.read(path)
    names = tuple(map(annotations.plain, found.joints))
    if names != JOINTS:
        unknown = [name for name in names if name not in JOINTS]
        lacking = [name for name in JOINTS if name not in names]
        told = [f'{what} {", ".join(joints)}' for what, joints in (("not COCO's:", unknown), ('without', lacking))
                if joints]
        raise InputError(f'{path}: the keypoints of its people are not COCO\'s {len(JOINTS)} '
                         f'({"; ".join(told) or "in another order"}); for others there is pose_mpii/prepare.py --coco')
    if found.without_area:
        print(f'warning: {path}: {found.without_area} of {len(found.people)} people have no area; that of their box is '
              'taken', file=sys.stderr)
    return {'images': found.images, 'annotations': found.people}


# --- detections and results ----------------------------------------------------------------------------------------

def read_detections(path) -> list:
    """The boxes of a detector in COCO's result format, checked, whatever their category.

    A list of dicts with `image_id`, `category_id`, `bbox` [x, y, width, height] and `score`. InputError naming the
    file, and the record and field that cannot be used.
    """
    return _read_list(path, 'detection', _DETECTION)


def read_results(path, images, source) -> list:
    """Keypoints in COCO's result format, checked; the list may be empty.

    A list of dicts with `image_id` (one of `images`, which `source` names), `category_id` 1, `keypoints`
    [x, y, score] * 17 and `score`. InputError naming the file, and the record and field that cannot be used.
    """
    records = _read_list(path, 'result', _RESULT)
    known = {image['id'] for image in images}
    for index, record in enumerate(records):
        check_image(path, f'result {index}', record, known, source)
    return records


def results_file(folder, split, name) -> Path:
    """Path of results as the server wants it: FOLDER/person_keypoints_<split>_<name>_results.json.

    name: the method's; of an experiment's, the slashes become dashes.
    """
    return Path(folder) / f'person_keypoints_{split}_{name.replace("/", "-")}_results.json'


def write_results(path, records):
    """Write what `read_results` reads, one record a line, in few bytes: the server has a limit."""
    lines = ',\n'.join(json.dumps(record, separators=(',', ':')) for record in records)
    write_text(path, f'[{lines}]\n')


def _read_list(path, kind, fields):
    records = read_json(path)
    if not isinstance(records, list):
        raise InputError(f'{path}: should be a list of {kind}s, each an object with {", ".join(fields)}')
    check_records(path, kind, records, fields)
    return records


_DETECTION = {'image_id': WHOLE, 'category_id': WHOLE, 'bbox': BOX, 'score': (is_number, 'a finite number')}
_RESULT = {
    'image_id': WHOLE,
    'category_id': (lambda value: is_whole(value) and value == PERSON, f'{PERSON}, the person'),
    'keypoints': (lambda value: is_list(value, length=3 * len(JOINTS)),
                  f'{len(JOINTS)} times x, y, score, finite numbers'),
    'score': (is_number, 'a finite number'),
}
