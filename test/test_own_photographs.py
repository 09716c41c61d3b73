"""Photographs and joints of one's own: annotations in COCO's format with other names, through the programs of MPII."""
import json
import shutil

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from common import export
from common.errors import InputError
from pose_mpii import decodings, demo, evaluate, from_coco, heatmaps, pckh, prepare, tables, test, train
from pose_mpii.dataset import MPII, person_box
from pose_mpii.layout import ground_truth_file, read_split
from pose_mpii.skeleton import SKELETON

ORDER = (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 8, 9)                       # LSP's joints among MPII's
NAMES = ['R_Ankle', 'R_Knee', 'R_Hip', 'L_Hip', 'L_Knee', 'L_Ankle', 'R_Wrist', 'R_Elbow', 'R_Shoulder', 'L_Shoulder',
         'L_Elbow', 'L_Wrist', 'Neck', 'Head_Top']
LIMBS = [[1, 2], [2, 3], [3, 4], [4, 5], [5, 6], [7, 8], [8, 9], [9, 13], [10, 13], [10, 11], [11, 12], [13, 14]]
SMALL = ('input.size=[64, 64]', 'train.batch_size=8', 'train.epochs=1', 'train.rates=[1e-3]', 'train.drops=[]')


def as_coco(data, splits=('train', 'valid'), names=NAMES):
    """The drawn people of splits in COCO's format, without area and num_keypoints; a dog is in every picture."""
    images, annotations = [], []
    for number, record in enumerate(record for split in splits for record in read_split(data, split)):
        height, width = cv2.imread(str(data / 'images' / record['image'])).shape[:2]
        images.append({'id': number, 'file_name': record['image'], 'width': width, 'height': height})
        visible = np.array(record['joints_vis'])[list(ORDER)]
        points = (np.array(record['joints'])[list(ORDER)] - 1) * visible[:, None]
        low, high = points[visible > 0].min(axis=0), points[visible > 0].max(axis=0)
        annotations += [{'image_id': number, 'category_id': 1},
                        {'image_id': number, 'category_id': 3, 'bbox': [*low, *(high - low)],
                         'keypoints': np.column_stack([points, 2 * visible]).ravel().tolist()}]
    return {'images': images, 'annotations': annotations,
            'categories': [{'id': 1, 'name': 'dog'},
                           {'id': 3, 'name': 'Person', 'keypoints': names, 'skeleton': LIMBS}]}


def write(path, content):
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope='module')
def data(tiny_data, tmp_path_factory):
    """A folder that `prepare.py --coco` made of one file."""
    folder = tmp_path_factory.mktemp('own')
    source = write(folder / 'people.json', as_coco(tiny_data))
    prepare.main(['--coco', str(source), '--images', str(tiny_data / 'images'), '--out', str(folder / 'data')])
    return folder / 'data'


@pytest.fixture(scope='module')
def trained(root, data, params):
    """The folder of an experiment with these joints, which starts from a network with MPII's."""
    path = data.parent / 'experiments/own/i1.yaml'
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({
        'base': str(root / 'experiments/cpu/mpii/table2/i1.yaml'), 'network': {'pretrained': str(params['h1'])},
        'data': {'skeleton': str(data / 'skeleton.yaml')}, 'train': {'start_from': ''}}))
    train.main(['--cfg', str(path), '--data', str(data), '--out', str(data.parent / 'out'),
                *(word for override in SMALL for word in ('--set', override))])
    return data.parent / 'out/own/i1'


def options(trained):
    return ['--cfg', str(trained / 'config.yaml'), '--params', str(trained / 'best.params')]


# --- prepare -------------------------------------------------------------------------------------------------------

def test_records_are_what_the_file_says(data, tiny_data):
    whole = read_split(tiny_data, 'train+valid')
    skeleton = from_coco.skeleton.read(data / 'skeleton.yaml')
    ours = {record['image']: record for split in ('train', 'valid') for record in read_split(data, split, skeleton)}
    assert len(ours) == len(whole) == 24 and len(read_split(data, 'valid', skeleton)) == 4
    for theirs in whole:
        record, visible = ours[theirs['image']], np.array(theirs['joints_vis'])[list(ORDER)]
        points = np.array(theirs['joints'])[list(ORDER)]
        assert record['joints_vis'] == visible.tolist() and (record['width'], record['height']) == (96, 96)
        np.testing.assert_allclose(np.array(record['joints'])[visible > 0], points[visible > 0], atol=1e-3)
        shown = points[visible > 0]
        x, y, side, _ = person_box(record['center'], record['scale'], (64, 64))        # 0-based, around 1-based points
        np.testing.assert_allclose([x, y], (shown.min(axis=0) + shown.max(axis=0)) / 2 - 1.5, atol=2e-3)
        assert side == pytest.approx(1.25 * np.ptp(shown, axis=0).max(), abs=1e-2)


def test_the_skeleton_is_written_from_the_names_and_kept(data, tiny_data, tmp_path, capsys):
    person = from_coco.skeleton.read(data / 'skeleton.yaml')
    assert person.joints == tuple(name.replace('_', ' ') for name in NAMES) and person.sides == 'RRRLLLRRRLLLMM'
    assert sorted(map(sorted, person.flip_pairs)) == [[0, 5], [1, 4], [2, 3], [6, 11], [7, 10], [8, 9]]
    assert all(person.sides[a] == 'R' for a, _ in person.flip_pairs)
    assert person.limbs == tuple((a - 1, b - 1) for a, b in LIMBS) and person.normalised_by == (13, 12)
    names = [name.replace('R_', 'right').replace('L_', 'left') for name in NAMES[:-1]] + ['tail']
    source = write(tmp_path / 'a.json', as_coco(tiny_data, names=names))
    from_coco.write_skeleton(tmp_path / 'skeleton.yaml', source)
    other = from_coco.skeleton.read(tmp_path / 'skeleton.yaml')
    assert len(other.flip_pairs) == 6 and other.normalised_by is None
    (tmp_path / 'data').mkdir()
    own = (data / 'skeleton.yaml').read_text().replace('Head Top', 'TAIL')
    (tmp_path / 'data/skeleton.yaml').write_text(own)
    prepare.main(['--coco', str(source), '--out', str(tmp_path / 'data')])
    told = capsys.readouterr()
    assert (tmp_path / 'data/skeleton.yaml').read_text() == own and 'put the photographs in' in told.out
    assert 'left out: rightAnkle' in told.err and 'annotated nowhere: R Ankle' in told.err


def test_two_files_are_train_and_valid_with_joints_of_mpii(tiny_data, root, tmp_path, capsys):
    names = ['right ankle', 'right knee', *NAMES[2:12], 'upper-neck', 'HEAD_TOP']
    files = [write(tmp_path / f'{split}.json', as_coco(tiny_data, [split], names)) for split in ('train', 'valid')]
    prepare.main(['--coco', *map(str, files), '--images', str(tiny_data / 'images'), '--out', str(tmp_path / 'data'),
                  '--skeleton', str(root / 'pose_mpii/skeleton.yaml')])
    told = capsys.readouterr()
    assert 'trainval.json: 24 people' in told.out and told.err.count('annotated nowhere: right hip') == 2
    for split in ('train', 'valid'):
        for ours, theirs in zip(read_split(tmp_path / 'data', split), read_split(tiny_data, split)):
            assert ours['image'] == theirs['image'] and not any(ours['joints_vis'][2:8] + ours['joints_vis'][10:])
            assert [ours['joints_vis'][k] for k in (0, 1, 8, 9)] == [theirs['joints_vis'][k] for k in (0, 1, 8, 9)]


def test_photographs_that_are_turned_without_another_size_are_named(tiny_data, tmp_path, capsys):
    images, content = shutil.copytree(tiny_data / 'images', tmp_path / 'images'), as_coco(tiny_data)
    for record, turn in zip(content['images'], (3, 6, 1)):                     # squares
        exif = Image.Exif()
        exif[0x112] = turn
        path = images / record['file_name']
        Image.open(path).save(path, exif=exif)
    prepare.main(['--coco', str(write(tmp_path / 'people.json', content)), '--images', str(images),
                  '--out', str(tmp_path / 'data')])
    told = capsys.readouterr().err
    assert f"{content['images'][0]['file_name']}: has EXIF orientation 3, and 1 more have one that" in told


def test_who_is_outside_of_the_photograph_is_left_out(tiny_data, tmp_path, capsys):
    content = as_coco(tiny_data)
    for annotation, box in zip(content['annotations'][1::2], ([96, 0, 20, 20], [0, -20, 20, 20], [95, 95, 20, 20])):
        annotation['bbox'] = box
    prepare.main(['--coco', str(write(tmp_path / 'people.json', content)), '--out', str(tmp_path / 'data')])
    assert 'people left out: 2 with a box outside of the photograph' in capsys.readouterr().out


def lose(folder, content):
    (folder / content['images'][0]['file_name']).unlink()


def empty(folder, content):
    (folder / content['images'][0]['file_name']).write_bytes(b'')


def turn(folder, content):
    content['images'][0].update(width=80)


def few(folder, content):
    del content['annotations'][6:]


@pytest.mark.parametrize('damage, told', [
    (lose, 'missing .1 of '), (empty, 'this file is empty'), (turn, 'its annotation says width 80'),
    (few, 'has people in fewer than 5 photographs'),
    (lambda _, content: content['categories'].pop(), 'none of its 1 categories is named "person"'),
    (lambda _, content: content['annotations'].clear(), 'no person in it has a keypoint'),
    (lambda _, content: content['annotations'][1].pop('bbox'), 'annotation 1 has no "bbox"')])
def test_what_cannot_be_converted_is_named(tiny_data, tmp_path, damage, told):
    images, content = shutil.copytree(tiny_data / 'images', tmp_path / 'images'), as_coco(tiny_data)
    damage(images, content)
    source = write(tmp_path / 'people.json', content)
    with pytest.raises(InputError, match=told):
        prepare.main(['--coco', str(source), '--images', str(images), '--out', str(tmp_path / 'data')])
    assert not any((tmp_path / 'data/annot').iterdir())
    assert not (tmp_path / 'data/images').exists()                # no link that others would be left with


def annot(out):
    (out / 'annot').write_text('mine')


def images(out):
    (out / 'images').mkdir()


@pytest.mark.parametrize('take, told', [(annot, 'annot: cannot create this folder'),
                                        (images, 'images: cannot be made a link to')])
def test_a_place_that_is_taken_is_said_before_photographs_are_read(tiny_data, tmp_path, monkeypatch, take, told):
    monkeypatch.setattr(from_coco, 'read_splits', lambda *args: pytest.fail('photographs were read'))
    source = write(tmp_path / 'people.json', as_coco(tiny_data))
    take(tmp_path)
    with pytest.raises(InputError, match=told):
        prepare.main(['--coco', str(source), '--images', str(tiny_data / 'images'), '--out', str(tmp_path)])
    assert not (tmp_path / 'skeleton.yaml').exists()


# --- the programs --------------------------------------------------------------------------------------------------

def test_it_trains_from_a_network_with_other_joints(trained):
    line = json.loads((trained / 'log.jsonl').read_text())
    assert {'PCKh@0.5', 'PCKh@0.1', 'AUC'} <= line.keys() and (trained / 'best.params').exists()


def test_it_starts_from_all_but_the_last_layer(root, data, params, trained, tmp_path, capsys):
    train.main(['--cfg', str(trained / 'config.yaml'), '--data', str(data), '--out', str(tmp_path),
                '--set', 'network.stages=2', '--set', 'data.train=train+valid'])
    assert ' 4 missing (' in capsys.readouterr().out


def test_it_is_tested_evaluated_and_drawn(data, trained, tmp_path, capsys):
    test.main([*options(trained), '--data', str(data), '--json', str(tmp_path / 'test.json'),
               '--save', str(tmp_path / 'joints.json'), '--picture', str(tmp_path / 'people.png')])
    scores = json.loads((tmp_path / 'test.json').read_text())
    assert scores['unit'] == 'measured by Head Top to Neck' and scores['unit'] in capsys.readouterr().out
    assert list(scores['joints']) == ['Ankle', 'Knee', 'Hip', 'Wrist', 'Elbow', 'Shoulder', 'Neck', 'Head Top']
    evaluate.main(['--pred', str(tmp_path / 'joints.json'), '--data', str(data), '--skeleton',
                   str(data / 'skeleton.yaml'), '--json', str(tmp_path / 'again.json')])
    assert json.loads((tmp_path / 'again.json').read_text())['AUC'] == pytest.approx(scores['AUC'], abs=0.1)
    photograph = next((data / 'images').glob('valid*.jpg'))
    demo.main([*options(trained), str(photograph), '--out', str(tmp_path / 'pose.png'), '--json',
               str(tmp_path / 'pose.json')])
    assert [joint['name'] for joint in json.loads((tmp_path / 'pose.json').read_text())[0]['joints']] == \
        [name.replace('_', ' ') for name in NAMES]
    decodings.main([*options(trained), '--data', str(data)])
    heatmaps.main(['--network', options(trained)[1], options(trained)[3], '--data', str(data), '--joints', 'Neck,L Hip',
                   '--out', str(tmp_path / 'maps.png')])
    assert (tmp_path / 'maps.png').exists() and '| beta |' in capsys.readouterr().out


def test_its_export_has_its_scores(data, trained, tmp_path):
    export.main([*options(trained), '--out', str(tmp_path), '--onnx'])
    scores = []
    for network in (options(trained), ['--params', str(tmp_path / 'i1.onnx')]):
        test.main([*network, '--data', str(data), '--json', str(tmp_path / 'test.json')])
        scores.append(json.loads((tmp_path / 'test.json').read_text()))
    assert list(scores[0]['joints']) == list(scores[1]['joints'])
    assert scores[1]['AUC'] == pytest.approx(scores[0]['AUC'], abs=0.5)


def test_the_papers_tables_leave_it_out(trained, tmp_path):
    found = tables.results.collect([trained])
    assert found['data']['own/i1'] and 'own' not in tables.write(tables.sections(found), tmp_path, None)


# --- what is scored ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('joints, pairs, columns', [
    (['HeadTop', 'LAnkle', 'RAnkle'], [[1, 2]], {'HeadTop': [0], 'Ankle': [1, 2]}),
    (['right_wrist', 'nose', 'left_wrist'], [[2, 0]], {'wrist': [0, 2], 'nose': [1]}),
    (['hip', 'left hip', 'right hip'], [[1, 2]], {'hip': [0], 'left hip + right hip': [1, 2]}),
    (['left hip', 'right hip', 'hip'], [[0, 1]], {'left hip + right hip': [0, 1], 'hip': [2]}),
    (['port', 'starboard'], [[0, 1]], {'port + starboard': [0, 1]})])
def test_every_joint_is_in_one_column_of_the_table(joints, pairs, columns):
    person = from_coco.skeleton.from_names({'joints': joints, 'limbs': [],
                                            'flip_pairs': [[joints[a], joints[b]] for a, b in pairs]})
    how, errors = pckh.rules(person), 100 * np.arange(len(joints))             # all joints but the first are missed
    truth = np.zeros((1, len(joints), 2))
    result = pckh.pck(truth + errors[:, None], truth, np.ones((1, len(joints)), bool), np.ones(1), how)
    assert result['joints'] == {name: 100 / len(members) if 0 in members else 0 for name, members in columns.items()}
    assert list(how.groups) == list(columns)


def predictions(data, person, error):
    """The annotated joints of valid, `error` pixels off, as a file."""
    joints = [np.array(record['joints']) + [error, 0] for record in read_split(data, 'valid', person)]
    return str(write(data.parent / 'joints.json', np.stack(joints).tolist()))


@pytest.mark.parametrize('unit, metrics', [
    (None, ['PCK@0.05 of the box', 'PCK@0.01 of the box']),
    (['L Hip', 'R Shoulder'], ['PCK@0.5 of L Hip to R Shoulder', 'PCK@0.1 of L Hip to R Shoulder'])])
def test_without_a_head_the_figures_are_called_by_what_measures(data, tmp_path, unit, metrics):
    tree = yaml.safe_load((data / 'skeleton.yaml').read_text())
    tree.pop('normalised_by')
    path = tmp_path / 'skeleton.yaml'
    path.write_text(yaml.safe_dump({**tree, **({'normalised_by': unit} if unit else {})}))
    person = from_coco.skeleton.read(path)
    records = read_split(data, 'valid', person)
    if unit:
        pair = [person.joints.index(name) for name in unit]
        sizes = [np.hypot(*np.subtract(*np.array(record['joints'])[pair])) for record in records]
        known = np.array([all(record['joints_vis'][joint] for joint in pair) for record in records])
    else:
        sizes, known = [20 * record['scale'] for record in records], np.ones(len(records), bool)
    counts = np.array([record['joints_vis'] for record in records]) * known[:, None]
    error = 0.5 * np.median(sizes)
    found = 100 * counts[error <= 0.5 * np.array(sizes)].sum() / counts.sum()
    evaluate.main(['--pred', predictions(data, person, error), '--data', str(data), '--skeleton', str(path),
                   '--json', str(tmp_path / 'scores.json')])
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert list(scores)[:3] == [*metrics, 'AUC'] and scores[metrics[0]] == pytest.approx(found)


def test_without_its_ground_truth_mpii_is_measured_by_head_and_neck(tiny_data, tmp_path):
    """The sample's head boxes are made of these two joints, so that the scores are the same."""
    data = shutil.copytree(tiny_data, tmp_path / 'data')
    scores = []
    for name in ('with', 'without'):
        evaluate.main(['--pred', predictions(data, SKELETON, 2),
                       '--data', str(data), '--json', str(tmp_path / f'{name}.json')])
        scores.append(json.loads((tmp_path / f'{name}.json').read_text()))
        ground_truth_file(data, 'valid').unlink(missing_ok=True)
    assert scores[0]['PCKh@0.1'] == pytest.approx(scores[1]['PCKh@0.1'], abs=2)


def test_who_cannot_be_measured_is_not_scored_and_counted(data, tmp_path, capsys):
    copy, path = shutil.copytree(data, tmp_path / 'data', symlinks=True), data / 'skeleton.yaml'
    person = from_coco.skeleton.read(path)
    records = read_split(copy, 'valid', person)
    for record in records[:2]:
        record['joints_vis'][12] = 0
    write(copy / 'annot/valid.json', records)
    arguments = ['--data', str(copy), '--skeleton', str(path), '--json', str(tmp_path / 'scores.json')]
    evaluate.main(['--pred', predictions(copy, person, 0), *arguments])
    assert 'valid.json: 2 of 4 people are not scored: errors are measured by' in capsys.readouterr().err
    for record in records:
        record['joints_vis'][12] = 0
    write(copy / 'annot/valid.json', records)
    with pytest.raises(InputError, match='nobody in it can be scored.*two other joints in the '
                                         "skeleton's normalised_by"):
        evaluate.main(['--pred', predictions(copy, person, 0), *arguments])


def test_several_splits_are_tested_as_one(tiny_data, experiments, params, tmp_path):
    counts = []
    for split in ('valid', 'valid+train'):
        test.main(['--cfg', str(experiments / 'h1.yaml'), '--params', str(params['h1']), '--data', str(tiny_data),
                   '--split', split, '--save', str(tmp_path / 'joints.json'), '--set', 'input.size=[64, 64]',
                   '--json', str(tmp_path / 'tested.json')])
        counts.append(len(json.loads((tmp_path / 'joints.json').read_text())['preds']))
    assert counts == [8, 24]
    evaluate.main(['--pred', str(tmp_path / 'joints.json'), '--data', str(tiny_data), '--split', split, '--json',
                   str(tmp_path / 'evaluated.json')])
    tested, evaluated = (json.loads((tmp_path / f'{name}.json').read_text()) for name in ('tested', 'evaluated'))
    assert {key: tested[key] for key in MPII.metrics} == {key: evaluated[key] for key in MPII.metrics}


def test_what_is_read_is_never_written_over(data, tiny_data, tmp_path):
    files = [write(tmp_path / f'{split}.json', as_coco(tiny_data, [split])) for split in ('train', 'valid')]
    (tmp_path / 'annot').mkdir()
    files = [path.rename(tmp_path / 'annot' / path.name) for path in files]
    before = [path.read_text() for path in files]
    with pytest.raises(InputError, match='train.json: would overwrite what is read'):
        prepare.main(['--coco', *map(str, files), '--images', str(tiny_data / 'images'), '--out', str(tmp_path)])
    assert [path.read_text() for path in files] == before
    records = data / 'annot/valid.json'
    with pytest.raises(InputError, match='valid.json: would overwrite what is read'):
        evaluate.main(['--pred', str(tmp_path / 'none.json'), '--data', str(data), '--json', str(records),
                       '--skeleton', str(data / 'skeleton.yaml')])


def test_a_split_without_joints_has_nothing_to_score(tiny_data, tmp_path):
    records = read_split(tiny_data, 'valid')
    (tmp_path / 'annot').mkdir()
    write(tmp_path / 'annot/test.json',
          [{key: record[key] for key in ('image', 'center', 'scale')} for record in records])
    with pytest.raises(InputError, match='test.json: has people without joints, and so no ground truth'):
        evaluate.main(['--pred', predictions(tiny_data, SKELETON, 0), '--data', str(tmp_path), '--split', 'test'])
