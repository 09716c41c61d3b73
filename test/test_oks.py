"""OKS, its suppression and rescoring: hand-worked cases, pycocotools, a double loop, and the time they take."""
import math
import time

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pose_coco.dataset import People
from pose_coco.layout import read_annotations
from pose_coco.oks import oks, oks_nms, rescore
from pose_coco.results import to_records
from pose_coco.skeleton import SIGMAS


def pose(*offset):
    """A pose (17, 3) with every joint at (100, 100) + offset."""
    keypoints = np.ones((17, 3))
    keypoints[:, :2] = np.add((100.0, 100.0), offset or (0, 0))
    return keypoints


def coco(images, annotations):
    made = COCO()
    made.dataset = {'images': images, 'categories': [{'id': 1}],
                    'annotations': [{**a, 'id': n, 'category_id': 1} for n, a in enumerate(annotations, 1)]}
    made.createIndex()
    return made


def peer(images, truth, found):
    """pycocotools' own {image id: OKS (found, truth)}; scores must fall, at most 20 in an image."""
    evaluation = COCOeval(coco(images, truth), coco(images, found), 'keypoints')
    evaluation._prepare()
    return {image['id']: evaluation.computeOks(image['id'], 1) for image in images}


def check_against_peer(images, truth, found):
    expected = peer(images, truth, found)
    compared = 0
    for image in images:
        people = [a for a in truth if a['image_id'] == image['id']]
        poses = np.array([a['keypoints'] for a in found if a['image_id'] == image['id']]).reshape(-1, 17, 3)
        keypoints = np.array([a['keypoints'] for a in people], float).reshape(-1, 17, 3)
        areas = np.array([a['area'] for a in people])
        similarity = oks(poses[:, np.newaxis, :, :2], keypoints[..., :2], areas, keypoints[..., 2])
        annotated = keypoints[..., 2].any(axis=1)
        np.testing.assert_allclose(similarity[:, annotated], expected[image['id']][:, annotated], rtol=0, atol=1e-9)
        assert (similarity[:, ~annotated] == 0).all()
        compared += similarity[:, annotated].size
    return compared


# --- OKS -----------------------------------------------------------------------------------------------------------

def test_the_same_pose_has_an_oks_of_exactly_1_whatever_the_area():
    assert (oks(pose()[:, :2], pose()[:, :2], np.array([0.0, 1.0, 1e6])) == 1).all()


def test_a_wrist_off_by_its_own_tolerance():
    # d^2 = 8 sigma^2 area with sigma 0.062 and area 10,000 gives 1/e for that joint of 17
    other = pose()
    other[9, 0] += math.sqrt(8 * 0.062 ** 2 * 10_000)
    assert oks(pose()[:, :2], other[:, :2], 10_000) == pytest.approx((16 + math.exp(-1)) / 17)
    labelled = np.zeros(17)
    labelled[[9, 10]] = 1, 2
    assert oks(pose()[:, :2], other[:, :2], 10_000, labelled) == pytest.approx((1 + math.exp(-1)) / 2)


@pytest.mark.parametrize('seed', range(5))
def test_random_instances_have_the_oks_that_pycocotools_gives_them(seed):
    random = np.random.default_rng(seed)
    images = [{'id': number} for number in (3, 7, 8)]
    truth, found = [], []
    for image in images:
        for _ in range(6):
            keypoints = np.column_stack([random.uniform(0, 640, (17, 2)), random.integers(0, 3, 17)])
            x, y, w, h = random.uniform(10, 300, 4)
            truth.append({'image_id': image['id'], 'keypoints': keypoints.ravel().tolist(), 'bbox': [x, y, w, h],
                          'area': random.uniform(0, w * h), 'num_keypoints': 17, 'iscrowd': 0})
        for score in range(20, 0, -1):
            near = np.array(truth[-1 - score % 6]['keypoints']).reshape(17, 3)
            near[:, :2] += random.normal(0, random.choice([0, 2, 10, 50]), (17, 2))
            found.append({'image_id': image['id'], 'keypoints': near.ravel().tolist(), 'score': score})
    truth[4]['keypoints'][2::3] = [0] * 17    # in an image with others: nothing to compare
    truth[5]['area'] = 0.0
    assert check_against_peer(images, truth, found) == 3 * 6 * 20 - 20


def test_real_people_have_the_oks_that_pycocotools_gives_them(shared):
    dataset = read_annotations(shared / 'coco_mini' / 'annotations' / 'person_keypoints_mini.json')
    random = np.random.default_rng(0)
    found = [{'image_id': person['image_id'], 'score': -number,
              'keypoints': (np.array(person['keypoints']) + random.normal(0, spread, 51)).tolist()}
             for number, (person, spread) in enumerate((p, s) for p in dataset['annotations'] for s in (0, 3))]
    assert check_against_peer(dataset['images'], dataset['annotations'], found) > 50


def test_the_sigmas_are_those_of_pycocotools():
    np.testing.assert_allclose(SIGMAS, COCOeval(iouType='keypoints').params.kpt_oks_sigmas, rtol=1e-12)


# --- suppression ---------------------------------------------------------------------------------------------------

def double_loop(keypoints, scores, areas, threshold):
    """OKS-NMS in plain Python, by definition."""
    best_first = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    kept = []
    for index in best_first:
        for better in kept:
            area = (areas[index] + areas[better]) / 2
            total = sum(math.exp(-((keypoints[index][k][0] - keypoints[better][k][0]) ** 2
                                   + (keypoints[index][k][1] - keypoints[better][k][1]) ** 2)
                                 / (2 * (2 * SIGMAS[k]) ** 2 * area)) for k in range(17))
            if total / 17 > threshold:
                break
        else:
            kept.append(index)
    return kept


def scenes(count):
    """Random people, each found a few times, with many equal scores and identical poses."""
    random = np.random.default_rng(0)
    for _ in range(count):
        people = random.uniform(0, 300, (random.integers(1, 5), 1, 2)) + random.normal(0, 40, (1, 17, 2))
        found = people[random.integers(0, len(people), random.integers(0, 13))]
        found = found + random.choice([0, 1, 5, 15], (len(found), 1, 1)) * random.normal(size=(len(found), 17, 2))
        size = len(found)
        yield (np.concatenate([found, random.random((size, 17, 1))], axis=2), random.integers(0, 4, size) / 4,
               random.uniform(1e3, 3e4, size), random.choice([0.3, 0.5, 0.7, 0.9]))


def test_a_thousand_random_scenes_agree_with_a_double_loop():
    dropped = ties = 0
    for keypoints, scores, areas, threshold in scenes(1000):
        kept = oks_nms(keypoints, scores, areas, threshold).tolist()
        assert kept == double_loop(keypoints, scores, areas, threshold)
        dropped += len(scores) - len(kept)
        ties += len(kept) - len(set(scores[kept]))
    assert dropped > 1000 and ties > 500      # there was something to decide


def test_of_equal_scores_the_first_wins_and_kept_ones_come_best_first():
    poses = np.stack([pose(500), pose(), pose(), pose(0, 300)])
    assert oks_nms(poses, [0.2, 0.7, 0.7, 0.9], np.full(4, 1e4), 0.5).tolist() == [3, 1, 0]


def test_an_oks_at_the_threshold_is_not_above_it():
    poses = np.stack([pose(), pose()])
    assert oks_nms(poses, [1, 2], [1e4, 1e4], 1.0).tolist() == [1, 0]
    assert oks_nms(poses, [1, 2], [1e4, 1e4], 0.999).tolist() == [1]


def test_what_resembles_only_a_dropped_one_stays():
    poses = np.stack([pose(0), pose(8), pose(16)])
    near, far = (float(oks(poses[0, :, :2], poses[n, :, :2], 1e4)) for n in (1, 2))
    threshold = (near + far) / 2
    assert far < threshold < near
    assert oks_nms(poses, [3, 2, 1], np.full(3, 1e4), threshold).tolist() == [0, 2]


def test_the_area_of_a_pair_is_the_mean_of_the_two():
    poses = np.stack([pose(0), pose(20)])
    similarity = float(oks(poses[0, :, :2], poses[1, :, :2], 15_000))
    for areas in ([10_000, 20_000], [20_000, 10_000]):
        assert oks_nms(poses, [2, 1], areas, similarity - 1e-6).tolist() == [0]
        assert oks_nms(poses, [2, 1], areas, similarity + 1e-6).tolist() == [0, 1]


def test_nobody_and_a_single_person():
    assert oks_nms(np.zeros((0, 17, 3)), np.zeros(0), np.zeros(0), 0.9).tolist() == []
    assert oks_nms(pose()[np.newaxis], [0.5], [100], 0.9).tolist() == [0]


# --- rescoring -----------------------------------------------------------------------------------------------------

def test_rescoring_counts_the_sure_keypoints_alone():
    scores = np.full((3, 17), 0.1)
    scores[0, :2] = 0.9, 0.5
    scores[1, :3] = 0.2, 0.4, -1              # 0.2 is not above the threshold
    np.testing.assert_allclose(rescore(np.array([0.5, 1.0, 1.0]), scores, 0.2), [0.5 * 0.7, 0.4, 0])


# --- records -------------------------------------------------------------------------------------------------------

def people(image_ids, box_scores=None):
    count = len(image_ids)
    return People([], np.array(image_ids), np.full(count, 1e4), np.ones(count) if box_scores is None else box_scores)


def test_records_are_rescored_suppressed_within_their_image_and_best_first():
    joints = np.stack([pose(), pose(), pose(300), pose()])[..., :2]
    scores = np.array([0.5, 0.8, 0.9, 0.4])[:, np.newaxis] * np.ones(17)
    records = to_records(people([9, 9, 9, 4], np.array([1, 1, 0.5, 1])), joints, scores)
    assert [(record['image_id'], round(record['score'], 6)) for record in records] == [(4, 0.4), (9, 0.8), (9, 0.45)]
    assert records[1]['keypoints'] == [100.0, 100.0, 0.8] * 17 and records[1]['category_id'] == 1


@pytest.mark.parametrize('value', [np.nan, np.inf])
@pytest.mark.filterwarnings('error')
def test_an_instance_that_is_not_finite_is_left_out(value):
    joints, scores = np.stack([pose(), pose(300)])[..., :2], np.ones((2, 17))
    joints[0, 3, 1] = value
    assert [record['keypoints'][0] for record in to_records(people([1, 1]), joints, scores)] == [400]
    scores[1, 16] = value
    assert to_records(people([1, 1]), joints, scores) == []


def test_a_hundred_thousand_detections_take_less_than_ten_seconds():
    random = np.random.default_rng(0)
    count = 100_000
    centres = random.uniform(0, 500, (count, 1, 2))
    found = People([], np.repeat(random.permutation(5000), 20), random.uniform(1e3, 1e5, count), random.random(count))
    started = time.process_time()             # others may use the machine too
    records = to_records(found, centres + random.normal(0, 40, (count, 17, 2)), random.random((count, 17)))
    assert time.process_time() - started < 10
    assert count * 0.9 < len(records) <= count
