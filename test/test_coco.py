"""COCO's files, people, boxes and AP: the real mini set, hand-made files, and what is said about unusable ones."""
import copy
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from common.crop import crop_matrix, crop_sample, invert, transform_points
from common.decode import decode
from common.errors import InputError
from common.grid import to_cells
from common.loader import Loader
from pose_coco import evaluate, paper
from pose_coco.ap import COLUMNS, average_precision, format_table
from pose_coco.dataset import box_nms, iou, load_people, person_box
from pose_coco.layout import (annotation_file, image_folder, read_annotations, read_results, read_split, results_file,
                              write_results)
from pose_coco.results import to_records
from pose_coco.skeleton import FLIP_PAIRS, JOINTS, LIMBS, SIDES

SIZE = (256, 256)
CATEGORY = {'id': 1, 'name': 'person', 'keypoints': [name.replace(' ', '_') for name in JOINTS]}


# --- small sets by hand --------------------------------------------------------------------------------------------

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


@pytest.fixture
def mini(shared):
    return shared / 'coco_mini'


def error_of(function, *arguments, **options):
    """The message of the InputError a call raises: one line."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    assert '\n' not in str(caught.value)
    return str(caught.value)


# --- joints --------------------------------------------------------------------------------------------------------

def test_the_joints_are_those_of_the_real_file(mini):
    category, = json.loads((mini / 'annotations' / 'person_keypoints_mini.json').read_text())['categories']
    assert category['keypoints'] == CATEGORY['keypoints']
    assert [[a + 1, b + 1] for a, b in LIMBS] == category['skeleton']


def test_flip_pairs_exchange_left_and_right():
    for a, b in FLIP_PAIRS:
        assert JOINTS[a].replace('left', 'right') == JOINTS[b] and (SIDES[a], SIDES[b]) == ('L', 'R')
    assert {k for pair in FLIP_PAIRS for k in pair} == set(range(17)) - {JOINTS.index('nose')}


# --- people from annotations ---------------------------------------------------------------------------------------

@pytest.mark.parametrize('bbox, size, expected', [
    ([10, 20, 40, 60], (256, 256), (29.5, 49.5, 75, 75)),            # square around the longer side, times 1.25
    ([10, 20, 40, 60], (192, 256), (29.5, 49.5, 56.25, 75)),         # 45 x 60 has the ratio 3:4
    ([10, 20, 60, 60], (192, 256), (39.5, 49.5, 75, 100))])          # here the height grows
def test_a_box_keeps_the_inputs_aspect_ratio(bbox, size, expected):
    assert person_box(bbox, size) == pytest.approx(expected)


def test_people_of_a_small_set(tmp_path):
    dataset = small_set()
    dataset['annotations'][1]['keypoints'][:6] = [0, 0, 0, 77, 88, 1]
    write(tmp_path, dataset)
    people = load_people(tmp_path, 'tiny', SIZE)
    assert people.image_ids.tolist() == [4, 4, 9] and people.box_scores.tolist() == [1, 1, 1]
    assert people.areas.tolist() == [75 * 75] * 3
    first, second, third = people.samples
    assert first.image == str(tmp_path / 'images' / '4.jpg') and third.image == str(tmp_path / 'images' / '9.jpg')
    np.testing.assert_array_equal(first.joints[[0, 5]], [[20, 10], [25, 17]])
    assert first.visible.tolist() == [1] * 17
    assert second.visible.tolist() == [0] + [1] * 16 and second.joints[1].tolist() == [77, 88]


@pytest.mark.parametrize('changes', [{'iscrowd': 1}, {'bbox': [20, 10, 0, 60]}, {'bbox': [20, 10, 40, -60]},
                                     {'keypoints': keypoints_at(1, 1, 0)}, {'category_id': 3}])
def test_crowds_and_what_cannot_be_cropped_or_has_no_keypoint_are_left_out(tmp_path, changes):
    dataset = small_set()
    dataset['annotations'][0].update(changes)
    write(tmp_path, dataset)
    assert load_people(tmp_path, 'tiny', SIZE).image_ids.tolist() == [4, 9]


def test_real_people_are_cropped_with_their_joints(mini):
    people = load_people(mini, 'mini', SIZE)
    assert len(people.samples) == 12 == len(people.image_ids)
    assert sum(sample.visible.sum() for sample in people.samples) == 181
    for batch in Loader(people.samples, SIZE, 12).batches():
        assert batch.images.any(axis=(1, 2, 3)).all()
        assert batch.visible.sum() == 181     # 1.25 times the box holds all of them
    wide = load_people(mini, 'mini', (192, 256)).samples[0]
    assert wide.box[2] / wide.box[3] == pytest.approx(192 / 256)
    image, joints, _ = crop_sample(wide, (192, 256), crop_matrix(wide.box, (192, 256)))
    assert image.shape == (256, 192, 3) and (joints > 0).all() and (joints < (192, 256)).all()


def test_splits_are_joined_by_a_plus(tmp_path):
    for split, ids in (('train2014', (4, 9)), ('val2014', (5, 10))):
        dataset = small_set()
        for image, number in zip(dataset['images'], ids):
            for person in dataset['annotations']:
                person['image_id'] = number if person['image_id'] == image['id'] else person['image_id']
            image.update(id=number, file_name=f'COCO_{split}_{number:012}.jpg')
        write(tmp_path, dataset, split)
        (tmp_path / split).mkdir()
    people = load_people(tmp_path, 'train2014+val2014', SIZE)
    assert people.image_ids.tolist() == [4, 4, 9, 5, 5, 10]
    assert people.samples[0].image == str(tmp_path / 'train2014' / 'COCO_train2014_000000000004.jpg')
    assert people.samples[5].image == str(tmp_path / 'val2014' / 'COCO_val2014_000000000010.jpg')
    assert 'train2014+train2014: image 2 has a bad "id": 4 occurs twice' in error_of(
        load_people, tmp_path, 'train2014+train2014', SIZE)


def test_images_are_found_in_the_first_folder_there_is(tmp_path):
    assert f'{tmp_path / "images" / "val2017"}: no such folder' in error_of(image_folder, tmp_path, 'val2017')
    for folder in ('images', 'val2017', 'images/val2017'):
        (tmp_path / folder).mkdir()
        assert image_folder(tmp_path, 'val2017') == tmp_path / folder
    (tmp_path / 'test2017').mkdir()
    assert image_folder(tmp_path, 'test-dev2017') == tmp_path / 'test2017'


def test_a_missing_folder_or_split_is_named(tmp_path):
    assert 'nowhere: no such folder; get COCO' in error_of(annotation_file, tmp_path / 'nowhere', 'val2017')
    assert 'person_keypoints_val2017.json: no such file' in error_of(annotation_file, tmp_path, 'val2017')


# --- people from a detector ----------------------------------------------------------------------------------------

def test_real_detections_load_as_they_are_and_cover_the_people(mini):
    boxes = mini / 'person_detection_results' / 'mini_detections.json'
    records = json.loads(boxes.read_text())
    found = load_people(mini, 'mini', SIZE, boxes)
    assert found.box_scores.tolist() == [record['score'] for record in records]
    assert found.image_ids.tolist() == [record['image_id'] for record in records]
    assert not any(sample.visible.any() for sample in found.samples)

    kept = load_people(mini, 'mini', SIZE, boxes, score_threshold=0.3, iou_threshold=0.7)
    assert 12 <= len(kept.samples) < 30 and (kept.box_scores >= 0.3).all()
    for sample, image_id in zip(*load_people(mini, 'mini', SIZE)[:2]):
        joints = sample.joints[sample.visible > 0]
        crops = [transform_points(crop_matrix(other.box, SIZE), joints)
                 for other, other_id in zip(kept.samples, kept.image_ids) if other_id == image_id]
        assert max(((crop > 0) & (crop < SIZE)).mean() for crop in crops) > 0.9


def test_a_test_split_has_images_and_boxes_alone(tmp_path):
    info = {'images': small_set()['images'], 'categories': [{'id': 1, 'name': 'person'}, {'id': 2, 'name': 'bicycle'}]}
    write(tmp_path, info, 'test-dev2017', 'image_info')
    boxes = detections(tmp_path, [box(9), box(4), box(4, (60, 10, 30, 60), 0.2)])
    people = load_people(tmp_path, 'test-dev2017', SIZE, boxes)
    assert people.image_ids.tolist() == [9, 4, 4] and people.box_scores.tolist() == [0.9, 0.9, 0.2]
    assert people.samples[0].box == pytest.approx((24.5, 39.5, 75, 75))
    assert people.areas.tolist() == [75 * 75] * 3
    message = error_of(load_people, tmp_path, 'test-dev2017', SIZE)
    assert 'image_info_test-dev2017.json: has no keypoints' in message


def test_other_categories_and_low_scores_are_ignored(tmp_path, capsys):
    write(tmp_path, small_set())
    boxes = detections(tmp_path, [box(category_id=17), box(score=0.1), box(score=0.5), box(score=0.49)])
    assert load_people(tmp_path, 'tiny', SIZE, boxes, score_threshold=0.5).box_scores.tolist() == [0.5]
    assert capsys.readouterr().err == ''
    assert 'no person (category_id 1) with a score of at least 0.6' in error_of(
        load_people, tmp_path, 'tiny', SIZE, boxes, score_threshold=0.6)


USELESS = [box(77), box(78), box(bbox=(10, 10, 0, 60)), box(bbox=(10, 10, 20, -3)), box(bbox=(1, 1, 1e-300, 1e-300)),
           box(bbox=(200, 10, 30, 60)), box(bbox=(10, -60, 30, 60)), box(bbox=(-1e8, 10, 30, 60))]
COUNTS = '2 in images that the split does not have, 3 with a box below a pixel, 3 outside of their image'


def test_detections_of_no_use_are_left_out_and_counted(tmp_path, capsys):
    write(tmp_path, small_set())
    partly = box(9, (180, -20, 60, 60))
    boxes = detections(tmp_path, [*USELESS, partly])
    people = load_people(tmp_path, 'tiny', SIZE, boxes)
    assert people.image_ids.tolist() == [9] and people.samples[0].box == pytest.approx((209.5, 9.5, 75, 75))
    assert capsys.readouterr().err == f'warning: {boxes}: people left out: {COUNTS}\n'
    assert error_of(load_people, tmp_path, 'tiny', SIZE, detections(tmp_path, USELESS)) \
        == f'{boxes}: none of its people can be used: {COUNTS}'


def test_boxes_of_one_person_are_suppressed_within_their_image(tmp_path):
    write(tmp_path, small_set())
    same = (11, 10, 30, 60)                   # IoU with the other box: 29 / 31
    boxes = detections(tmp_path, [box(score=0.3), box(9, score=0.2), box(4, same, 0.8),
                                  box(4, (60, 10, 30, 60), 0.1)])
    for threshold, expected in ((1, [0.3, 0.2, 0.8, 0.1]), (0.94, [0.3, 0.2, 0.8, 0.1]), (0.93, [0.2, 0.8, 0.1])):
        people = load_people(tmp_path, 'tiny', SIZE, boxes, iou_threshold=threshold)
        assert people.box_scores.tolist() == expected


def test_iou_and_its_suppression_by_hand():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 4, 4], [0, 0, 10, 10]], float)
    np.testing.assert_allclose(iou(boxes[:1], boxes), [1, 50 / 150, 0, 1])
    assert box_nms(boxes, [0.5, 0.9, 0.1, 0.5], 0.3).tolist() == [1, 2]
    assert box_nms(boxes, [0.5, 0.9, 0.1, 0.5], 1 / 3 + 1e-9).tolist() == [1, 0, 2]


@pytest.mark.parametrize('field, value', [
    ('image_id', '4'), ('image_id', None), ('image_id', 1.5), ('category_id', 'person'), ('category_id', True),
    ('bbox', [1, 2, 3]), ('bbox', None), ('bbox', [1, 2, 3, float('nan')]), ('bbox', [1, 2, '3', 4]),
    ('bbox', [1, 2, 10 ** 400, 4]), ('score', None), ('score', float('nan')), ('score', '0.5'),
    ('score', float('inf'))])
def test_a_bad_detection_is_named(tmp_path, field, value):
    write(tmp_path, small_set())
    boxes = detections(tmp_path, [box(), {**box(), field: value}])
    message = error_of(load_people, tmp_path, 'tiny', SIZE, boxes)
    assert message.startswith(f'{boxes}: detection 1 has a bad "{field}": it should be ')


@pytest.mark.parametrize('records, expected', [
    ({}, 'should be a list of detections'), ([7], 'detection 0 should be an object with image_id'),
    ([], 'has no person'), ([result()], 'detection 0 has no "bbox"')])
def test_a_file_that_is_not_detections_is_named(tmp_path, records, expected):
    write(tmp_path, small_set())
    boxes = detections(tmp_path, records)
    assert error_of(load_people, tmp_path, 'tiny', SIZE, boxes).startswith(f'{boxes}: {expected}')


# --- from joints to AP ---------------------------------------------------------------------------------------------

def evaluated(tmp_path, annotations, records, *options):
    """What the program writes with --json."""
    path = results_file(tmp_path, 'mini', 'coco/table8/i1')
    write_results(path, records)
    evaluate.main(['--result', str(path), '--annot', str(annotations), '--json', str(tmp_path / 'ap.json'), *options])
    return json.loads((tmp_path / 'ap.json').read_text())


def test_the_truth_itself_scores_100(mini, tmp_path):
    people = load_people(mini, 'mini', SIZE)
    records = to_records(people, np.stack([sample.joints for sample in people.samples]), np.ones((12, 17)))
    found = evaluated(tmp_path, annotation_file(mini, 'mini'), records)
    assert found == pytest.approx(dict.fromkeys(COLUMNS, 100))
    assert results_file(tmp_path, 'mini', 'coco/table8/i1').name == \
        'person_keypoints_mini_coco-table8-i1_results.json'


def drawn(sample, joints, stride):
    """Gaussian heat maps of joints in an image, in the sample's crop."""
    matrix = crop_matrix(sample.box, SIZE)
    cells = to_cells(transform_points(matrix, joints), stride)
    grid = np.arange(SIZE[0] // stride)
    return matrix, np.exp(-((grid[:, np.newaxis] - cells[:, 1, None, None]) ** 2
                            + (grid - cells[:, 0, None, None]) ** 2) / 2)


def through_heatmaps(people, joints, method):
    """Joints decoded from heat maps drawn in each person's crop, and the maps' scores."""
    found, scores = [], []
    for sample, points in zip(people.samples, joints):
        matrix, heatmaps = drawn(sample, points, 4)
        decoded = decode(heatmaps[np.newaxis], None, method, 4, beta=10)[0]
        found.append(transform_points(invert(matrix), decoded))
        scores.append(heatmaps.max(axis=(1, 2)))
    return np.stack(found), np.stack(scores)


def test_the_truth_drawn_as_heat_maps_scores_100(mini, tmp_path):
    people = load_people(mini, 'mini', SIZE)
    found = through_heatmaps(people, [sample.joints for sample in people.samples], 'local')
    records = to_records(people, *found)
    assert evaluated(tmp_path, annotation_file(mini, 'mini'), records) == pytest.approx(dict.fromkeys(COLUMNS, 100))


def test_people_in_a_detectors_boxes_score_above_90(mini, tmp_path):
    boxes = load_people(mini, 'mini', SIZE, mini / 'person_detection_results' / 'mini_detections.json', 0.1)
    truth = load_people(mini, 'mini', SIZE)
    owners = []                               # whose box it is: the person with the most similar crop
    for sample, image_id in zip(boxes.samples, boxes.image_ids):
        same_image = np.flatnonzero(truth.image_ids == image_id)
        distances = [np.abs(np.subtract(truth.samples[n].box, sample.box)).sum() for n in same_image]
        owners.append(same_image[np.argmin(distances)])
    found = through_heatmaps(boxes, [truth.samples[n].joints for n in owners], 'local')
    records = to_records(boxes, *found)
    assert set(owners) == set(range(12)) and 12 <= len(records) < len(owners)
    assert evaluated(tmp_path, annotation_file(mini, 'mini'), records)['AP'] > 90


def test_ap_by_hand(tmp_path):
    dataset = small_set()
    # one of three people is found, better than a false alarm: precision 1 up to the recall of 1/3, 34 of 101 points
    found = average_precision(dataset, [result(score=0.9), result(9, 150, 60, score=0.1)])
    assert found == {'AP': pytest.approx(100 * 34 / 101), 'AP50': pytest.approx(100 * 34 / 101),
                     'AP75': pytest.approx(100 * 34 / 101), 'APM': pytest.approx(100 * 34 / 101), 'APL': None}
    assert average_precision(dataset, [])['AP'] == 0
    # images without results, and a person without keypoints, whose detection counts neither way
    everybody = [result(), result(4, 100, 20), result(9, 50, 30), result(9, 125, 35, score=0.7)]
    assert average_precision(dataset, everybody)['AP'] == pytest.approx(100)


def test_an_annotation_with_id_0_can_be_found():
    dataset = small_set()
    for number, person in enumerate(dataset['annotations']):
        person['id'] = number
    assert average_precision(dataset, [result(), result(4, 100, 20), result(9, 50, 30)])['AP'] == pytest.approx(100)


def test_what_else_a_result_holds_changes_nothing():
    dataset = small_set()
    records = [result(), result(9, 3000, 3000, score=0.9)]
    plain = average_precision(dataset, records)
    more = [{**records[0], 'bbox': [0, 0, 1, 1], 'caption': 'x'}, records[1]]
    before = copy.deepcopy((dataset, more))
    assert average_precision(dataset, more) == plain
    assert (dataset, more) == before


def test_the_table_has_the_papers_columns_and_row():
    scores = {'AP': 1.0, 'AP50': 2.26, 'AP75': 100.0, 'APM': None, 'APL': 0.0}
    header, ours, row = (line.split() for line in format_table(scores, paper.TABLE8['table8/i1'][1:]).splitlines())
    assert header == list(COLUMNS)
    assert ours == ['ours', '1.0', '2.3', '100.0', '-', '0.0']
    assert row == ['paper', '67.8', '88.2', '74.8', '63.9', '74.0']


def test_the_papers_rows_are_in_its_text(shared):
    text = next((shared.parent / 'paper').glob('*.txt')).read_text()
    for row in paper.TABLE8.values():
        assert '\t'.join(map(str, row[1:])) in text


# --- files ---------------------------------------------------------------------------------------------------------

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


# --- the program ---------------------------------------------------------------------------------------------------

def test_evaluate_prints_the_table_and_nothing_else(tmp_path, capfd):
    found = evaluated(tmp_path, write(tmp_path, small_set()), [result(), result(4, 100, 20)])
    out, err = capfd.readouterr()
    assert out == format_table(found) + '\n' and err == ''
    assert list(found) == list(COLUMNS) and found['AP'] == pytest.approx(100 * 67 / 101)


@pytest.mark.parametrize('records, expected', [
    ([result(), result(5)], 'result 1 has a bad "image_id": 5 is not an image of'),
    ([{**result(), 'category_id': 2}], 'result 0 has a bad "category_id": it should be 1, the person'),
    ([{**result(), 'score': float('nan')}], 'result 0 has a bad "score"'),
    ([{**result(), 'keypoints': [float('nan')] * 51}], 'result 0 has a bad "keypoints"'),
    ([{**result(), 'keypoints': [1.0] * 34}], 'result 0 has a bad "keypoints": it should be 17 times x, y, score'),
    ([{**result(), 'keypoints': '1'}], 'result 0 has a bad "keypoints"'),
    ([{**result(), 'image_id': [4]}], 'result 0 has a bad "image_id": it should be a whole number'),
    ([box()], 'result 0 has no "keypoints"'), ([None], 'result 0 should be an object'),
    (small_set(), 'should be a list of results')])
def test_bad_results_are_named(tmp_path, records, expected):
    path = tmp_path / 'results.json'
    path.write_text(json.dumps(records))
    message = error_of(evaluate.main, ['--result', str(path), '--annot', str(write(tmp_path, small_set()))])
    assert message.startswith(f'{path}: {expected}')


def test_missing_and_malformed_files_are_named(tmp_path):
    truth, path = write(tmp_path, small_set()), tmp_path / 'results.json'
    assert 'results.json: cannot be read' in error_of(evaluate.main, ['--result', str(path), '--annot', str(truth)])
    path.write_text('[{"image_id": 4,')
    assert 'results.json: not valid JSON' in error_of(evaluate.main, ['--result', str(path), '--annot', str(truth)])
    assert 'results.json: not valid JSON' in error_of(evaluate.main, ['--result', str(truth), '--annot', str(path)])


@pytest.mark.parametrize('module', [False, True])
def test_evaluate_runs_from_any_folder(root, tmp_path, module):
    truth = write(tmp_path, small_set())
    write_results(tmp_path / 'results.json', [result()])
    script = ['-m', 'pose_coco.evaluate'] if module else [str(root / 'pose_coco' / 'evaluate.py')]
    done = subprocess.run([sys.executable, *script, '--result', str(tmp_path / 'results.json'), '--annot', str(truth)],
                          cwd=str(root if module else tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)
    assert (done.returncode, done.stderr) == (0, '')
    assert re.search(r'ours +33\.7 +33\.7 +33\.7 +33\.7 +-\n', done.stdout)
