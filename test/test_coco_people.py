"""COCO's people: joints, boxes and crops, from annotations and from a detector."""
import json

import numpy as np
import pytest
from coco_set import CATEGORY, SIZE, box, detections, keypoints_at, result, small_set, write
from refused import fails

from common.data.crop import crop_matrix, crop_sample, transform_points
from common.data.loader import Loader
from common.predict.boxes import box_nms, iou
from pose_coco.dataset import load_people, person_box
from pose_coco.layout import annotation_file, image_folder
from pose_coco.skeleton import JOINTS, SKELETON

# --- joints --------------------------------------------------------------------------------------------------------

def test_the_joints_are_those_of_the_real_file(mini):
    category, = json.loads((mini / 'annotations' / 'person_keypoints_mini.json').read_text())['categories']
    assert category['keypoints'] == CATEGORY['keypoints']
    assert [[a + 1, b + 1] for a, b in SKELETON.limbs] == category['skeleton']


def test_flip_pairs_exchange_left_and_right():
    for a, b in SKELETON.flip_pairs:
        assert JOINTS[a].replace('left', 'right') == JOINTS[b]
        assert (SKELETON.sides[a], SKELETON.sides[b]) == ('L', 'R')
    assert {k for pair in SKELETON.flip_pairs for k in pair} == set(range(17)) - {JOINTS.index('nose')}


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
    assert 'train2014+train2014: image 2 has a bad "id": 4 occurs twice' in fails(
        load_people, tmp_path, 'train2014+train2014', SIZE)


def test_images_are_found_in_the_first_folder_there_is(tmp_path):
    assert f'{tmp_path / "images" / "val2017"}: no such folder' in fails(image_folder, tmp_path, 'val2017')
    for folder in ('images', 'val2017', 'images/val2017'):
        (tmp_path / folder).mkdir()
        assert image_folder(tmp_path, 'val2017') == tmp_path / folder
    (tmp_path / 'test2017').mkdir()
    assert image_folder(tmp_path, 'test-dev2017') == tmp_path / 'test2017'


def test_a_missing_folder_or_split_is_named(tmp_path):
    assert 'nowhere: no such folder; get COCO' in fails(annotation_file, tmp_path / 'nowhere', 'val2017')
    assert 'person_keypoints_val2017.json: no such file' in fails(annotation_file, tmp_path, 'val2017')


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
    message = fails(load_people, tmp_path, 'test-dev2017', SIZE)
    assert 'nobody is annotated in test-dev2017; --boxes FILE' in message


def test_other_categories_and_low_scores_are_ignored(tmp_path, capsys):
    write(tmp_path, small_set())
    boxes = detections(tmp_path, [box(category_id=17), box(score=0.1), box(score=0.5), box(score=0.49)])
    assert load_people(tmp_path, 'tiny', SIZE, boxes, score_threshold=0.5).box_scores.tolist() == [0.5]
    assert capsys.readouterr().err == ''
    assert 'no person (category_id 1) with a score of at least 0.6' in fails(
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
    assert fails(load_people, tmp_path, 'tiny', SIZE, detections(tmp_path, USELESS)) \
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
    message = fails(load_people, tmp_path, 'tiny', SIZE, boxes)
    assert message.startswith(f'{boxes}: detection 1 has a bad "{field}": it should be ')


@pytest.mark.parametrize('records, expected', [
    ({}, 'should be a list of detections'), ([7], 'detection 0 should be an object with image_id'),
    ([], 'has no person'), ([result()], 'detection 0 has no "bbox"')])
def test_a_file_that_is_not_detections_is_named(tmp_path, records, expected):
    write(tmp_path, small_set())
    boxes = detections(tmp_path, records)
    assert fails(load_people, tmp_path, 'tiny', SIZE, boxes).startswith(f'{boxes}: {expected}')
