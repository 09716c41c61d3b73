"""The code in experiments/own.md is what it says: a loss, and a data set."""
import importlib.util
import json
import math
import re
import shutil

import mxnet as mx
import numpy as np
import pytest

from common import config
from common.dataset import Dataset, People, Source
from common.nets.losses import PoseLoss
from common.programs import test as program


@pytest.fixture
def written(root, tmp_path):
    """A function that writes the page's Python with this text in it to a file of tmp_path, and imports that."""
    def written(name, text):
        blocks = re.findall(r'^ *```python\n(.*?)^ *```', (root / 'experiments/own.md').read_text(), re.M | re.S)
        code, = [block for block in blocks if text in block]
        indent = re.match(' *', code)[0]
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(re.sub(f'^{indent}', '', code, flags=re.M))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    return written


def test_its_loss_is_the_absolute_error_against_a_gaussian(root, written, tmp_path):
    module = written('my_loss.py', 'class AbsoluteLoss')
    path = tmp_path / 'absolute.yaml'
    path.write_text(f'base: {root}/experiments/mpii/table2/h1.yaml\nloss: {{heatmap: absolute, width: 1.5}}\n')
    loss = PoseLoss(config.load(path), stride=8)
    joints = mx.nd.full((2, 16, 2), 131.5)    # the centre of a cell
    assert type(loss.heatmap_loss) is module.AbsoluteLoss
    value, _ = loss([mx.nd.zeros((2, 16, 32, 32))], [joints], joints, mx.nd.ones((2, 16)), mx.nd.zeros(2))
    np.testing.assert_allclose(value.asnumpy(), 2 * math.pi * 1.5 ** 2, rtol=1e-3)


def test_its_data_set_reads_and_scores_people(root, written, tmp_path):
    (tmp_path / 'pose_mine').mkdir()
    shutil.copy(root / 'pose_mpii/skeleton.yaml', tmp_path / 'pose_mine')
    mine = written('pose_mine/dataset.py', 'class Mine').MINE
    person = {'file': 'x.jpg', 'box': [50, 50, 40, 80], 'joints': [[50.0, 50.0]] * 16, 'visible': [1] * 15 + [0]}
    (tmp_path / 'train.json').write_text(json.dumps([person]))
    people = mine.people(Source(tmp_path, 'train'), (64, 64))
    joints = np.array([sample.joints for sample in people.samples])
    assert people.samples[0].image == f'{tmp_path}/x.jpg' and people.samples[0].box == (50, 50, 100, 100)
    for size in (64, 64), (48, 96):           # the score does not depend on the network's input
        people = mine.people(Source(tmp_path, 'train'), size)
        assert mine.score(people, joints + 11, None) == {'PCK@0.2': 100}
        assert mine.score(people, joints + 12, None) == {'PCK@0.2': 0}


def test_a_score_may_be_numpys(root, monkeypatch):
    class Half(Dataset):
        metrics, decides = ('PCK',), 'PCK'

        def score(self, people, joints, scores):
            return {'PCK': np.float32(0.5), 'joints': {'knee': None}}

    monkeypatch.setattr(program.inference, 'predict', lambda *_, **__: ({'argmax': np.zeros((1, 16, 2))}, None))
    monkeypatch.setattr(program, 'ordered_loader', lambda *_: None)
    _, _, found = program.predict_and_score(Half(), None, None, People([], truth=[]), None, 'test')
    assert json.loads(json.dumps(found)) == {'argmax': {'PCK': 0.5, 'joints': {'knee': None}}}
