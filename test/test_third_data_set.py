"""A data set of one's own: Leeds Sports Pose's 14 joints in one file, through the programs that all data sets share."""
import json
from functools import partial

import cv2
import numpy as np
import pytest
import yaml
from runs import assert_same_run

from common import config, export, files, skeleton
from common.data.crop import Sample, fit
from common.dataset import Dataset, People, Source
from common.errors import InputError
from common.programs import decodings, demo, test, train
from common.weights import checkpoint
from pose_mpii.layout import read_split

pytestmark = pytest.mark.usefixtures('narrow_file')
ORDER = (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 8, 9)                       # LSP's joints among MPII's
JOINTS = ['right ankle', 'right knee', 'right hip', 'left hip', 'left knee', 'left ankle', 'right wrist', 'right elbow',
          'right shoulder', 'left shoulder', 'left elbow', 'left wrist', 'neck', 'head']
SKELETON = {'joints': JOINTS,
            'flip_pairs': [[f'right {name}', f'left {name}'] for name in
                           ('ankle', 'knee', 'hip', 'wrist', 'elbow', 'shoulder')],
            'limbs': [['neck', 'head'], ['right hip', 'right knee'], ['left hip', 'left knee']]}


class Lsp(Dataset):
    """People in FOLDER/<split>.json: file, box and 14 joints in 0-based pixels. PCK by a fifth of the box decides."""

    name, folder, layout = 'lsp', 'data/lsp', 'folder with train.json and valid.json'
    skeleton, metrics, decides = skeleton.from_names(SKELETON), ('PCK@0.2', 'PCK@0.1'), 'PCK@0.2'
    reference, paper = 'nothing, it has no such row', {}

    def people(self, source, size):
        samples = []
        for person in files.read_json(f'{source.data}/{source.split}.json'):
            x, y, w, h = person['box']
            samples.append(Sample(person['file'], (x, y, *fit(w, h, size)), np.float32(person['joints']),
                                  np.ones(len(JOINTS), np.float32)))
        return People(samples, truth=np.stack([sample.joints for sample in samples]))

    def files(self, source):
        return [f'{source.data}/{source.split}.json']

    def score(self, people, joints, scores):
        sizes = np.array([sample.box[2] for sample in people.samples])
        distances = np.linalg.norm(joints - people.truth, axis=2) / sizes[:, None]
        return {f'PCK@{bound}': float(100 * (distances < bound).mean()) for bound in (0.2, 0.1)}


LSP = Lsp()


@pytest.fixture(scope='module')
def data(tiny_data, tmp_path_factory):
    """The drawn figures with LSP's joints, in this data set's own files, and its two experiments."""
    folder = tmp_path_factory.mktemp('lsp')
    for split in ('train', 'valid'):
        people = [{'file': str(tiny_data / 'images' / record['image']),
                   'box': [*np.subtract(record['center'], 1), *[250 * record['scale']] * 2],
                   'joints': (np.array(record['joints'])[list(ORDER)] - 1).tolist()}
                  for record in read_split(tiny_data, split)]
        (folder / f'{split}.json').write_text(json.dumps(people))
    return folder


@pytest.fixture(scope='module')
def experiments(root, data):
    """The folder of the two experiments."""
    folder = data / 'experiments/lsp/table2'
    folder.mkdir(parents=True)
    (folder / 'skeleton.yaml').write_text(yaml.safe_dump(SKELETON))
    own = {'data': {'set': 'lsp', 'skeleton': 'skeleton.yaml'}, 'input': {'size': [64, 64]},
           'train': {'batch_size': 8, 'drops': [1], 'epochs': 2}}
    for method, start in (('h1', ''), ('i1', 'h1')):
        own['train']['start_from'] = start
        base = {'base': str(root / f'experiments/cpu/mpii/table2/{method}.yaml')}
        (folder / f'{method}.yaml').write_text(yaml.safe_dump({**base, **own}))
    return folder


@pytest.fixture(scope='module')
def trained(narrow_file, data, experiments, tmp_path_factory):
    """Folders of H1 and I1."""
    out = tmp_path_factory.mktemp('out')
    train.main(LSP, ['--cfg', str(experiments / 'i1.yaml'), '--data', str(data), '--out', str(out)])
    return {method: out / 'lsp/table2' / method for method in ('h1', 'i1')}


def test_it_trains_and_resumes(data, experiments, trained, tmp_path):
    run = partial(train.main, LSP)
    options = ['--cfg', str(experiments / 'h1.yaml'), '--data', str(data), '--out', str(tmp_path), '--resume']
    for epochs in ('1', '2'):
        run([*options, '--set', f'train.epochs={epochs}'])
    assert_same_run(trained['h1'], tmp_path / 'lsp/table2/h1')


def test_it_is_tested_and_drawn(data, experiments, trained, tmp_path, capsys):
    options = ['--cfg', str(trained['i1'] / 'config.yaml'), '--params', str(trained['i1'] / 'best.params')]
    test.main(LSP, [*options, '--data', str(data), '--json', str(tmp_path / 'test.json'),
                    '--save', str(tmp_path / 'joints.json'), '--picture', str(tmp_path / 'people.png')])
    scores = json.loads((tmp_path / 'test.json').read_text())
    found = LSP.score(LSP.people(test.Source(data, 'valid'), (64, 64)),
                      np.array(json.loads((tmp_path / 'joints.json').read_text())), None)
    assert scores['PCK@0.2'] == pytest.approx(found['PCK@0.2'], abs=1) and 'PCK@0.2' in capsys.readouterr().out
    photograph = json.loads((data / 'valid.json').read_text())[0]['file']
    demo.main(LSP, [*options, photograph, '--out', str(tmp_path / 'pose.png'), '--json', str(tmp_path / 'pose.json')])
    assert [joint['name'] for joint in json.loads((tmp_path / 'pose.json').read_text())[0]['joints']] == JOINTS
    assert cv2.imread(str(tmp_path / 'pose.png')).shape == cv2.imread(photograph).shape
    decodings.main(LSP, [*options, '--data', str(data)])
    assert '| beta |' in capsys.readouterr().out


def test_it_is_exported(data, trained, tmp_path, capsys):
    cfg, params = config.load(trained['i1'] / 'config.yaml'), trained['i1'] / 'best.params'
    export.main(['--cfg', cfg.path, '--params', str(params), '--out', str(tmp_path), '--onnx'])
    test.main(LSP, ['--params', str(tmp_path / 'i1.onnx'), '--data', str(data)])
    assert 'lsp/table2/i1 by integral' in capsys.readouterr().out


def test_a_sample_of_other_joints_than_the_skeleton_has_is_refused_before_training(data, experiments, tmp_path):
    class Short(Lsp):
        def people(self, source, size):
            people = super().people(source, size)
            return people._replace(samples=[sample._replace(joints=sample.joints[:13]) for sample in people.samples])

    with pytest.raises(InputError, match=r'\.jpg: the joints of its Sample have the shape \(13, 2\), not \(14, 2\)'):
        train.main(Short(), ['--cfg', str(experiments / 'h1.yaml'), '--data', str(data), '--out', str(tmp_path)])
    assert not list(tmp_path.rglob('*.state'))


def test_a_score_without_one_of_its_metrics_costs_no_epoch(data, experiments, trained, tmp_path):
    class Changed(Lsp):
        def score(self, people, joints, scores):
            return {name.replace('PCK', 'pck'): value for name, value in super().score(people, joints, scores).items()}

    class Broken(Lsp):
        def score(self, people, joints, scores):
            raise KeyError('head')

    def options(out):
        return ['--cfg', str(experiments / 'h1.yaml'), '--data', str(data), '--out', str(tmp_path / out), '--resume']

    with pytest.raises(InputError, match='Changed.score: returns pck@0.2, pck@0.1, and no PCK@0.1, PCK@0.2, which .*'
                                         'last.state is whole'):
        train.main(Changed(), options('changed'))
    with pytest.raises(KeyError):             # of the user's own program: its traceback says where
        train.main(Broken(), options('broken'))
    for out in ('changed', 'broken'):
        arrays = checkpoint.read_arrays(tmp_path / out / 'lsp/table2/h1/last.state')
        state = json.loads(arrays['json'].asnumpy().tobytes())
        assert state['begun']['images'] == len(LSP.samples(Source(data, 'train'), (64, 64))), 'the epoch is not whole'
        train.main(LSP, options(out))
        assert_same_run(trained['h1'], tmp_path / out / 'lsp/table2/h1')


def test_a_study_of_single_joints_needs_not_say_which_are_found(data, experiments, trained, tmp_path, capsys):
    class Counting(Lsp):
        def counted(self, people):
            return np.ones(people.truth.shape[:2], bool)

        def only(self, people, chosen):
            return people

        def score(self, people, joints, scores):
            return {name: np.float32(value) for name, value in super().score(people, joints, scores).items()}

    decodings.main(Counting(), ['--cfg', str(trained['h1'] / 'config.yaml'), '--params',
                                str(trained['h1'] / 'best.params'), '--data', str(data), '--json',
                                str(tmp_path / 'study.json')])
    assert '| modes |' in capsys.readouterr().out
    assert json.loads((tmp_path / 'study.json').read_text())['found'] == []
