"""The scripts that users type: what they run after the set-up, and with which options."""
import shutil
import subprocess

import pytest

SCRIPTS = ('train_mpii_i1.sh', 'train_coco_i1.sh', 'run_experiments.sh', 'paper_tables.sh')
TRAIN = 'pose_mpii/train.py --cfg experiments/mpii/table2/i1.yaml --data data/mpii --out output --resume'


@pytest.fixture
def ran(root, tmp_path):
    """A function that runs a script in a project whose set-up and Python only say what they are asked."""
    for folder in ('scripts', '.venv/bin'):
        (tmp_path / folder).mkdir(parents=True)
    for name in SCRIPTS:
        shutil.copy(root / 'scripts' / name, tmp_path / 'scripts')
    (tmp_path / 'scripts/setup.sh').write_text('echo setup\n')
    python = tmp_path / '.venv/bin/python'
    python.write_text('#!/bin/sh\necho "$*"\n')
    python.chmod(0o755)

    def ran(name, *options):
        done = subprocess.run(['sh', f'scripts/{name}', *options], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                              check=True)
        return done.stdout.replace(f'{tmp_path}/', '').splitlines()
    return ran


def test_the_sample_is_made_and_trained_on(ran):
    sample = ['pose_mpii/sample.py --out data/sample',
              'pose_mpii/train.py --cfg experiments/sample/table2/i1.yaml --data data/sample --out output --resume']
    assert ran('train_mpii_i1.sh', '--sample') == ['setup', *sample]
    setup, why, *commands = ran('train_mpii_i1.sh', '--set', 'train.epochs=1')
    assert why.startswith('MPII is not in data/mpii') and why.endswith('running on the generated sample instead')
    assert commands == [sample[0], f'{sample[1]} --set train.epochs=1']


def test_mpii_is_trained_on_where_it_is(ran, tmp_path):
    (tmp_path / 'data/mpii').mkdir(parents=True)
    assert ran('train_mpii_i1.sh', '--gpus', '0,1') == ['setup', f'{TRAIN} --gpus 0,1']


def test_other_data_another_experiment_and_another_place_may_be_named(ran):
    assert ran('train_mpii_i1.sh', '--data', 'D x', '--cfg=c.yaml', '--out', 'o', '--cpus', '2') == [
        'setup', 'pose_mpii/train.py --cfg c.yaml --data D x --out o --resume --cpus 2']


def test_coco_is_trained_on_where_it_is(ran, tmp_path):
    (tmp_path / 'data/coco').mkdir(parents=True)
    setup, command = ran('train_coco_i1.sh', '--gpus', '0')
    assert command == ('pose_coco/train.py --cfg experiments/coco/table8/i1.yaml --data data/coco --out output '
                       '--resume --gpus 0')


@pytest.mark.parametrize('name', ['run_experiments', 'paper_tables'])
def test_the_others_hand_their_options_on(ran, name):
    assert ran(f'{name}.sh', '--results', 'a b') == ['setup', f'scripts/{name}.py --results a b']
