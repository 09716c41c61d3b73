"""Photographs and joints of one's own: annotations in COCO's format with other names, through the programs of MPII."""
import json

import pytest
import yaml
from own import NAMES, prepared

from common import export
from pose_mpii import decodings, demo, evaluate, heatmaps, tables, test, train

SMALL = ('input.size=[64, 64]', 'train.batch_size=8', 'train.epochs=1', 'train.rates=[1e-3]', 'train.drops=[]')


@pytest.fixture(scope='module')
def data(tiny_data, tmp_path_factory):
    """A folder that `prepare.py --coco` made of one file."""
    return prepared(tiny_data, tmp_path_factory.mktemp('own'))


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
