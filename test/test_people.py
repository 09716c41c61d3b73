"""Several people in the demo: where they are said or found to be, how they are told apart, whom the network doubts."""
import json

import cv2
import mxnet as mx
import numpy as np
import pytest
from test_detect import Fake

from common import config
from common.deploy.export import export
from common.errors import InputError
from common.nets import pose_net
from common.predict import boxes, people, poses, visualise
from common.weights import checkpoint
from pose_coco import demo as coco_demo
from pose_mpii import demo as program
from pose_mpii import heatmaps as figure_2
from pose_mpii import test as mpii_test
from pose_mpii.skeleton import JOINTS

TINY = ('--set', 'input.size=[64, 64]')


@pytest.fixture
def shown(experiments, params, tmp_path, monkeypatch):
    """A function that runs the demo with options, of the H1 network at 64 x 64, and returns what is in its JSON."""
    monkeypatch.setattr(poses, 'UNSURE', 0)   # random parameters are sure of nothing

    def shown(*options, cfg=experiments / 'h1.yaml', params=params['h1'], main=program.main):
        main([str(word) for word in ('--cfg', cfg, '--params', params, *TINY, '--json', tmp_path / 'x.json', *options)])
        return json.loads((tmp_path / 'x.json').read_text())
    return shown


@pytest.fixture
def photograph(tiny_coco):
    """Two people side by side, 192 x 96 pixels."""
    return tiny_coco / 'val2017' / '000000000200.jpg'




# --- where they are ------------------------------------------------------------------------------------------------

def test_one_and_several_people_have_one_form(shown, photograph, tmp_path):
    one = shown(photograph, '--box', '96,0,90,90', '--out', tmp_path / 'one.png')
    two = shown(photograph, '--box', '2,0,90,90', '--box', '96,0,90,90', '--out', tmp_path / 'two.png')
    assert [person['person'] for person in two] == [0, 1] and two[1] == {**one[0], 'person': 1}
    assert two[0]['image'] == photograph.name and two[0]['box'] == [2, 0, 90, 90] and 'box_score' not in two[0]
    assert set(two[0]) == {'image', 'person', 'box', 'score', 'sure', 'joints'}
    assert [joint['name'] for joint in two[0]['joints']] == list(JOINTS)
    assert set(two[0]['joints'][0]) == {'name', 'x', 'y', 'score', 'trained'}
    whole = shown(photograph, '--out', tmp_path / 'whole.png')
    assert len(whole) == 1 and whole[0]['box'] == [0, 0, 192, 96]


def test_several_people_have_boxes_of_several_colours(shown, photograph, tmp_path):
    shown(photograph, '--box', '4,4,80,80', '--box', '100,4,80,80', '--out', tmp_path / 'x.png')
    picture = cv2.cvtColor(cv2.imread(str(tmp_path / 'x.png')), cv2.COLOR_BGR2RGB).astype(int)
    for x, colour in ((4, visualise.PEOPLES[0]), (100, visualise.PEOPLES[1])):
        assert np.abs(picture[80, x - 1:x + 2] - colour).sum(axis=1).min() < 150


def test_a_detectors_file_in_cocos_format(shown, tiny_coco, photograph, tmp_path):
    """Each of two people is in it twice, the second time with a score of 0.4; their boxes are tight."""
    found = shown(photograph, '--boxes', tiny_coco / 'detections_val2017.json', '--out', tmp_path / 'x.png')
    people = [record for record in json.loads((tiny_coco / 'detections_val2017.json').read_text())
              if record['image_id'] == 200 and record['score'] > 0.5]
    assert [person['box_score'] for person in found] == [0.9, 0.9] and len(people) == 2
    for person, (x, y, w, h) in zip(found, (record['bbox'] for record in people)):
        np.testing.assert_allclose(person['box'], [x - w / 8, y - h / 8, 1.25 * w, 1.25 * h], atol=0.01)


def test_a_detectors_file_by_name_and_of_other_classes(tmp_path):
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps([{'file_name': 'a.jpg', 'bbox': [0, 0, 8, 8]},
                                {'file_name': 'a.jpg', 'bbox': [20, 0, 8, 8], 'category_id': 18},
                                {'image_id': 7, 'bbox': [0, 0, 8, 8], 'score': 0.7},
                                {'image_id': 7, 'bbox': [1, 0, 8, 8], 'score': 0.9},
                                {'image_id': 8, 'bbox': [1, 0, 8, 8], 'score': 0.3}]))
    found = boxes.read(path)
    assert [len(boxes.of_image(found, name).boxes) for name in ('a.jpg', 'b.jpg', 'COCO_val_0007.png', 7, 8)] == \
        [1, 0, 1, 1, 0]
    assert boxes.of_image(found, 7).scores == [0.9]


@pytest.mark.parametrize('content, told', [
    ('{}', 'expected a list of boxes'),
    ('[{"image_id": 1}]', 'box 0 has no "bbox"'),
    ('[{"image_id": 1, "bbox": [0, 0, 0, 5]}]', 'box 0 has a bad "bbox"'),
    ('[{"image_id": 1, "bbox": [0, 0, NaN, 5]}]', 'box 0 has a bad "bbox"'),
    ('[{"image_id": 1, "bbox": [9, 9, 1e-310, 1e-310]}]', r'box 0 has a bad "bbox": .* the last two at least 0\.001'),
    ('[{"bbox": [0, 0, 5, 5]}]', 'box 0 has no "image_id"')])
def test_a_bad_file_of_boxes(shown, photograph, tmp_path, content, told):
    (tmp_path / 'boxes.json').write_text(content)
    with pytest.raises(InputError, match=f'boxes.json: {told}'):
        shown(photograph, '--boxes', tmp_path / 'boxes.json', '--out', tmp_path / 'x.png')


def test_a_box_that_no_photograph_has_is_said(shown, photograph, tmp_path, capsys):
    (tmp_path / 'boxes.json').write_text('[{"image_id": 1, "bbox": [0, 0, 9, 9]}]')
    assert shown(photograph, '--boxes', tmp_path / 'boxes.json', '--out', tmp_path / 'x.png') == []
    told = capsys.readouterr().err
    assert f'warning: {photograph.name}: nobody is found' in told
    assert f'boxes.json: has boxes of 1, but none of {photograph.name} (file_name' in told
    assert (cv2.imread(str(tmp_path / 'x.png')) == cv2.imread(str(photograph))).all()


# --- detectors -----------------------------------------------------------------------------------------------------

def test_a_faster_rcnn_finds_people(shown, photograph, tmp_path, monkeypatch):
    """Of `Fake`'s four people two are sure enough and in the picture; their boxes grow by 1.25."""
    class Sure(Fake):
        def __call__(self, image):
            ids, scores, corners = super().__call__(image)
            return ids, scores * 0 + mx.nd.array(self.scores).reshape((1, -1, 1)), corners
    monkeypatch.setattr(people, 'load_detector', lambda *args: Sure())
    found = shown(photograph, '--detect', '--out', tmp_path / 'x.png')
    assert [person['box_score'] for person in found] == [0.8, 0.8]
    for person, (x, y, w, h) in zip(found, ([24, 24, 22.6, 46.6], [48, 24, 22.6, 46.6])):
        np.testing.assert_allclose(person['box'], [x - w / 8, y - h / 8, 1.25 * w, 1.25 * h], atol=0.01)


def test_opencvs_detector_stands_in_where_none_can_be_fetched(mini, tmp_path, monkeypatch, capsys):
    """With the released network: the skier is found once, where COCO's annotators saw her, and drawn."""
    monkeypatch.setenv('MXNET_HOME', str(tmp_path))
    monkeypatch.setenv('MXNET_GLUON_REPO', 'http://127.0.0.1:9')
    picture = mini / 'images' / '000000000785.jpg'
    program.main([str(picture), '--detect', '--out', str(tmp_path / 'x.png'), '--json', str(tmp_path / 'x.json')])
    [person] = json.loads((tmp_path / 'x.json').read_text())
    assert "OpenCV's HOG detector stands in" in capsys.readouterr().err
    annotations = json.loads((mini / 'annotations' / 'person_keypoints_mini.json').read_text())['annotations']
    [truth] = [record for record in annotations if record['image_id'] == 785]
    x, y, w, h = truth['bbox']
    joints = np.array([(joint['x'], joint['y']) for joint in person['joints'] if joint['trained']])
    assert ((joints > [x - 20, y - 20]) & (joints < [x + w + 20, y + h + 20])).all() and person['sure']
    assert [joint['name'] for joint in person['joints'] if not joint['trained']] == ['pelvis', 'thorax']
    with pytest.raises(InputError, match='cannot fetch .* give it by --detector-params FILE'):
        program.main([str(picture), '--detect', '--detector', people.DEFAULT, '--out', str(tmp_path / 'x.png')])


def test_options_of_a_detector(shown, photograph, tmp_path):
    for options, told in ((['--detector', 'hog'], '--detector and --detector-params: are of --detect'),
                          (['--detect', '--detector', 'yolo'], '--detector yolo: unknown; there are hog, xception'),
                          (['--detect', '--detector', 'hog', '--detector-params', 'x.params'],
                           '--detector-params x.params: the detector hog takes no file'),
                          (['--detect', '--detector', 'xception'], 'xception: --detector-params FILE is missing')):
        with pytest.raises(InputError, match=told):
            shown(photograph, *options, '--out', tmp_path / 'x.png')


def test_an_image_that_is_a_line_is_named():
    with pytest.raises(InputError, match='line.png: an image of 2000 x 1 pixels is too narrow for a detector'):
        people.propose('line.png', np.zeros((1, 2000, 3), np.uint8))


@pytest.mark.parametrize('label, where', [('x.jpg', 'x.jpg: '), (7, 'frame 7: '), ('', '')])
def test_a_box_outside_is_said_with_its_image(label, where):
    with pytest.raises(InputError, match=f'^{where}box 700,0,10,10: expected a part of the image, which has 640 x 480'):
        boxes.crop_box((700, 0, 10, 10), (480, 640, 3), (64, 64), label)


# --- who they are --------------------------------------------------------------------------------------------------

def pose(box, score, trained=True):
    return poses.Pose(box, None, np.zeros((4, 2)), np.full(4, score), np.full(4, trained))


def test_of_proposals_the_surest_of_each_person_is_kept():
    found = [pose((0, 0, 50, 100), 0.7), pose((5, 5, 30, 40), 0.9), pose((200, 0, 50, 100), 0.8),
             pose((400, 0, 50, 100), 0.3)]
    kept = poses.surest(found)
    assert [person.box[0] for person in kept] == [5, 200] and [person.number for person in kept] == [0, 1]
    assert poses.surest(found[3:]) == []


def test_somebody_in_a_video_keeps_the_number():
    tracks = boxes.Tracks()
    left, right = np.array([10, 10, 40, 80]), np.array([100, 10, 40, 80])
    assert tracks.numbers([left, right]) == [0, 1]
    assert tracks.numbers([right + [5, 0, 0, 0], left + [-5, 0, 0, 0]]) == [1, 0]
    assert tracks.numbers([right + [10, 0, 0, 0]]) == [1]                       # the left one is not found once
    assert tracks.numbers([left, right, right + [200, 0, 0, 0]]) == [0, 1, 2]
    for _ in range(tracks.PATIENCE):
        tracks.numbers([])
    assert tracks.numbers([left]) == [3]
    assert tracks.numbers([left + [60, 0, 0, 0]]) == [4]                        # too far away to be the same


def test_a_network_that_is_not_sure_draws_nobody_and_says_so(shown, photograph, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(poses, 'UNSURE', 1.1)
    [person] = shown(photograph, '--out', tmp_path / 'x.png')
    assert person['sure'] is False and len(person['joints']) == len(JOINTS)
    assert f'warning: {photograph.name}: 1 of 1 people are not drawn: the network is not sure' in \
        capsys.readouterr().err
    assert (cv2.imread(str(tmp_path / 'x.png')) == cv2.imread(str(photograph))).all()


# --- whose joints --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('method', ['h1', 'r1'])
def test_a_joint_whose_bias_never_moved_was_never_trained(experiments, tmp_path, method):
    cfg = config.load(experiments / f'{method}.yaml', ['input.size=[64, 64]'])
    net = pose_net.create(cfg, [mx.cpu()])
    assert net.trained_joints().all()         # of random parameters nothing is known
    bias = net.heads[0].final.bias if method == 'h1' else net.head.final.bias
    values = np.ones(bias.shape)
    values.reshape(len(JOINTS), -1)[[6, 7]] = 0
    bias.set_data(mx.nd.array(values))
    checkpoint.save_parameters(net, tmp_path / 'x.params')
    again = pose_net.create(cfg, [mx.cpu()])
    checkpoint.load_parameters(again, tmp_path / 'x.params', [mx.cpu()])
    assert np.flatnonzero(~again.trained_joints()).tolist() == [6, 7]


@pytest.fixture(scope='module')
def without_trunk(experiments, tmp_path_factory):
    """An H1 network for 64 x 64 pixels that was trained without pelvis and thorax, as .params and as .onnx."""
    folder = tmp_path_factory.mktemp('without_trunk')
    cfg = config.load(experiments / 'h1.yaml', ['input.size=[64, 64]'])
    net = pose_net.create(cfg, [mx.cpu()])
    net.heads[0].final.bias.set_data(mx.nd.array(~np.isin(np.arange(len(JOINTS)), (6, 7))))
    checkpoint.save_parameters(net, folder / 'x.params')
    return folder / 'x.params', export(cfg, folder / 'x.params', folder / 'x', onnx=True)[-1]


@pytest.mark.parametrize('form', [0, 1])
def test_what_was_never_trained_is_marked_and_in_no_picture(shown, without_trunk, tiny_data, tmp_path, monkeypatch,
                                                            form):
    captions, labelled = [], visualise.labelled
    monkeypatch.setattr(visualise, 'labelled', lambda *args: captions.extend(sum(args[1], [])) or labelled(*args))
    data, params = tiny_data, without_trunk[form]
    [person] = shown(data / 'images' / 'valid_000002.jpg', '--out', tmp_path / 'x.png', '--heatmaps',
                     tmp_path / 'maps.png', params=params)
    assert [joint['name'] for joint in person['joints'] if not joint['trained']] == ['pelvis', 'thorax']
    assert captions == [name for name in JOINTS if name not in ('pelvis', 'thorax')] + ['', '']


def test_the_tests_picture_and_figure_2_do_not_show_it_either(without_trunk, experiments, tiny_data, tmp_path,
                                                              monkeypatch):
    hidden, predictions = [], visualise.predictions
    monkeypatch.setattr(visualise, 'predictions', lambda *args: hidden.extend(np.flatnonzero(~args[3])) or
                        predictions(*args))
    network = [str(experiments / 'h1.yaml'), str(without_trunk[0])]
    mpii_test.main(['--cfg', network[0], '--params', network[1], *TINY, '--data', str(tiny_data), '--picture',
                    str(tmp_path / 'x.jpg')])
    assert hidden == [6, 7]
    with pytest.raises(InputError, match='--joints: .*x.params was never trained to find the pelvis'):
        figure_2.main(['--data', str(tiny_data), '--network', *network, '--joints', 'left knee,pelvis', '--out',
                       str(tmp_path / 'y.png')])


def test_the_demo_shows_gluoncvs_simple_pose(shown, root, photograph, tmp_path):
    from gluoncv.model_zoo import SimplePoseResNet
    theirs = SimplePoseResNet('resnet18_v1b', pretrained_base=False)
    theirs.initialize()
    theirs(mx.nd.zeros((1, 3, 64, 64)))
    theirs.save_parameters(str(tmp_path / 'simple_pose.params'))
    for main in (coco_demo.main, program.main):                                 # the configuration says whose joints
        [person] = shown(photograph, '--set', 'network.backbone=resnet18', '--set', 'network.grid=corner', '--out',
                         tmp_path / 'x.png', main=main, cfg=root / 'experiments/coco/table8/h1.yaml',
                         params=tmp_path / 'simple_pose.params')
        assert len(person['joints']) == 17 and person['joints'][0]['name'] == 'nose'
