"""COCO's annotation files (http://cocodataset.org/#format-data), checked: COCO's own, and those that other tools write.

A tool may number the person as it likes, and leave out `iscrowd`, `area` and `num_keypoints`. Names of keypoints are
compared without regard to case, underscores, hyphens and spaces.
"""
from typing import NamedTuple

from common.errors import InputError
from common.files import read_json
from common.guard import yaml_text
from common.guard.rules import check_record, check_records, is_list, is_name, is_number, is_text
from common.predict.boxes import PERSON

NAME = 'person'
HINT = 'person_keypoints_<split>.json has them (image_info and instances are other files)'


class Annotations(NamedTuple):
    """What a file holds of people."""

    images: list                              # dicts with `id`, `file_name`, `width` and `height`
    people: list                              # dicts with `image_id`, `category_id` (`PERSON`), `bbox` [x, y, width,
                                              # height], `area`, `iscrowd`, `num_keypoints`, `keypoints` [x, y, v] * K:
                                              # v is 0 for a joint without label, 1 for a hidden, 2 for a visible one
    joints: tuple                             # the K names of keypoints, as the file spells them
    limbs: tuple                              # pairs of indices into these; empty where the file has no "skeleton"
    without_area: int                         # people whose `area` is that of their box


def plain(name) -> str:
    """A keypoint's name as it is compared: 'left_ankle', 'Left-Ankle' and 'LEFT ANKLE' are 'left ankle'."""
    return ' '.join(name.lower().replace('_', ' ').replace('-', ' ').split())


def read(path) -> Annotations:
    """The images and the people of a file; other categories than the person's are left out.

    `num_keypoints` follows from the keypoints; an `area` that is 0 or absent is that of the box.
    InputError naming the file, and the record and field that cannot be used; also where no person has a keypoint.
    """
    content = read_json(path)
    images = read_images(path, content)
    category = _category(path, content)
    joints = tuple(category['keypoints'])
    annotations = content['annotations']
    known = {image['id'] for image in images}
    fields = _fields(len(joints))
    check_records(path, 'annotation', annotations, {'category_id': WHOLE})
    people, without_area = [], 0
    for index, annotation in enumerate(annotations):
        if annotation['category_id'] == category['id']:
            check_record(path, f'annotation {index}', annotation, fields, OPTIONAL)
            check_image(path, f'annotation {index}', annotation, known, path)
            without_area += not annotation.get('area')
            people.append(_completed(annotation))
    if not any(person['num_keypoints'] and not person['iscrowd'] for person in people):
        raise InputError(f'{path}: no person in it has a keypoint ({len(annotations)} annotations, {len(people)} of '
                         f'them of "{NAME}")')
    return Annotations(images, people, joints, _limbs(category, len(joints)), without_area)


def _completed(annotation):
    x, y, width, height = annotation['bbox']
    return {**annotation, 'category_id': PERSON, 'iscrowd': annotation.get('iscrowd', 0),
            'area': annotation.get('area') or max(width, 0) * max(height, 0),
            'num_keypoints': sum(flag > 0 for flag in annotation['keypoints'][2::3])}


def _category(path, content):
    """The record of the person's category; InputError that says why there is none with keypoints."""
    categories = content.get('categories')
    if not isinstance(content.get('annotations'), list):
        raise InputError(f'{path}: has no keypoints of people: no list "annotations"; {HINT}')
    if not isinstance(categories, list) or not categories:
        raise InputError(f'{path}: has no keypoints of people: no list "categories" that names them')
    check_records(path, 'category', categories, {'id': WHOLE, 'name': (is_text, 'a text')})
    people = [category for category in categories if plain(category['name']) == NAME]
    if not people:
        names = ', '.join(yaml_text.shown(category['name']) for category in categories[:5])
        raise InputError(f'{path}: has no keypoints of people: none of its {len(categories)} categories is named '
                         f'"{NAME}" ({names})')
    if 'keypoints' not in people[0]:
        raise InputError(f'{path}: has no keypoints of people: its category "{NAME}" has no list '
                         f'"keypoints"; {HINT}')
    check_record(path, f'category {categories.index(people[0])}', people[0], {'keypoints': _NAMES})
    return people[0]


def _limbs(category, count):
    """Pairs of COCO's "skeleton", which counts keypoints from 1; those that are none are left out."""
    pairs = category.get('skeleton', [])
    return tuple((pair[0] - 1, pair[1] - 1) for pair in (pairs if isinstance(pairs, list) else ())
                 if is_list(pair, lambda value: type(value) is int and 1 <= value <= count, 2) and pair[0] != pair[1])


def read_images(path, content) -> list:
    """The records of the images in a file's content; InputError as `read`."""
    images = content.get('images') if isinstance(content, dict) else None
    if not isinstance(images, list) or not images:
        raise InputError(f'{path}: should be an object with a list "images", as COCO\'s annotation files are')
    check_records(path, 'image', images, _IMAGE)
    check_unique(path, images)
    return images


def check_unique(source, images):
    """InputError where two images have one id."""
    seen = set()
    for index, image in enumerate(images):
        if image['id'] in seen:
            raise InputError(f'{source}: image {index} has a bad "id": {image["id"]} occurs twice')
        seen.add(image['id'])


def check_image(path, name, record, known, source):
    """InputError where a record is of an image that `source` does not have."""
    if record['image_id'] not in known:
        raise InputError(f'{path}: {name} has a bad "image_id": {record["image_id"]} is not an image of {source}')


def is_whole(value) -> bool:
    return type(value) is int and 0 <= value < 2 ** 63


def _are_names(value):
    return is_list(value, lambda name: is_text(name) and name.isprintable() and 0 < len(plain(name)) <= 80) \
        and 0 < len({*map(plain, value)}) == len(value)


def _fields(joints):
    def are_labels(value):
        return is_list(value, length=3 * joints) and all(flag in (0, 1, 2) for flag in value[2::3])
    return {
        'image_id': WHOLE,
        'bbox': BOX,
        'area': (lambda value: is_number(value) and value >= 0, 'a finite number of at least 0'),
        'iscrowd': (lambda value: type(value) is int and value in (0, 1), '0 or 1'),
        'keypoints': (are_labels, f'{joints} times x, y, v, finite numbers with v 0, 1 or 2'),
    }


WHOLE = (is_whole, 'a whole number')
BOX = (lambda value: is_list(value, length=4), 'four finite numbers [x, y, width, height]')
OPTIONAL = ('area', 'iscrowd')
_SIDE = (lambda value: is_whole(value) and value > 0, 'a whole number above 0')
_NAMES = (_are_names, 'a list of different names')
_IMAGE = {'id': WHOLE, 'file_name': (is_name, 'the name of a file below the images\' folder'), 'width': _SIDE,
          'height': _SIDE}
