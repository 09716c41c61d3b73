"""`python -m common.compare`: several trainings beside each other."""
import json
import shutil

import cv2
import numpy as np
import pytest

from common import compare
from common.errors import InputError

H1, I1 = 'results/resnet18/mpii/table2/h1', 'results/resnet18/mpii/table2/i1'


@pytest.fixture
def runs(root, tmp_path):
    """Copies of two committed trainings."""
    folders = [tmp_path / 'a', tmp_path / 'b']
    for name, folder in zip((H1, I1), folders):
        shutil.copytree(root / name, folder)
    return folders


def rows(text):
    """{first cell: the others} of the tables in a text."""
    lines = [[cell.strip(' `') for cell in line.strip('|').split('|')]
             for line in text.splitlines() if line.startswith('|')]
    return {cells[0]: cells[1:] for cells in lines}


def test_what_differs_is_shown_and_nothing_else(runs, capsys):
    compare.main([*map(str, runs), '--reach', '31'])
    shown = rows(capsys.readouterr().out)
    logs = [[json.loads(line) for line in (run / 'log.jsonl').read_text().splitlines()] for run in runs]
    assert shown['loss.joint'] == ['none', 'l1'] and shown['train.epochs'] == ['10', '4']
    assert 'network.backbone' not in shown and 'input.size' not in shown
    assert shown['AUC, as configured'] == ['29.07', '31.75'] and shown['AUC, argmax'] == ['29.07', '29.58']
    images = json.loads((runs[1] / 'result.json').read_text())['images']
    minutes = [images / line['images_per_second'] / 60 for line in logs[1]]
    tested = 'lspet_mpii, valid'
    assert shown[str(runs[0])] == ['0', tested, '10', '-', '29.07', '10', 'never']       # without a count of images
    assert shown[str(runs[1])] == ['0', tested, '4', f'{sum(minutes):.1f}', '31.75', '4',
                                   f'epoch 1, minute {minutes[0]:.1f}']


def test_pictures_are_put_beside_each_other(runs, tmp_path):
    for run, level in zip(runs, (60, 200)):
        cv2.imwrite(str(run / 'predictions.jpg'), np.full((128, 384, 3), level, np.uint8))
    compare.main([*map(str, runs), '--out', str(tmp_path / 'out')])
    picture = cv2.imread(str(tmp_path / 'out/predictions.jpg'), 0)
    left, right = (np.median(half) for half in np.array_split(picture[picture.shape[0] // 2:], 2, axis=1))
    assert left == pytest.approx(60, abs=3) and right == pytest.approx(200, abs=3)
    assert (tmp_path / 'out/curves.png').exists()


def test_a_run_is_not_written_over(runs):
    cv2.imwrite(str(runs[0] / 'predictions.jpg'), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match='predictions.jpg: would overwrite what is read'):
        compare.main([*map(str, runs), '--out', str(runs[0])])


def test_minutes_of_an_epoch_whose_speed_is_not_known_are_not_known(runs, capsys):
    log = (runs[1] / 'log.jsonl').read_text().splitlines()
    log[-1] = json.dumps({**json.loads(log[-1]), 'images_per_second': 0.0})
    (runs[1] / 'log.jsonl').write_text('\n'.join(log))
    compare.main([str(runs[1])])
    assert rows(capsys.readouterr().out)[str(runs[1])][3] == '-'


def test_a_run_alone_and_one_that_is_not_tested_yet(runs, capsys):
    (runs[0] / 'test.json').unlink()
    (runs[0] / 'result.json').unlink()
    compare.main([str(runs[0])])
    out = capsys.readouterr().out
    assert 'The same configuration' in out and 'AUC' not in out


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize('damage, said', [
    (lambda run: (run / 'log.jsonl').unlink(), 'holds no training'),
    (lambda run: (run / 'log.jsonl').write_text(''), 'no epoch is finished'),
    (lambda run: (run / 'log.jsonl').write_text('{"score": 1, "images_per_second": 1}\n{"sco'), 'line 2 is not JSON'),
    (lambda run: (run / 'log.jsonl').write_text(200000 * '['), 'line 1 is not JSON'),
    (lambda run: (run / 'log.jsonl').write_text('{"score": "1"}'), 'line 1 has a bad "score"'),
    (lambda run: (run / 'result.json').write_text('{"images": -1}'), 'result.json: a result has a bad "images"'),
    (lambda run: (run / 'config.yaml').write_text('x: 1'), 'config.yaml'),
    (lambda run: change(run / 'test.json', decodings=[1]), 'test.json: a result has a bad "decodings"'),
    (lambda run: change(run / 'test.json', decodings={'local': 1}), 'test.json: a result has a bad "decodings"'),
    (lambda run: (run / 'test.json').write_text('[]'), 'test.json: expected a JSON object')])
def test_bad_files_are_named(runs, damage, said):
    damage(runs[1])
    with pytest.raises(InputError, match='/b') as error:
        compare.main([*map(str, runs)])
    assert said in str(error.value)
