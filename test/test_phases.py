"""Trainings that start from others: what of them may be resumed, and what they leave on the disk."""
import json
import shutil
from itertools import combinations
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from runs import SMALL, arguments, experiment_file, folder, run, training_loader

from common import config, files, results
from common.dataset import Source
from common.errors import InputError
from common.nets import bfloat16, pose_net
from common.programs import options
from common.programs.test import warn_of_other_people
from common.runtime import Devices
from common.train import phases
from common.weights import checkpoint
from pose_mpii import test
from pose_mpii import train

pytestmark = pytest.mark.usefixtures('narrow_file')


def test_i1_trains_its_h1_first_and_leaves_what_a_user_looks_for(tiny_data, tmp_path, capsys):
    run('i1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    output = capsys.readouterr().out
    for method in ('h1', 'i1'):
        left = {path.name for path in folder(tmp_path, method).iterdir()}
        assert left >= {'best.params', 'last.state', 'log.jsonl', 'config.yaml', 'result.json', 'test.json',
                        'predictions.jpg', 'tensorboard'}
    assert 'paper ' + '- ' * 8 + '87.3 | 87.3 29.3 58.3' in [' '.join(line.split()) for line in output.splitlines()]
    result = json.loads((folder(tmp_path, 'i1') / 'test.json').read_text())
    assert result.keys() == {'PCKh@0.5', 'PCKh@0.1', 'AUC', 'joints', 'curve', 'decodings', 'annotations',
                             *results.PROVENANCE}
    line = json.loads((folder(tmp_path, 'i1') / 'log.jsonl').read_text())
    assert line['AUC'] == pytest.approx(result['AUC'])                         # best.params is the network that scored


def test_the_state_of_a_run_serves_as_parameters_of_its_last_epoch(tiny_data, tmp_path):
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    loaded = []
    for name in ('best.params', 'last.state'):                                 # the only epoch is the best
        net = pose_net.create(config.load(experiment_file('h1'), SMALL), [mx.cpu()])
        checkpoint.load_parameters(net, folder(tmp_path, 'h1') / name, [mx.cpu()])
        loaded.append({key: value.data().asnumpy() for key, value in checkpoint.parameters(net).items()})
    for key in loaded[0]:
        np.testing.assert_array_equal(loaded[0][key], loaded[1][key])


def test_a_resumed_i1_does_without_the_h1_it_started_from(tiny_data, tmp_path):
    run('i1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    shutil.rmtree(folder(tmp_path, 'h1'))
    run('i1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--resume')
    assert not folder(tmp_path, 'h1').exists()
    assert len((folder(tmp_path, 'i1') / 'log.jsonl').read_text().splitlines()) == 2


def test_two_processes_do_not_train_in_one_folder(tiny_data, tmp_path):
    with files.locked(files.make_folder(folder(tmp_path, 'h1'))):
        with pytest.raises(InputError, match='another process is writing there'):
            run('i1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    assert not (folder(tmp_path, 'h1') / 'run.json').exists()


def test_a_finished_run_that_is_tested_again_keeps_the_commit_that_trained_it(tiny_data, tmp_path):
    path = folder(tmp_path, 'h1') / 'result.json'
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    files.write_json(path, {**files.read_json(path), 'commit': 'earlier'})
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1', '--resume')
    assert files.read_json(path)['commit'] == 'earlier'
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--resume')
    assert files.read_json(path)['commit'] != 'earlier' and files.read_json(path)['last']['epoch'] == 2


@pytest.mark.parametrize('change', ['data', 'loss.sigma=5', 'augment.rotation=3', 'train.dtype=bfloat16'])
def test_a_run_is_not_resumed_with_other_data_or_another_configuration(tiny_data, tmp_path, change, monkeypatch):
    monkeypatch.setattr(bfloat16, 'CPUINFO', tmp_path / 'cpuinfo')             # not what keeps it from being resumed
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    before = {path.name: path.read_bytes() for path in folder(tmp_path, 'h1').iterdir() if path.is_file()}
    data = shutil.copytree(tiny_data, tmp_path / 'other') if change == 'data' else tiny_data
    more = [] if change == 'data' else ['--set', change]
    with pytest.raises(InputError, match='other' if change == 'data' else change.partition('=')[0]):
        run('h1', data, tmp_path, '--set', 'train.epochs=2', '--resume', *more)
    with pytest.raises(InputError, match='holds a run'):                       # nor does I1 start from it
        run('i1', data, tmp_path, '--set', 'train.epochs=1', *more)
    assert before == {path.name: path.read_bytes() for path in folder(tmp_path, 'h1').iterdir() if path.is_file()}


def test_a_run_is_not_resumed_on_other_annotations_under_the_same_name(tiny_data, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / tiny_data.name)
    run('r1', data, tmp_path, '--set', 'train.epochs=1')
    run('r1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--resume')      # the same in another place
    before = (folder(tmp_path, 'r1') / 'last.state').read_bytes()
    path = data / 'annot' / 'train.json'
    path.write_text(json.dumps(json.loads(path.read_text())[:-1]))
    with pytest.raises(InputError, match=f'r1: holds a run on another {tiny_data.name}'):
        run('r1', data, tmp_path, '--set', 'train.epochs=3', '--resume')
    assert (folder(tmp_path, 'r1') / 'last.state').read_bytes() == before


def test_other_annotations_are_no_start_and_no_validation_split(tiny_data, tmp_path, capsys):
    data = shutil.copytree(tiny_data, tmp_path / tiny_data.name)
    run('h1', data, tmp_path, '--set', 'train.epochs=1')
    path = data / 'annot' / 'train.json'
    records = json.loads(path.read_text())
    path.write_text(json.dumps(records[:-1]))
    with pytest.raises(InputError, match='h1: holds a run on another .* whose annotations of train were '
                                         'not those of now'):
        run('i1', data, tmp_path, '--set', 'train.epochs=1')
    path.write_text(json.dumps(records))
    valid = data / 'annot' / 'valid.json'
    people = json.loads(valid.read_text())
    people[0]['joints'][9][0] += 0.9                   # within what the ground truth allows
    valid.write_text(json.dumps(people))
    with pytest.raises(InputError, match='whose annotations of valid were not those of now'):
        run('h1', data, tmp_path, '--set', 'train.epochs=2', '--resume')
    tested = ['--cfg', str(folder(tmp_path, 'h1') / 'config.yaml'),
              '--params', str(folder(tmp_path, 'h1') / 'best.params')]
    capsys.readouterr()
    for source, warned in ((data, True), (tiny_data, False)):
        test.main([*tested, '--data', str(source)])
        assert ('its valid holds other annotations than when' in capsys.readouterr().err) == warned


@pytest.mark.parametrize('content', ['[1]', '{"annotations": ', '{"annotations": 1}', None])
def test_a_foreign_file_beside_parameters_says_nothing_of_whom_they_were_chosen_by(tmp_path, capsys, content):
    if content:
        (tmp_path / 'run.json').write_text(content)
    warn_of_other_people(tmp_path / 'best.params', Source(tmp_path, 'valid'), {})
    assert capsys.readouterr().err == ''


def test_a_network_that_is_used_in_another_way_than_it_was_trained_is_a_warning(tmp_path, capsys):
    config.save(config.load(experiment_file('i1'), ['input.size=[64, 64]', 'network.beta=20']),
                tmp_path / 'config.yaml')
    options.load(experiment_file('i1'), ['network.beta=30'], tmp_path / 'best.params')
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and 'trained with input.size [64, 64], and is used with [128, 128]; --cfg' in error


def test_a_run_does_not_go_on_with_fewer_photographs(tiny_data, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / tiny_data.name)
    run('r1', data, tmp_path, '--set', 'train.epochs=1')
    next((data / 'images').glob('train_*')).unlink()
    with pytest.raises(InputError, match=r'has been trained on 16 people whose images were there; now there are 15'):
        run('r1', data, tmp_path, '--set', 'train.epochs=2', '--resume')


def test_several_workers_need_the_first_phase_before(tiny_data, tmp_path):
    job = phases.Job(str(tiny_data), str(tmp_path), [], False, Devices([mx.cpu()], 'dist_sync', 'dist_sync', workers=2))
    with pytest.raises(InputError, match='train that first'):
        phases.train(config.load(experiment_file('i1')), None, job)


def test_nobody_to_validate_on_is_trained_on(tiny_data, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / tiny_data.name)
    path = data / 'annot' / 'train.json'
    path.write_text(json.dumps(json.loads(path.read_text()) + json.loads((data / 'annot/valid.json').read_text())[:2]))
    with pytest.raises(InputError, match='2 people of data.valid valid are in data.train train, too, such as the one '
                                         'in valid_00000'):
        run('h1', data, tmp_path, '--set', 'train.epochs=1')
    path.rename(data / 'annot' / 'trainval.json')
    run('h1', data, tmp_path, '--set', 'train.epochs=1', '--set', 'data.train=trainval')        # as its name says


def test_what_changes_nothing_in_h1_leaves_it_as_it_is_when_i1_starts(tiny_data, tmp_path, capfd):
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    before = (folder(tmp_path, 'h1') / 'last.state').read_bytes()
    sets = [option for value in ('train.epochs=1', 'loss.joint_weight=10', 'network.beta=5', 'test.flip=true')
            for option in ('--set', value)]
    run('i1', tiny_data, tmp_path, *sets)
    assert (folder(tmp_path, 'h1') / 'last.state').read_bytes() == before
    assert 'h1: is finished and stays as it is, with test.flip False, not True' in capfd.readouterr().out
    for change in ('loss.joint_weight=2', 'network.beta=3', 'test.flip=false', 'test.decode=local'):   # they do in I1
        with pytest.raises(InputError, match=change.partition('=')[0]):
            run('i1', tiny_data, tmp_path, *sets, '--resume', '--set', change)
    with pytest.raises(InputError, match='h1: holds a run with network.beta'):                        # its log has both
        run('h1', tiny_data, tmp_path, '--set', 'train.epochs=2', '--set', 'network.beta=5', '--resume')


def test_a_finished_run_is_not_trained_over_when_its_state_is_gone(tiny_data, tmp_path, capfd):
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    (folder(tmp_path, 'h1') / 'last.state').unlink()
    before = (folder(tmp_path, 'h1') / 'best.params').read_bytes()
    for more in ([], ['--resume']):
        with pytest.raises(InputError, match='h1: holds a finished run, but not the last.state'):
            run('h1', tiny_data, tmp_path, '--set', 'train.seed=5', *more)
    with pytest.raises(InputError, match='h1: holds a run with train.seed 0, not 5'):
        run('i1', tiny_data, tmp_path, '--set', 'train.seed=5')
    capfd.readouterr()
    run('i1', tiny_data, tmp_path, '--set', 'train.epochs=2')
    assert 'h1: is finished and stays as it is, with train.epochs 1, not 2' in capfd.readouterr().out
    assert (folder(tmp_path, 'h1') / 'best.params').read_bytes() == before


def test_a_split_without_ground_truth_is_nothing_to_validate_on(tiny_data, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / 'data')
    people = files.read_json(data / 'annot/valid.json')
    files.write_json(data / 'annot/test.json', [{key: person[key] for key in ('image', 'center', 'scale')}
                                                for person in people])
    with pytest.raises(InputError, match='data.valid is test: has no ground truth to score'):
        run('h1', data, tmp_path, '--set', 'data.valid=test')
    assert not (folder(tmp_path, 'h1') / 'last.state').exists()


def test_people_without_a_joint_are_nothing_to_train_on(tiny_data, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / 'data')
    path = data / 'annot' / 'train.json'
    files.write_json(path, [{**record, 'joints_vis': [0] * 16} for record in files.read_json(path)])
    with pytest.raises(InputError, match='data.train is train: nobody in it has an annotated joint'):
        run('h1', data, tmp_path)


def test_a_run_goes_on_when_what_is_drawn_changes_and_not_when_what_is_learnt_does(root, tiny_data, tmp_path):
    run('h1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    drawn = (root / 'pose_mpii/skeleton.yaml').read_text() + f'sides: {16 * "M"}\n'
    (tmp_path / 'drawn.yaml').write_text(drawn)
    (tmp_path / 'learnt.yaml').write_text(drawn.replace('[right ankle, left ankle]', '[right ankle, left knee]')
                                          .replace('[right knee, left knee]', '[right knee, left ankle]'))
    (tmp_path / 'scored.yaml').write_text(drawn.replace('optional: [pelvis, thorax]', 'optional: [pelvis]'))
    for change in ('learnt', 'scored'):
        with pytest.raises(InputError, match='h1: holds a run with data.skeleton ') as refused:
            run('h1', tiny_data, tmp_path, '--resume', '--set', f'data.skeleton={tmp_path}/{change}.yaml')
        assert len(str(refused.value)) < 400
    run('h1', tiny_data, tmp_path, '--resume', '--set', f'data.skeleton={tmp_path}/drawn.yaml')


def test_what_a_finished_network_started_from_is_not_needed(tiny_data, tmp_path, capfd):
    (tmp_path / 'more.yaml').write_text(f'base: {experiment_file("i1")}\nname: more\ntrain: {{start_from: '
                                        f'{experiment_file("i1").with_suffix("")}}}\n')
    run('i1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    shutil.rmtree(folder(tmp_path, 'h1'))
    capfd.readouterr()
    train.main(['--cfg', str(tmp_path / 'more.yaml'), *arguments('i1', tiny_data, tmp_path)[2:], '--set',
                'train.epochs=1'])
    assert not folder(tmp_path, 'h1').exists() and (tmp_path / 'more/best.params').exists()
    assert 'trained first' not in capfd.readouterr().out


def test_a_network_trained_on_sees_new_crops(tiny_data, tmp_path, monkeypatch):
    """The first epochs of H1, of I1 from it and of one from that I1 all differ; those of H1 and H2 are the same."""
    (tmp_path / 'long.yaml').write_text(f'base: {experiment_file("i1")}\n'
                                        f'train: {{start_from: {experiment_file("i1").with_suffix("")}}}\n')
    first, job = {}, phases.Job(tiny_data, tmp_path, SMALL, False, Devices([mx.cpu()]))

    def see(cfg, phase, *_):
        loader = training_loader(cfg, tiny_data, phase)
        first[Path(cfg.path).stem] = [next(loader.batches(epoch)).images for epoch in range(1, 4)]
    monkeypatch.setattr(phases, '_train_one', see)
    for path in (experiment_file('h2'), tmp_path / 'long.yaml'):
        phases.train(config.load(path, SMALL), None, job)
    assert first.keys() == {'h2', 'h1', 'i1', 'long'}
    np.testing.assert_array_equal(first['h1'], first.pop('h2'))
    assert not any(np.array_equal(*pair) for pair in combinations(sum(first.values(), []), 2))


def test_training_ends_well_without_git(tiny_data, tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    run('r1', tiny_data, tmp_path, '--set', 'train.epochs=1')
    assert json.loads((folder(tmp_path, 'r1') / 'result.json').read_text())['commit'] is None


def test_a_missing_validation_image_is_said_before_training(tiny_data, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / 'data')
    lost = next((data / 'images').glob('valid_*.jpg'))
    lost.unlink()
    with pytest.raises(InputError, match=lost.name):
        run('h1', data, tmp_path)
    assert not (folder(tmp_path, 'h1') / 'last.state').exists()
