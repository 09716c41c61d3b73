"""COCO's folder layout and its files (http://cocodataset.org/#format-data), checked.

    DATA/annotations/person_keypoints_<split>.json     splits such as train2017, val2017, train2014, val2014
    DATA/annotations/image_info_<split>.json           test-dev2017 and others without published annotations
    DATA/images/<split>/*.jpg, or DATA/<split>/*.jpg, or DATA/images/*.jpg: the first of these folders that exists

Keypoints are indices of pixels counted from 0, so they are this project's coordinates as they stand; boxes
[x, y, width, height] measure from the edge of the first pixel, half a pixel before its centre (`dataset.person_box`).
"""
import json
from pathlib import Path

from common.errors import InputError
from common.files import read_json, write_text
from common.guard.rules import check_record, check_records, is_name, is_number
from pose_coco.skeleton import JOINTS

PERSON = 1                                    # the category's id


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
    _check_unique(f'{data}: {split}', joined['images'])
    return joined


# --- annotations ---------------------------------------------------------------------------------------------------

def read_images(path) -> list:
    """The image records of an annotation file, checked: dicts with `id`, `file_name`, `width` and `height`."""
    return _images(path, read_json(path))


def read_annotations(path) -> dict:
    """The images and the people of a person_keypoints_<split>.json, checked.

    Returns {'images': [...], 'annotations': [...]}, COCO's records: images as of `read_images`, annotations with
    `image_id`, `category_id`, `bbox` [x, y, width, height], `area`, `iscrowd`, `num_keypoints` and `keypoints`
    [x, y, v] * 17, where v is 0 for a joint without label, 1 for a hidden and 2 for a visible one. Other categories
    than the person are left out.

    InputError naming the file, and the record and field that cannot be used; also where no person has a keypoint.
    """
    dataset = read_json(path)
    images = _images(path, dataset)
    annotations = dataset.get('annotations')
    if not isinstance(annotations, list) or not _has_keypoints(dataset.get('categories')):
        raise InputError(f'{path}: has no keypoints of people; person_keypoints_<split>.json has them (an image_info '
                         'file is for tests with boxes of a detector)')
    known = {image['id'] for image in images}
    check_records(path, 'annotation', annotations, {'category_id': _WHOLE})
    for index, annotation in enumerate(annotations):
        if annotation['category_id'] == PERSON:
            check_record(path, f'annotation {index}', annotation, _ANNOTATION)
            _check_image(path, f'annotation {index}', annotation, known, path)
    people = [annotation for annotation in annotations if annotation['category_id'] == PERSON]
    if not any(person['num_keypoints'] and not person['iscrowd'] for person in people):
        raise InputError(f'{path}: no person in it has a keypoint')
    return {'images': images, 'annotations': people}


def _images(path, dataset):
    images = dataset.get('images') if isinstance(dataset, dict) else None
    if not isinstance(images, list) or not images:
        raise InputError(f'{path}: should be an object with a list "images", as COCO\'s annotation files are')
    check_records(path, 'image', images, _IMAGE)
    _check_unique(path, images)
    return images


def _check_unique(source, images):
    seen = set()
    for index, image in enumerate(images):
        if image['id'] in seen:
            raise InputError(f'{source}: image {index} has a bad "id": {image["id"]} occurs twice')
        seen.add(image['id'])


def _has_keypoints(categories):
    """Whether there is the category of people, and its keypoints are `JOINTS`."""
    names = [joint.replace(' ', '_') for joint in JOINTS]
    return isinstance(categories, list) and any(
        isinstance(category, dict) and category.get('id') == PERSON and category.get('keypoints') == names
        for category in categories)


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
        _check_image(path, f'result {index}', record, known, source)
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


# --- checks --------------------------------------------------------------------------------------------------------

def _check_image(path, name, record, known, source):
    if record['image_id'] not in known:
        raise InputError(f'{path}: {name} has a bad "image_id": {record["image_id"]} is not an image of {source}')


def _is_whole(value):
    return type(value) is int and 0 <= value < 2 ** 63


def _are_numbers(value, count):
    return isinstance(value, list) and len(value) == count and all(map(is_number, value))


def _is_labels(value):
    return _are_numbers(value, 3 * len(JOINTS)) and all(flag in (0, 1, 2) for flag in value[2::3])


_WHOLE = (_is_whole, 'a whole number')
_SIDE = (lambda value: _is_whole(value) and value > 0, 'a whole number above 0')
_NUMBER = (is_number, 'a finite number')
_BOX = (lambda value: _are_numbers(value, 4), 'four finite numbers [x, y, width, height]')

_IMAGE = {'id': _WHOLE, 'file_name': (is_name, 'the name of a file below the images\' folder'), 'width': _SIDE,
          'height': _SIDE}
_ANNOTATION = {
    'image_id': _WHOLE,
    'bbox': _BOX,
    'area': (lambda value: is_number(value) and value >= 0, 'a finite number of at least 0'),
    'iscrowd': (lambda value: type(value) is int and value in (0, 1), '0 or 1'),
    'num_keypoints': _WHOLE,
    'keypoints': (_is_labels, f'{len(JOINTS)} times x, y, v, finite numbers with v 0, 1 or 2'),
}
_DETECTION = {'image_id': _WHOLE, 'category_id': _WHOLE, 'bbox': _BOX, 'score': _NUMBER}
_RESULT = {
    'image_id': _WHOLE,
    'category_id': (lambda value: _is_whole(value) and value == PERSON, f'{PERSON}, the person'),
    'keypoints': (lambda value: _are_numbers(value, 3 * len(JOINTS)),
                  f'{len(JOINTS)} times x, y, score, finite numbers'),
    'score': _NUMBER,
}
