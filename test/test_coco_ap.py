"""COCO's AP, from joints or heat maps to the table and the program."""
import copy
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from coco_set import SIZE, box, result, small_set, write
from refused import fails

from common.data.crop import crop_matrix, invert, transform_points
from common.grid import KINDS, to_cells
from common.predict.decode import decode
from pose_coco import evaluate, paper
from pose_coco.ap import COLUMNS, FIGURES, average_precision, format_table
from pose_coco.dataset import load_people
from pose_coco.layout import annotation_file, results_file, write_results
from pose_coco.results import to_records

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
    assert found == pytest.approx(dict.fromkeys(FIGURES, 100))
    assert results_file(tmp_path, 'mini', 'coco/table8/i1').name == \
        'person_keypoints_mini_coco-table8-i1_results.json'


def drawn(sample, joints, stride):
    """Gaussian heat maps of joints in an image, in the sample's crop."""
    matrix = crop_matrix(sample.box, SIZE)
    cells = to_cells(transform_points(matrix, joints), stride)
    return matrix, gaussians(cells, SIZE[0] // stride)


def gaussians(cells, count, sigma=1):
    """Maps (K, count, count) with a Gaussian about each of the cells (K, 2)."""
    grid = np.arange(count)
    return np.exp(-((grid[:, np.newaxis] - cells[:, 1, None, None]) ** 2
                    + (grid - cells[:, 0, None, None]) ** 2) / 2 / sigma ** 2)


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
    assert evaluated(tmp_path, annotation_file(mini, 'mini'), records) == pytest.approx(dict.fromkeys(FIGURES, 100))


@pytest.mark.parametrize('method', ['argmax', 'quarter', 'local'])
def test_the_truth_as_simple_baselines_targets_scores_100_on_their_grid_alone(mini, tmp_path, method):
    """Of a network that knows its targets: a Gaussian of 2 cells about the cell int(joint / stride + 0.5)."""
    people = load_people(mini, 'mini', SIZE)
    joints, scores = {kind: [] for kind in KINDS}, np.ones((len(people.samples), 17))
    for sample in people.samples:
        matrix = crop_matrix(sample.box, SIZE)
        cells = (transform_points(matrix, sample.joints) / 4 + 0.5).astype(int)
        heatmaps = gaussians(cells, SIZE[0] // 4, sigma=2)[np.newaxis]
        for kind, found in joints.items():
            found.append(transform_points(invert(matrix), decode(heatmaps, None, method, 4, 10, 2, kind)[0]))
    ap = {kind: evaluated(tmp_path, annotation_file(mini, 'mini'), to_records(people, np.stack(found), scores))['AP']
          for kind, found in joints.items()}
    assert ap['corner'] == pytest.approx(100) and ap['centre'] < 99


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
    precision, recall = pytest.approx(100 * 34 / 101), pytest.approx(100 / 3)
    assert found == {'AP': precision, 'AP50': precision, 'AP75': precision, 'APM': precision, 'APL': None,
                     'AR': recall, 'AR50': recall, 'AR75': recall, 'ARM': recall, 'ARL': None}
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
    scores = {**dict.fromkeys(FIGURES, 3.0), 'AP': 1.0, 'AP50': 2.26, 'AP75': 100.0, 'APM': None, 'APL': 0.0}
    header, ours, row = (line.split() for line in format_table(scores, paper.TABLE8['table8/i1'][1:]).splitlines())
    assert header == [*COLUMNS, 'AR', 'AR50', 'AR75', 'ARM', 'ARL']
    assert ours == ['ours', '1.0', '2.3', '100.0', '-', '0.0', *['3.0'] * 5]
    assert row == ['paper', '67.8', '88.2', '74.8', '63.9', '74.0']


def test_the_papers_rows_are_in_its_text(shared):
    texts = list((shared.parent / 'paper').glob('*.txt'))
    if not texts:
        pytest.skip("needs the paper's text, ../shared/paper")
    text = texts[0].read_text()
    for row in paper.TABLE8.values():
        assert '\t'.join(map(str, row[1:])) in text


# --- the program ---------------------------------------------------------------------------------------------------

def test_evaluate_prints_the_table_and_nothing_else(tmp_path, capfd):
    found = evaluated(tmp_path, write(tmp_path, small_set()), [result(), result(4, 100, 20)])
    out, err = capfd.readouterr()
    assert out == format_table(found) + '\n' and err == ''
    assert list(found) == list(FIGURES) and found['AP'] == pytest.approx(100 * 67 / 101)


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
    message = fails(evaluate.main, ['--result', str(path), '--annot', str(write(tmp_path, small_set()))])
    assert message.startswith(f'{path}: {expected}')


def test_missing_and_malformed_files_are_named(tmp_path):
    truth, path = write(tmp_path, small_set()), tmp_path / 'results.json'
    assert 'results.json: cannot be read' in fails(evaluate.main, ['--result', str(path), '--annot', str(truth)])
    path.write_text('[{"image_id": 4,')
    assert 'results.json: not valid JSON' in fails(evaluate.main, ['--result', str(path), '--annot', str(truth)])
    assert 'results.json: not valid JSON' in fails(evaluate.main, ['--result', str(truth), '--annot', str(path)])


@pytest.mark.parametrize('module', [False, True])
def test_evaluate_runs_from_any_folder(root, tmp_path, module):
    truth = write(tmp_path, small_set())
    write_results(tmp_path / 'results.json', [result()])
    script = ['-m', 'pose_coco.evaluate'] if module else [str(root / 'pose_coco' / 'evaluate.py')]
    done = subprocess.run([sys.executable, *script, '--result', str(tmp_path / 'results.json'), '--annot', str(truth)],
                          cwd=str(root if module else tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)
    assert (done.returncode, done.stderr) == (0, '')
    assert re.search(r'ours +33\.7 +33\.7 +33\.7 +33\.7 +- +33\.3 +33\.3 +33\.3 +33\.3 +-\n', done.stdout)
