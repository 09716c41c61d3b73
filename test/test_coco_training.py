"""COCO's training and test programs, on a generated set and by heart on four photographs."""
import json
import shutil
import subprocess
from contextlib import redirect_stdout
from io import StringIO

import cv2
import mxnet as mx
import numpy as np
import pytest
from runs import assert_same_run

from common import config, results
from common.errors import InputError
from common.nets import pose_net
from common.predict import decode, inference
from common.weights import checkpoint
from pose_coco import decodings, evaluate, heatmaps, test, train
from pose_coco.ap import COLUMNS, FIGURES
from pose_coco.dataset import load_people
from pose_coco.layout import annotation_file, read_images, read_results

SMALL = ('input.size=[64, 64]', 'train.batch_size=8', 'train.drops=[1]', 'test.batch_size=5')


def experiment_file(root, method='i1'):
    return root / f'experiments/cpu/coco/table8/{method}.yaml'


def options(*pairs):
    return [str(word) for pair in pairs for word in pair]


def run_training(root, method, data, out, *more):
    train.main(options(('--cfg', experiment_file(root, method)), ('--data', data), ('--out', out),
                       *(('--set', value) for value in SMALL)) + list(more))


# --- training ------------------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def trained(root, tiny_coco, tmp_path_factory):
    """The folder of an I1 of one epoch, beside that of its H1, and what was printed."""
    out = tmp_path_factory.mktemp('trained')
    with redirect_stdout(StringIO()) as printed:
        run_training(root, 'i1', tiny_coco, out, '--set', 'train.epochs=1')
    return out / 'cpu/coco/table8/i1', printed.getvalue()


def test_its_maps_are_read_in_other_ways_and_drawn(trained, tiny_coco, tmp_path, capsys):
    folder, _ = trained
    network = options(*((f'--{key}', folder / name)
                        for key, name in (('cfg', 'config.yaml'), ('params', 'best.params'))))
    decodings.main([*network, '--data', str(tiny_coco)])
    assert '| beta |' in capsys.readouterr().out
    heatmaps.main(['--network', network[1], network[3], '--data', str(tiny_coco), '--out', str(tmp_path / 'maps.png'),
                   '--joints', 'nose,left ankle'])
    assert cv2.imread(str(tmp_path / 'maps.png')).size


def test_i1_trains_its_h1_first_and_leaves_what_a_user_looks_for(trained):
    folder, printed = trained
    for method in ('h1', 'i1'):
        assert {path.name for path in (folder.parent / method).iterdir()} >= {
            'best.params', 'last.state', 'log.jsonl', 'config.yaml', 'result.json', 'test.json', 'predictions.jpg',
            'tensorboard'}
        assert f'cpu/coco/table8/{method} by ' in printed
    assert 'paper  67.8  88.2  74.8  63.9  74.0' in printed and 'paper  66.3  88.4  74.6  62.9  72.1' in printed
    assert all(f'{method:>10}: AP ' in printed for method in decode.HEATMAP_DECODINGS)
    result = json.loads((folder / 'test.json').read_text())
    assert result.keys() == {*FIGURES, 'decodings', 'annotations', 'boxes', *results.PROVENANCE}
    assert set(result['decodings']) == set(decode.HEATMAP_DECODINGS)
    assert {key: result[key] for key in FIGURES} == result['decodings']['integral']
    assert (result['split'], result['boxes'], result['data']) == ('val2017', 'annotated boxes', 'tiny_coco')
    assert cv2.imread(str(folder / 'predictions.jpg')).shape == (2 * 256, 6 * 256, 3)         # 8 people


def test_the_score_is_the_ap_of_the_configured_decoding_of_the_network_that_is_saved(trained):
    folder, _ = trained
    line = json.loads((folder / 'log.jsonl').read_text())
    result = json.loads((folder / 'test.json').read_text())
    assert line['score'] == line['AP'] == pytest.approx(result['AP'])
    assert line['decodings'] == {method: [values[column] for column in COLUMNS]
                                 for method, values in result['decodings'].items()}


@pytest.mark.usefixtures('narrow')
def test_a_resumed_run_equals_an_uninterrupted_one(root, tiny_coco, tmp_path):
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    run_training(root, 'h1', tiny_coco, whole, '--set', 'train.epochs=2')
    for epochs in (1, 2):
        run_training(root, 'h1', tiny_coco, parts, '--set', f'train.epochs={epochs}', '--resume')
    assert_same_run(*(out / 'cpu/coco/table8/h1' for out in (whole, parts)))


def lose(data, path):
    (data / path).unlink()


def no_keypoints(data, split):
    path = data / 'annotations' / f'person_keypoints_{split}.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'categories': []}))


@pytest.mark.parametrize('damage, told', [
    (lambda data: shutil.rmtree(data), "data: no such folder; get COCO's images and keypoint annotations from"),
    (lambda data: lose(data, 'annotations/person_keypoints_val2017.json'), 'person_keypoints_val2017.json: no such'),
    (lambda data: shutil.rmtree(data / 'val2017'), 'val2017: no such folder'),
    (lambda data: lose(data, 'val2017/000000000202.jpg'), '000000000202.jpg: missing (1 of 4 images'),
    (lambda data: no_keypoints(data, 'val2017'), 'person_keypoints_val2017.json: has no keypoints of people')])
def test_missing_data_is_said_before_training(root, tiny_coco, tmp_path, damage, told):
    data = shutil.copytree(tiny_coco, tmp_path / 'data')
    damage(data)
    with pytest.raises(InputError) as caught:
        run_training(root, 'h1', data, tmp_path / 'out')
    assert told in str(caught.value) and '\n' not in str(caught.value)
    assert not list((tmp_path / 'out').rglob('last.state'))


@pytest.mark.usefixtures('narrow')
def test_an_unreadable_training_image_is_skipped(root, tiny_coco, tmp_path, capsys):
    data = shutil.copytree(tiny_coco, tmp_path / 'data')
    bad = data / 'train2017' / '000000000103.jpg'
    bad.write_bytes(bad.read_bytes()[:-500])
    run_training(root, 'h1', data, tmp_path / 'out', '--set', 'train.epochs=1')
    assert capsys.readouterr().err.count(f'warning: {bad}: this JPEG is truncated') == 1


def test_programs_are_for_coco(root, tiny_coco, tmp_path):
    for main, more in ((train.main, []), (test.main, ['--params', 'x'])):
        mpii = ['--cfg', str(root / 'experiments/cpu/mpii/table2/i1.yaml'), *more]
        with pytest.raises(InputError, match='data.set is mpii; this program is for coco'):
            main(mpii)
        with pytest.raises(InputError, match='data.skeleton has other joints than coco, whose are nose, left eye'):
            main([*mpii, '--set', 'data.set=coco'])


def test_the_script_says_how_to_get_coco(root, tmp_path):
    script = tmp_path / 'scripts' / 'train_coco_i1.sh'
    script.parent.mkdir()
    shutil.copy(root / 'scripts/train_coco_i1.sh', script)
    done = subprocess.run(['sh', str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 2 and done.stdout == ''
    assert f'error: COCO is not in {tmp_path}/data/coco' in done.stderr and 'val2017.zip' in done.stderr


# --- testing -------------------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def params(root, tmp_path_factory):
    """A network with random parameters."""
    path = tmp_path_factory.mktemp('params') / 'i1.params'
    cfg = config.load(experiment_file(root), SMALL)
    checkpoint.save_parameters(pose_net.create(cfg, [mx.cpu()]), path)
    return path


@pytest.fixture
def tested(root, params, tiny_coco, tmp_path):
    """A function that runs the test program and returns what it writes with --json, or without it None."""
    def tested(*more, scored=True):
        path = tmp_path / 'test.json'
        test.main(options(('--cfg', experiment_file(root)), ('--params', params), ('--data', tiny_coco),
                          *(('--set', value) for value in SMALL), *[('--json', path)] * scored)
                  + [str(word) for word in more])
        return json.loads(path.read_text()) if scored else None
    return tested


@pytest.fixture
def truth(tiny_coco, monkeypatch):
    """The network predicts what is annotated, for every box of a person; by argmax half a head beside it."""
    people = load_people(tiny_coco, 'val2017', (64, 64))
    known = {sample.image: {} for sample in people.samples}
    for sample in people.samples:
        known[sample.image][sample.box] = sample.joints

    def predict(cfg, net, loader, *_, scored, loss=None):
        joints = np.stack([known[sample.image][sample.box] for sample in loader.samples])
        return ({method: joints + 6 * (method == 'argmax') for method in decode.HEATMAP_DECODINGS},
                np.ones(joints.shape[:2]))
    monkeypatch.setattr(inference, 'predict', predict)


def test_every_decoding_is_scored(tested, truth):
    result = tested()
    assert result['AP'] == result['decodings']['local']['AP'] == pytest.approx(100)
    assert result['decodings']['argmax']['AP'] < 50
    result = tested('--set', 'test.decode=argmax')
    assert result['AP'] == result['decodings']['argmax']['AP'] < 50


def test_a_saved_file_scores_what_was_printed(tested, truth, tiny_coco, tmp_path):
    boxes = tiny_coco / 'detections_val2017.json'
    result = tested('--boxes', boxes, '--save', tmp_path / 'found', '--set', 'test.decode=argmax')
    assert result['boxes'] == 'detections_val2017.json' and 0 < result['AP'] < 50
    saved = tmp_path / 'found' / 'person_keypoints_val2017_cpu-coco-table8-i1_results.json'
    evaluate.main(['--result', str(saved), '--annot', str(annotation_file(tiny_coco, 'val2017')), '--json',
                   str(tmp_path / 'again.json')])
    assert json.loads((tmp_path / 'again.json').read_text()) == {key: result[key] for key in FIGURES}
    tested('--boxes', boxes, '--save', tmp_path / 'mine.json', '--set', 'test.decode=argmax')
    assert (tmp_path / 'mine.json').read_bytes() == saved.read_bytes()


@pytest.mark.parametrize('more, told', [([], []), (['--box-iou', '0.9'], ['IoU <= 0.9']),
                                        (['--box-score', '0.5'], ['score >= 0.5'])])
def test_whoever_a_detector_found_twice_is_there_once(tested, truth, tiny_coco, tmp_path, more, told):
    result = tested('--boxes', tiny_coco / 'detections_val2017.json', '--save', tmp_path / 'found.json', *more)
    assert result['boxes'] == ', '.join(['detections_val2017.json', *told])
    records = json.loads((tmp_path / 'found.json').read_text())
    assert [record['score'] for record in records] == [0.9] * 8


def test_the_options_reach_the_network(tested, truth, tiny_coco, monkeypatch):
    seen, predict = [], inference.predict

    def watched(cfg, net, loader, *rest, **more):
        seen.append((len(loader.samples), cfg.test.flip))
        return predict(cfg, net, loader, *rest, **more)
    monkeypatch.setattr(inference, 'predict', watched)
    for more in ([], ['--box-iou', '0.9'], ['--box-score', '0.5'], ['--flip-test']):
        tested('--boxes', tiny_coco / 'detections_val2017.json', *more)
    assert seen == [(16, False), (8, False), (8, False), (16, True)]


def test_of_a_split_without_annotations_there_is_only_the_file(tested, tiny_coco, tmp_path, capsys):
    boxes = tiny_coco / 'detections_test-dev2017.json'
    tested('--split', 'test-dev2017', '--boxes', boxes, '--save', tmp_path, '--flip-test', '--picture',
           tmp_path / 'people.png', scored=False)
    saved = tmp_path / 'person_keypoints_test-dev2017_cpu-coco-table8-i1_results.json'
    images = read_images(annotation_file(tiny_coco, 'test-dev2017'))
    records = read_results(saved, images, 'the split')
    assert {record['image_id'] for record in records} == {image['id'] for image in images} and len(records) <= 6
    assert cv2.imread(str(tmp_path / 'people.png')).shape == (2 * 256, 6 * 256, 3)            # 12 boxes
    output = capsys.readouterr().out
    assert 'paper' not in output and f'{len(records)} poses in {saved}' in output


@pytest.mark.parametrize('more, told', [
    (['--split', 'test-dev2017', '--boxes', 'BOXES'], '--split test-dev2017: has no ground truth to score; --save'),
    (['--split', 'test-dev2017', '--boxes', 'BOXES', '--save', 'DIR', '--json', 'scores.json'],
     'has no ground truth to score; --save'),
    (['--save', 'joints.mat'], 'joints.mat: results are written to a .json file, or into a folder'),
    (['--split', 'test-dev2017', '--save', 'DIR'], 'nobody is annotated in test-dev2017; --boxes FILE says where'),
    (['--split', 'val2014'], 'person_keypoints_val2014.json: no such file'),
    (['--boxes', 'gone.json'], 'gone.json: cannot be read'),
    (['--boxes', 'x.json', '--box-iou', '-1'], '--box-iou -1: expected a number from 0 to 1'),
    (['--boxes', 'x.json', '--box-score', 'nan'], '--box-score nan: expected a number from 0 to 1'),
    (['--box-score', '0.5'], '--box-score 0.5: is of the boxes that --boxes names'),
    (['--data', 'gone'], 'gone: no such folder; get COCO'),
    (['--picture', 'people.gif'], 'people.gif: pictures are written as'),
    (['--params', 'gone.params'], 'gone.params: cannot be read')])
def test_what_cannot_be_tested_is_said(tested, tiny_coco, tmp_path, more, told):
    places = {'DIR': tmp_path, 'BOXES': tiny_coco / 'detections_test-dev2017.json'}
    with pytest.raises(InputError) as caught:
        tested(*[places.get(word, word) for word in more], scored=False)
    assert told in str(caught.value) and '\n' not in str(caught.value)


# --- the whole path ------------------------------------------------------------------------------------------------

def by_heart(shared, folder, copies):
    """The four photographs as a split, and as another with `copies` records of each, so that an epoch is long."""
    real = shared / 'coco_mini'
    dataset = json.loads((real / 'annotations/person_keypoints_mini.json').read_text())
    numbers = [10 ** 6 * copy for copy in range(copies)]
    more = {**dataset, 'images': [{**image, 'id': image['id'] + n} for n in numbers for image in dataset['images']],
            'annotations': [{**person, 'image_id': person['image_id'] + n} for n in numbers
                            for person in dataset['annotations']]}
    (folder / 'annotations').mkdir(parents=True)
    (folder / 'images').symlink_to(real / 'images')
    for split, content in (('mini', dataset), ('copies', more)):
        (folder / 'annotations' / f'person_keypoints_{split}.json').write_text(json.dumps(content))
    return folder


@pytest.mark.long
def test_i1_learns_four_photographs_by_heart(root, shared, tmp_path):
    """Through JPEG, crop, both phases, decoding, rescoring, OKS-NMS and pycocotools: the path is exact end to end."""
    data = by_heart(shared, tmp_path / 'data', copies=10)
    run = ('data.train=copies', 'data.valid=mini', 'augment.rotation=0', 'augment.scale=0', 'augment.flip=false',
           'train.batch_size=4', 'train.rates=[1e-3, 1e-4]', 'train.drops=[5]', 'train.epochs=6')
    train.main(options(('--cfg', experiment_file(root)), ('--data', data), ('--out', tmp_path),
                       *(('--set', value) for value in run)))
    result = json.loads((tmp_path / 'cpu/coco/table8/i1/test.json').read_text())
    assert result['AP'] >= 90
