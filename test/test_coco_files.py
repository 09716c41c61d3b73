"""COCO's files of annotations and results: read, written, and what is said of unusable ones."""
import pytest
from coco_set import CATEGORY, error_of, result, small_set, write

from pose_coco.layout import read_annotations, read_results, read_split, write_results


def test_results_survive_a_round_trip(tmp_path):
    path = tmp_path / 'new' / 'results.json'
    for records in ([], [result()], [result(), result(9)]):
        write_results(path, records)
        assert read_results(path, small_set()['images'], 'x') == records
    assert len(path.read_text().splitlines()) == 2 and ' ' not in path.read_text()


def changed(place, field, value):
    dataset = small_set()
    dataset[place][1][field] = value
    return dataset


@pytest.mark.parametrize('place, field, value', [
    ('images', 'id', '4'), ('images', 'id', None), ('images', 'id', float('nan')), ('images', 'file_name', '../4.jpg'),
    ('images', 'file_name', '/etc/passwd'), ('images', 'file_name', 3), ('images', 'file_name', 'a\nb.jpg'),
    ('images', 'width', 0), ('images', 'height', 'tall'),
    ('annotations', 'image_id', None), ('annotations', 'category_id', None), ('annotations', 'bbox', [1, 2, 3]),
    ('annotations', 'bbox', [1, 2, 3, float('inf')]), ('annotations', 'area', float('nan')),
    ('annotations', 'area', -1), ('annotations', 'iscrowd', 2), ('annotations', 'num_keypoints', 'x'),
    ('annotations', 'keypoints', [0] * 48), ('annotations', 'keypoints', [1, 2, 3] * 17),
    ('annotations', 'keypoints', [float('nan'), 2, 1] * 17), ('annotations', 'keypoints', [[1, 2, 1]] * 17),
    ('annotations', 'keypoints', None)])
def test_a_bad_annotation_is_named(tmp_path, place, field, value):
    path = write(tmp_path, changed(place, field, value))
    assert error_of(read_annotations, path).startswith(f'{path}: {place[:-1]} 1 has a bad "{field}": it should be ')


@pytest.mark.parametrize('place, field', [
    (place, field) for place in ('images', 'annotations') for field in small_set()[place][0]
    if (place, field) != ('annotations', 'id')])
def test_a_missing_field_is_named(tmp_path, place, field):
    dataset = small_set()
    del dataset[place][1][field]
    assert f'{place[:-1]} 1 has no "{field}"' in error_of(read_annotations, write(tmp_path, dataset))


def instances():
    """What instances_<split>.json holds: boxes of many categories, no keypoints."""
    dataset = small_set()
    dataset['categories'] = [{'id': 1, 'name': 'person'}, {'id': 2, 'name': 'bicycle'}]
    for person in dataset['annotations']:
        del person['keypoints'], person['num_keypoints']
    return dataset


def reordered():
    dataset = small_set()
    dataset['categories'] = [{**CATEGORY, 'keypoints': CATEGORY['keypoints'][::-1]}]
    return dataset


def nobody():
    dataset = small_set()
    del dataset['annotations'][:3]
    return dataset


@pytest.mark.parametrize('dataset, expected', [
    (instances(), 'has no keypoints of people; person_keypoints_<split>.json'),
    (reordered(), 'has no keypoints of people'),
    ({**small_set(), 'annotations': {}}, 'has no keypoints of people'),
    (nobody(), 'no person in it has a keypoint'),
    ({**small_set(), 'images': []}, 'should be an object with a list "images"'),
    ({**small_set(), 'images': [3]}, 'image 0 should be an object'),
    ({**small_set(), 'annotations': [3]}, 'annotation 0 should be an object'),
    (changed('images', 'id', 4), 'image 1 has a bad "id": 4 occurs twice'),
    (changed('annotations', 'image_id', 5), 'annotation 1 has a bad "image_id": 5 is not an image of'),
    ([], 'should be an object with a list "images"'), (None, 'should be an object with a list "images"')])
def test_a_file_that_is_not_keypoint_annotations_is_named(tmp_path, dataset, expected):
    path = write(tmp_path, dataset)
    assert error_of(read_annotations, path).startswith(f'{path}: {expected}')
    assert expected in error_of(read_split, tmp_path, 'tiny')
