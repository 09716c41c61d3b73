"""What a user can get wrong: every program says so in one line, exits with code 2 and shows no traceback."""
import json
import shutil
import subprocess
import sys

import mxnet as mx
import pytest
from PIL import Image

from common import complexity
from common.errors import InputError
from common.programs.cli import run
from common.weights import checkpoint
from pose_coco import detect
from pose_coco import evaluate as coco_evaluate
from pose_coco import test as coco_test
from pose_mpii import decodings, evaluate, prepare, sample, test, train

TINY = ('input.size=[64, 64]', 'train.batch_size=8', 'train.epochs=1', 'train.rates=[1e-3]', 'train.drops=[]')


@pytest.fixture
def data(tiny_data, tmp_path):
    """A copy of the tiny data set, to be damaged."""
    return shutil.copytree(tiny_data, tmp_path / 'data')


@pytest.fixture
def program(experiments, params, tmp_path, capsys):
    """A function that runs a program's `main` as the command line does and returns the exit code, and its output.

    The options every run needs are there already; those given come later and win.
    """
    def program(main, *options):
        argv = {train.main: ['--cfg', experiments / 'h1.yaml', '--out', tmp_path / 'out'],
                test.main: ['--cfg', experiments / 'h1.yaml', '--params', params['h1']]}.get(main, [])
        if argv:
            argv += [word for override in TINY for word in ('--set', override)]
        code = 0
        try:
            run(lambda: main([str(word) for word in [*argv, *options]]))
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr()
    return program


@pytest.fixture
def refused(program):
    """A function that runs a program which has to fail, and returns the last line on stderr without 'error: '."""
    def refused(main, *options):
        code, output = program(main, *options)
        line = output.err.splitlines()[-1]     # a progress bar may have stood before it
        assert code == 2 and line.startswith('error: ') and output.err.count('error: ') == 1
        return line[len('error: '):]
    return refused


def edit(data, split, change):
    """Let `change` alter the records of a split; returns the file."""
    path = data / 'annot' / f'{split}.json'
    records = json.loads(path.read_text())
    change(records)
    path.write_text(json.dumps(records))
    return path


# --- as a user types them ------------------------------------------------------------------------------------------

@pytest.mark.parametrize('command, told', [
    (['pose_mpii/train.py', '--cfg', 'experiments/cpu/mpii/table2/h1.yaml', '--data', 'nowhere'],
     'nowhere: no such folder'),
    (['-m', 'pose_mpii.test', '--cfg', 'nothing.yaml', '--params', 'x'], 'nothing.yaml: cannot be read')])
def test_programs_end_with_one_line(root, tmp_path, command, told):
    if command[0].endswith('train.py'):
        command = command + ['--out', str(tmp_path)]
    process = subprocess.run([sys.executable, *command], cwd=root, stderr=subprocess.PIPE, text=True)
    assert process.returncode == 2
    assert process.stderr.startswith('error: ') and process.stderr.count('\n') == 1 and told in process.stderr


@pytest.mark.parametrize('main, options', [
    (coco_evaluate.main, ('--result', 'gone', '--annot', 'kept')),
    (coco_evaluate.main, ('--result', 'kept', '--annot', 'gone')),
    (coco_test.main, ('--cfg', 'coco/table8/i1.yaml', '--params', 'gone', '--boxes', 'kept', '--data', 'data')),
    (coco_test.main, ('--cfg', 'coco/table8/i1.yaml', '--params', 'gone', '--data', 'data', '--split', 'kept+kept')),
    (test.main, ('--cfg', 'mpii/table2/h1.yaml', '--params', 'gone', '--data', 'data', '--split', 'kept')),
    (decodings.main, ('--cfg', 'mpii/table2/h1.yaml', '--params', 'gone', '--data', 'data', '--split', 'kept')),
    (detect.main, ('--data', 'data', '--split', 'kept', '--out', 'kept')),
    (decodings.main, ('--cfg', 'mpii/table2/h1.yaml', '--params', 'kept')), (complexity.main, ('--cfg', 'kept'))])
def test_no_program_overwrites_what_it_reads(root, tmp_path, monkeypatch, main, options):
    monkeypatch.chdir(root / 'experiments')
    kept = tmp_path / 'kept.json'
    before = (root / 'experiments/mpii/table2/h1.yaml').read_text()
    kept.write_text(before)
    for name in ('annot/kept', 'annotations/person_keypoints_kept', 'annotations/person_keypoints_val2017'):
        link = tmp_path / 'data' / f'{name}.json'
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(kept)
    words = {'kept': str(kept), 'data': str(tmp_path / 'data')}
    options = [words.get(word, word) if option != '--split' else word for option, word in zip(('', *options), options)]
    with pytest.raises(InputError, match='kept.json: would overwrite what is read'):
        main([*options, *['--json', str(kept)] * ('--out' not in options)])
    assert kept.read_text() == before


def test_an_experiment_of_ones_own_is_not_trained_on_the_sample_unasked(root, tmp_path):
    script = tmp_path / 'scripts' / 'train_mpii_i1.sh'
    script.parent.mkdir()
    shutil.copy(root / 'scripts/train_mpii_i1.sh', script)
    done = subprocess.run(['sh', str(script), '--cfg', 'mine.yaml'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)
    assert done.returncode == 2 and done.stdout == '' and done.stderr.count('\n') == 1
    assert f'--cfg mine.yaml: on which data? MPII is not in {tmp_path}/data/mpii' in done.stderr


def test_control_c_is_no_traceback(capsys):
    def main():
        raise KeyboardInterrupt
    with pytest.raises(SystemExit) as end:
        run(main)
    assert end.value.code == 130 and capsys.readouterr().err == 'interrupted\n'


# --- options -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('main', [train.main, test.main], ids=['train', 'test'])
@pytest.mark.parametrize('options, told', [
    (['--set', 'train.epoch=5'], 'did you mean train.epochs?'),
    (['--set', 'train.epochs=many'], "train.epochs is 'many'; expected a whole number"),
    (['--cfg', 'gone.yaml'], 'gone.yaml: cannot be read'),
    (['--gpus', 'a'], '--gpus a: expected numbers'),
    (['--cpus', '0'], '--cpus 0: at least 1'),
    (['--data', 'nowhere'], 'nowhere: no such folder; get MPII from')])
def test_options_that_cannot_be(refused, main, options, told):
    assert told in refused(main, *options)


def test_gpus_where_there_are_none(refused, tiny_data):
    if mx.context.num_gpus():
        pytest.skip('this machine has GPUs')
    for main in (train.main, test.main):
        assert 'MXNet sees no GPU' in refused(main, '--gpus', '0', '--data', tiny_data)


def test_an_unwritable_output_is_named_before_anything_is_computed(refused, tiny_data, tmp_path):
    (tmp_path / 'file').write_text('')
    assert refused(train.main, '--out', tmp_path / 'file', '--data', tiny_data).startswith(str(tmp_path / 'file'))


def test_predictions_that_no_file_would_hold(refused, data, tmp_path):
    shutil.copy(data / 'annot/valid.json', data / 'annot/test.json')
    edit(data, 'test', lambda records: [record.pop('joints_vis') for record in records])
    for options in ([], ['--json', tmp_path / 'x.json']):
        assert refused(test.main, '--data', data, '--split', 'test', *options) == \
            '--split test: has no ground truth to score; --save writes the predictions'
    assert 'it is no file' in refused(test.main, '--data', data, '--json', tmp_path)


@pytest.mark.parametrize('main', [train.main, test.main, decodings.main], ids=['train', 'test', 'decodings'])
def test_ground_truth_in_another_order_is_no_ground_truth(refused, data, params, experiments, main):
    edit(data, 'valid', lambda records: records.reverse())
    options = ['--cfg', experiments / 'h1.yaml', '--params', params['h1']] if main is decodings.main else []
    assert f'gt_valid.mat: person 0 has other joints than record 0 of {data}/annot/valid.json' in refused(
        main, '--data', data, *options)


def test_an_unknown_key_in_a_file_is_named(refused, experiments, tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text(f'base: {experiments}/h1.yaml\nnetwork: {{backbon: resnet50}}')
    assert refused(train.main, '--cfg', path) == \
        f'{path}: unknown key network.backbon; did you mean network.backbone?'


def test_an_experiment_that_starts_from_itself(refused, tiny_data):
    assert 'which starts from it' in refused(train.main, '--data', tiny_data, '--set', 'train.start_from=h1')


def test_a_second_run_does_not_overwrite_the_first(refused, tiny_data, tmp_path):
    folder = tmp_path / 'out' / 'cpu' / 'mpii' / 'table2' / 'h1'
    folder.mkdir(parents=True)
    (folder / 'last.state').write_text('the first')
    assert '--resume' in refused(train.main, '--data', tiny_data)
    assert 'cannot be resumed' in refused(train.main, '--data', tiny_data, '--resume')
    assert (folder / 'last.state').read_text() == 'the first'


def test_the_other_programs(refused, tiny_data, tmp_path):
    (tmp_path / 'x.json').write_text('{"preds": [[1, 2]]}')
    (tmp_path / 'x.mat').write_bytes(b'not MATLAB')
    assert 'has shape (1, 2)' in refused(evaluate.main, '--pred', tmp_path / 'x.json', '--data', tiny_data)
    assert 'x.mat: not a MATLAB file' in refused(prepare.main, '--mat', tmp_path / 'x.mat', '--out', tmp_path)
    assert 'name a new folder' in refused(sample.main, '--out', tmp_path)


# --- annotations ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('main, split', [(train.main, 'train'), (train.main, 'valid'), (test.main, 'valid')],
                         ids=['train', 'train-valid', 'test'])
@pytest.mark.parametrize('change, told', [
    (lambda records: records[3].pop('center'), 'record 3 has no "center"'),
    (lambda records: records[3]['joints'].pop(), 'record 3 has a bad "joints": it should be 16 points [x, y]'),
    (lambda records: records[3]['joints'][5].append(0), 'record 3 has a bad "joints"'),
    (lambda records: records[3].update(scale='1'), 'record 3 has a bad "scale"'),
    (lambda records: records.clear(), 'should be a non-empty list')])
def test_records_that_cannot_be_used(refused, data, main, split, change, told):
    path = edit(data, split, change)
    assert refused(main, '--data', data).startswith(f'{path}: {told}')


def test_malformed_json(refused, data):
    path = data / 'annot' / 'train.json'
    path.write_text(path.read_text()[:-100])
    assert refused(train.main, '--data', data).startswith(f'{path}: not valid JSON (line ')


@pytest.mark.parametrize('count', [1, 5])
def test_people_without_ground_truth(refused, data, count):
    edit(data, 'valid', lambda records: records.__delitem__(slice(count, None)))
    for main in (train.main, test.main):
        assert f'gt_valid.mat: holds 8 people; the records of its split are {count}' in refused(main, '--data', data)


# --- images --------------------------------------------------------------------------------------------------------

def test_a_missing_image_fails_a_test(refused, data):
    path = data / 'images' / 'valid_000003.jpg'
    path.unlink()
    assert refused(test.main, '--data', data) == f'{path}: missing (1 of 8 images)'


def test_a_truncated_image_fails_a_test(refused, data):
    path = data / 'images' / 'valid_000003.jpg'
    path.write_bytes(path.read_bytes()[:-500])
    assert refused(test.main, '--data', data).startswith(f'{path}: this JPEG is truncated')


@pytest.mark.parametrize('content', [b'no picture', b'\xff\xd8\xff\xda'])
def test_a_validation_image_that_cannot_be_read_is_named_before_training(refused, data, tmp_path, content):
    path = data / 'images' / 'valid_000003.jpg'
    path.write_bytes(content)
    assert refused(train.main, '--data', data).startswith(f'{path}: ')
    assert not list((tmp_path / 'out').rglob('log.jsonl'))


@pytest.mark.parametrize('split', ['train', 'valid'])
def test_an_image_of_another_size_than_its_record_says_fails_a_training(refused, data, tmp_path, split):
    path = data / 'images' / f'{split}_000003.jpg'
    edit(data, split, lambda records: records[3].update(width=96, height=80))
    told = f'{path}: an image of 96 x 96 pixels; its annotation says width 96 and height 80; is it of this file?'
    assert refused(train.main, '--data', data).startswith(told)


def test_an_image_that_its_metadata_turn_is_named_as_such(refused, data):
    path = data / 'images' / 'valid_000003.jpg'
    picture, exif = Image.open(path).resize((96, 80)), Image.Exif()
    edit(data, 'valid', lambda records: records[3].update(width=80, height=96))
    for orientation, told in ((6, 'turned; the file has EXIF orientation 6'), (None, 'turned')):
        if orientation:
            exif[0x112] = orientation
        picture.save(path, exif=exif if orientation else b'')
        assert refused(test.main, '--data', data) == (
            f'{path}: an image of 96 x 80 pixels; its annotation says width 80 and height 96 ({told}): annotate the '
            'pixels as they are stored, or save the image upright')


def test_training_skips_images_that_it_cannot_decode_and_counts_them(program, data, tmp_path):
    bad = [data / 'images' / f'train_{i:06d}.jpg' for i in (2, 5, 11)]
    bad[0].unlink()
    bad[1].write_bytes(bad[1].read_bytes()[:-500])
    bad[2].write_text('no picture')
    code, output = program(train.main, '--data', data)
    assert code == 0 and ', images skipped that cannot be decoded: 2\n' in output.out
    assert all(output.err.count(f'warning: {path}: ') == 1 for path in bad)              # the first is left out
    [log] = (tmp_path / 'out').rglob('log.jsonl')
    line = json.loads(log.read_text())
    assert 0 < line['heatmap_loss'] < 64 and line['skipped'] == 2


def test_training_without_a_single_good_image_fails(refused, data):
    for path in (data / 'images').glob('train_*.jpg'):
        path.write_bytes(b'')
    assert refused(train.main, '--data', data).startswith(
        'a batch without a single image that can be decoded; the first: ')


# --- parameters ----------------------------------------------------------------------------------------------------

def test_parameters_of_another_network(refused, params, tiny_data, experiments):
    assert 'h1.params: has no trunk.' in refused(test.main, '--data', tiny_data, '--cfg', experiments / 'r1.yaml')
    assert 'r1.params: has no trunks.' in refused(test.main, '--data', tiny_data, '--params', params['r1'])
    assert 'h1.params: has no heads.0.' in refused(test.main, '--data', tiny_data, '--set', 'network.deconvolutions=3')


@pytest.mark.parametrize('content', [b'', b'\x12\x01', b'PK\x03\x04 a zip of PyTorch', b'\x80\x04\x95 a pickle'])
def test_a_file_that_holds_no_parameters(refused, tiny_data, tmp_path, content):
    path = tmp_path / 'x.params'
    path.write_bytes(content)
    assert refused(test.main, '--data', tiny_data, '--params', path) == f'{path}: not an MXNet .params file'


def test_parameters_that_are_truncated(refused, params, tiny_data, tmp_path):
    path = tmp_path / 'x.params'
    path.write_bytes(params['h1'].read_bytes()[:-1000])
    assert refused(test.main, '--data', tiny_data, '--params', path).startswith(f'{path}: damaged')


def test_parameters_truncated_anywhere(tmp_path):
    path, part = tmp_path / 'x.params', tmp_path / 'part.params'
    mx.nd.save(str(path), {'a': mx.nd.ones((2, 3)), 'b': mx.nd.zeros((1, 2, 3, 1), dtype='uint8')})
    content = path.read_bytes()
    for length in range(len(content)):
        part.write_bytes(content[:length])
        with pytest.raises(InputError, match='damaged' if length >= 24 else 'not an MXNet .params file'):
            checkpoint.read_arrays(part)


def test_parameters_without_names(tmp_path):
    path = tmp_path / 'x.params'
    mx.nd.save(str(path), [mx.nd.ones(3)])
    with pytest.raises(InputError, match='no names'):
        checkpoint.read_arrays(path)
