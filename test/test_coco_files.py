"""COCO's files of annotations and results: read, written, and what is said of unusable ones."""
import pytest
from coco_set import CATEGORY, result, small_set, write
from refused import fails

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
    ('annotations', 'area', -1), ('annotations', 'iscrowd', 2),
    ('annotations', 'keypoints', [0] * 48), ('annotations', 'keypoints', [1, 2, 3] * 17),
    ('annotations', 'keypoints', [float('nan'), 2, 1] * 17), ('annotations', 'keypoints', [[1, 2, 1]] * 17),
    ('annotations', 'keypoints', None)])
def test_a_bad_annotation_is_named(tmp_path, place, field, value):
    path = write(tmp_path, changed(place, field, value))
    assert fails(read_annotations, path).startswith(f'{path}: {place[:-1]} 1 has a bad "{field}": it should be ')


@pytest.mark.parametrize('place, field', [
    (place, field) for place in ('images', 'annotations') for field in small_set()[place][0]
    if field not in ('area', 'iscrowd', 'num_keypoints') and (place, field) != ('annotations', 'id')])
def test_a_missing_field_is_named(tmp_path, place, field):
    dataset = small_set()
    del dataset[place][1][field]
    assert f'{place[:-1]} 1 has no "{field}"' in fails(read_annotations, write(tmp_path, dataset))


def instances():
    """What instances_<split>.json holds: boxes of many categories, no keypoints."""
    dataset = small_set()
    dataset['categories'] = [{'id': 1, 'name': 'person'}, {'id': 2, 'name': 'bicycle'}]
    for person in dataset['annotations']:
        del person['keypoints'], person['num_keypoints']
    return dataset


def of_category(**changes):
    return {**small_set(), 'categories': [{'id': 7, 'name': 'dog'}, {**CATEGORY, **changes}]}


OWN = ['Nose', 'tail', *CATEGORY['keypoints'][2:]]


def nobody():
    dataset = small_set()
    del dataset['annotations'][:3]
    return dataset


@pytest.mark.parametrize('dataset, expected', [
    (instances(),
     'has no keypoints of people: its category "person" has no list "keypoints"; person_keypoints_<split>'),
    (of_category(keypoints=CATEGORY['keypoints'][::-1]),
     "the keypoints of its people are not COCO's 17 (in another order)"),
    (of_category(keypoints=OWN), "the keypoints of its people are not COCO's 17 (not COCO's: tail; without left eye)"),
    (of_category(keypoints='nose'), 'category 1 has a bad "keypoints"'),
    (of_category(keypoints=['a', 'A']), 'category 1 has a bad "keypoints": it should be a list of different names'),
    (of_category(name='cat'),
     'has no keypoints of people: none of its 2 categories is named "person" (\'dog\', \'cat\')'),
    ({**small_set(), 'categories': [{'id': 1}]}, 'category 0 has no "name"'),
    ({**small_set(), 'categories': []}, 'has no keypoints of people: no list "categories"'),
    ({**small_set(), 'annotations': {}}, 'has no keypoints of people: no list "annotations"'),
    (nobody(), 'no person in it has a keypoint (1 annotations, 1 of them of "person")'),
    (of_category(id=2), 'no person in it has a keypoint (4 annotations, 0 of them of "person")'),
    ({**small_set(), 'images': []}, 'should be an object with a list "images"'),
    ({**small_set(), 'images': [3]}, 'image 0 should be an object'),
    ({**small_set(), 'annotations': [3]}, 'annotation 0 should be an object'),
    (changed('images', 'id', 4), 'image 1 has a bad "id": 4 occurs twice'),
    (changed('annotations', 'image_id', 5), 'annotation 1 has a bad "image_id": 5 is not an image of'),
    ([], 'should be an object with a list "images"'), (None, 'should be an object with a list "images"')])
def test_a_file_that_is_not_keypoint_annotations_is_named(tmp_path, dataset, expected):
    path = write(tmp_path, dataset)
    assert fails(read_annotations, path).startswith(f'{path}: {expected}')
    assert expected in fails(read_split, tmp_path, 'tiny')


def test_files_of_other_tools_are_read(tmp_path, capsys):
    """The person by its name, keypoints' names however spelled, counts of keypoints, crowds and areas missing."""
    names = [name.upper().replace('_', '-') for name in CATEGORY['keypoints']]
    dataset = of_category(id=3, name='Person', keypoints=names)
    for person in dataset['annotations']:
        person['category_id'] = 3
        del person['iscrowd']
    dataset['annotations'][0].update(num_keypoints=0, area=0)
    del dataset['annotations'][1]['num_keypoints'], dataset['annotations'][1]['area']
    dataset['annotations'].append({'category_id': 7})         # a dog
    path = write(tmp_path, dataset)
    expected = small_set()
    for person in expected['annotations'][:2]:
        person['area'] = 40 * 60
    del expected['categories']
    assert read_annotations(path) == expected
    assert capsys.readouterr().err == f'warning: {path}: 2 of 4 people have no area; that of their box is taken\n'
