"""Experiments: what a file inherits, what may be overridden, and how every mistake is named."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from common import config
from common.config.__main__ import lines
from common.config.schema import schema
from common.errors import InputError
from common.programs import options

EXPERIMENTS = Path(__file__).resolve().parents[1] / 'experiments'
BASE = EXPERIMENTS / 'mpii' / 'base.yaml'


@pytest.fixture
def write(tmp_path):
    """A function that writes a YAML file over MPII's base, or over none, and returns its path."""
    def write(text, name='x.yaml', base=BASE):
        path = tmp_path / name
        path.write_text((f'base: {base}\n' if base else '') + text)
        return path
    return write


def refused(path, *overrides):
    """The message of the InputError that loading raises: one line."""
    with pytest.raises(InputError) as caught:
        config.load(path, overrides)
    message = str(caught.value)
    assert '\n' not in message
    return message


# --- bases ---------------------------------------------------------------------------------------------------------

def test_a_file_wins_over_its_base_key_by_key(write):
    cfg, base = config.load(write('train: {epochs: 3}\nloss: {sigma: 2}')), config.load(BASE)
    assert (cfg.train.epochs, cfg.loss.sigma, cfg.name) == (3, 2, 'x')
    for section in schema():
        changed = {key for key in base[section] if cfg[section][key] != base[section][key]}
        assert changed == {'train': {'epochs'}, 'loss': {'sigma'}}.get(section, set())


def test_of_several_bases_the_later_wins_and_bases_have_bases(write):
    write('train: {epochs: 3, patience: 3, seed: 3}', 'one.yaml')
    write('train: {epochs: 4, patience: 4}', 'two.yaml', base=None)
    write('', 'three.yaml', base='two.yaml')
    train = config.load(write('train: {epochs: 5}', base='[one.yaml, three.yaml]')).train
    assert (train.epochs, train.patience, train.seed) == (5, 4, 3)


def test_bases_are_found_beside_the_file_wherever_the_user_stands(write, tmp_path, monkeypatch):
    (tmp_path / 'deep').mkdir()
    write('train: {epochs: 7}', 'one.yaml')
    path = write('', 'deep/x.yaml', base='../one.yaml')
    monkeypatch.chdir('/')
    assert config.load(path).train.epochs == 7


def test_a_file_that_leads_back_to_itself_is_named(write):
    assert 'x.yaml: is its own base' in refused(write('', base='x.yaml'))
    write('', 'one.yaml', base='two.yaml')
    write('', 'two.yaml', base='one.yaml')
    assert 'one.yaml: is its own base' in refused(write('', base='one.yaml'))


def test_one_base_reached_by_two_ways_is_no_circle(write):
    write('train: {epochs: 3}', 'one.yaml')
    write('train: {epochs: 4}', 'two.yaml')
    assert config.load(write('', base='[one.yaml, two.yaml]')).train.epochs == 4


@pytest.mark.parametrize('base, told', [('gone.yaml', 'gone.yaml: cannot be read'), ('5', 'base is 5'),
                                        ('[1]', 'base is 1'), ('~', 'base is None'), ('.', 'cannot be read')])
def test_a_base_that_is_none_is_named(write, base, told):
    assert told in refused(write('', base=base))


# --- overrides -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('override, section, key, value', [
    ('train.epochs=6', 'train', 'epochs', 6),
    ('train.rates=[1e-3, 1.0e-4, 2]', 'train', 'rates', [0.001, 0.0001, 2.0]),         # 1e-3 is a text to YAML 1.1
    ('loss.sigma=1e-3', 'loss', 'sigma', 0.001),
    ('loss.sigma=3', 'loss', 'sigma', 3.0),
    ('test.flip=true', 'test', 'flip', True),
    ('network.pretrained=', 'network', 'pretrained', ''),
    ('network.pretrained=a=b.params', 'network', 'pretrained', 'a=b.params'),
    (' input.size = [64, 128]', 'input', 'size', [64, 128])])
def test_overrides_are_yaml(override, section, key, value):
    found = config.load(BASE, [override])[section][key]
    assert found == value and type(found) is type(value)


def test_the_last_override_wins_over_all_files(write):
    assert config.load(write('train: {epochs: 3}'), ['train.epochs=4', 'train.epochs=5']).train.epochs == 5


@pytest.mark.parametrize('override, told', [
    ('train.epochs', 'expected section.key=value'),
    ('=3', 'expected section.key=value'),
    (':train.epochs=2', 'or NAME:section.key=value'),
    ('train.epochs=[1', 'not valid YAML'),
    ('train.epochs=six', "train.epochs is 'six'; expected a whole number of at least 1"),
    ('train=3', 'train is a section; expected train.KEY (start_from, batch_size'),
    ('input.size=[250, 256]', 'both must be multiples of 32'),
    ('epochs=6', 'unknown key epochs; did you mean train.epochs?')])
def test_a_bad_override_is_quoted(override, told):
    message = refused(BASE, override)
    assert message.startswith(f'--set {override}: ') and told in message


# --- mistakes ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('text, told', [
    ('train: {epoch: 5}', 'unknown key train.epoch; did you mean train.epochs?'),
    ('trian: {epochs: 5}', 'unknown key trian; did you mean train?'),
    ('network: {sigma: 5}', 'unknown key network.sigma; did you mean'),
    ('qqqqqqqqqq: {a: 5}', 'the sections are data, input, augment, network, loss, train, test'),
    ('train: 5', 'train is a section; expected keys in it (start_from, batch_size'),
    ('7: {a: 5}', 'unknown key 7')])
def test_unknown_keys_are_named_with_the_nearest_known_one(write, text, told):
    path = write(text)
    message = refused(path)
    assert message.startswith(f'{path}: ') and told in message


@pytest.mark.parametrize('key, value', [
    *(('loss.sigma', value) for value in ('true', '~', '[1]', 'wide', '.nan', '.inf', '1e400', '0', '-1',
                                          '1' + 400 * '0')),
    ('augment.scale', '0.91'), ('augment.rotation', '-1'),
    *(('train.epochs', value) for value in ('true', '1.0', '"3"', '0', '~')),
    ('train.seed', '-1'), ('train.seed', 2 ** 32),
    *(('augment.flip', value) for value in ('1', '"true"', '~')),
    ('network.backbone', 'resnet20'), ('network.backbone', '[resnet50]'),
    ('loss.heatmap', '[mse]'), ('loss.heatmap', 'huber'),
    ('data.train', '""'), ('data.train', '5'), ('data.train', '~'), ('network.pretrained', '5'),
    ('train.rates', '[]'), ('train.rates', '1e-3'), ('train.rates', '[1e-3, 0]'), ('train.rates', '[true]'),
    ('train.drops', '[0]'), ('input.size', '[64]'), ('input.size', '[64, 64, 64]'), ('input.size', '[64, 64.0]'),
    ('input.size', '64'), ('input.size', '[0, 64]')])
def test_wrong_types_and_impossible_values_are_quoted(write, key, value):
    section, _, name = key.partition('.')
    path = write(f'{section}: {{{name}: {value}}}')
    message = refused(path)
    assert message.startswith(f'{path}: {key} is ') and '; expected ' in message


@pytest.mark.parametrize('overrides, told', [
    (['input.size=[64, 48]'], 'multiples of 32'),
    (['network.head=regression', 'loss.heatmap=none', 'loss.joint=l1', 'loss.window=1', 'test.decode=regression'],
     'loss.window must be 0'),
    (['loss.heatmap=binary', 'loss.radius=5.65'], 'network.deconvolutions at least 5.66'),
    (['loss.heatmap=binary', 'loss.radius=11.31', 'input.size=[128, 256]'], 'network.deconvolutions at least 11.32'),
    (['loss.heatmap=binary', 'loss.radius=2.8', 'network.deconvolutions=3'], 'network.deconvolutions at least 2.83'),
    (['loss.heatmap=binary', 'loss.radius=10.6', 'network.grid=corner'], 'network.deconvolutions at least 10.61'),
    (['loss.heatmap=none'], 'nothing to learn'),
    (['network.head=regression', 'test.decode=regression', 'loss.joint=l1'], 'loss.heatmap must be none'),
    (['network.head=regression', 'loss.heatmap=none', 'loss.joint=l1'], 'test.decode must be regression'),
    (['test.decode=regression'], 'test.decode cannot be regression'),
    (['network.stages=2', 'network.deconvolutions=3'], 'network.deconvolutions 2'),
    (['train.drops=[5]', 'train.rates=[1]'], 'train.drops'),
    (['train.drops=[5, 3]', 'train.rates=[1, 1, 1]'], 'train.drops'),
    (['train.drops=[5, 5]', 'train.rates=[1, 1, 1]'], 'train.drops')])
def test_impossible_combinations_are_explained(overrides, told):
    message = refused(BASE, *overrides)
    assert message.startswith(tuple(f'--set {override}: ' for override in overrides)) and told in message


def test_an_impossible_combination_of_a_file_is_of_the_file(write):
    path = write('input: {size: [64, 48]}')
    assert refused(path, 'train.epochs=3').startswith(f'{path}: input.size [64, 48]: both must be')


def test_a_radius_that_reaches_a_cell_from_everywhere_is_taken():
    assert config.load(BASE, ['loss.heatmap=binary', 'loss.radius=5.66']).loss.radius == 5.66


def test_a_key_without_a_value_is_named(write):
    assert 'no value for data.set; expected a name such as' in refused(write('train: {epochs: 5}', base=None))


@pytest.mark.parametrize('text', ['train: {epochs: 5', '\ttrain: 5', 'a: b: c', '- a\n- b', 'hello', '', '? [a]\n: 1',
                                  'loss: {sigma: !!bool x}', 'loss: {sigma: !!int ""}', '"\0"', 500 * '['])
def test_a_file_that_is_no_experiment_is_named(write, text):
    path = write(text, base=None)
    assert refused(path).startswith(f'{path}: ')


def test_malformed_yaml_is_told_with_its_line(write):
    assert 'not valid YAML (line 3: ' in refused(write('train: {epochs: 5}\nloss: [1'))


def test_missing_folders_and_binary_files_cannot_be_read(tmp_path):
    (tmp_path / 'image.yaml').write_bytes(b'\xff\xd8\xff\xe0')
    for name in ('gone.yaml', 'image.yaml', ''):
        assert refused(tmp_path / name).startswith(f'{tmp_path / name}: cannot be read (')


@pytest.mark.parametrize('tag', ['!!python/object/apply:os.mkdir [{}]', '!!python/name:os.mkdir', '!!python/tuple []',
                                 '!!python/object/new:os.mkdir [[{}]]'])
def test_no_tag_runs_code(write, tmp_path, tag):
    made = tmp_path / 'made'
    assert 'not valid YAML' in refused(write(f'loss:\n  sigma: {tag.format(made)}'))
    assert 'not valid YAML' in refused(BASE, f'loss.sigma={tag.format(made)}')
    assert not made.exists()


def test_an_override_of_another_experiment_is_checked_and_where_there_is_one_alone_refused():
    assert '--set i9:nonsense.key=3: unknown key nonsense.key' in refused(BASE, 'i9:nonsense.key=3')
    assert '--set i9:train.epochs=x: train.epochs is ' in refused(BASE, 'i9:train.epochs=x')
    with pytest.raises(InputError, match='--set i9:train.epochs=3: no experiment here has that name; there are mpii/'):
        options.load(BASE, ['i9:train.epochs=3'])
    assert options.load(BASE, [f'{BASE.stem}:train.epochs=3']).train.epochs == 3
    skeleton = EXPERIMENTS.parent / 'pose_coco/skeleton.yaml'
    assert len(config.load(BASE, [f'i9:data.skeleton={skeleton}']).data.skeleton['joints']) == 16
    assert 'gone.yaml: cannot be read' in refused(BASE, 'i9:data.skeleton=gone.yaml')


def test_a_reader_that_has_enough_is_no_error(root):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, '-m', 'common.config', '--cfg', str(BASE)], cwd=root, stdout=write,
                          stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, '')


def test_a_configuration_is_shown_with_where_each_value_comes_from(root, monkeypatch):
    monkeypatch.chdir(root)
    shown = list(lines('experiments/mpii/table2/i1.yaml', ['train.epochs=6']))
    assert shown[shown.index('  epochs: 6') + 1].endswith('[--set train.epochs=6]')
    assert shown[shown.index('  start_from: h1') + 1].endswith('[experiments/mpii/table2/i1.yaml]')


# --- names and saved configurations --------------------------------------------------------------------------------

def test_what_was_saved_loads_as_it_was(tmp_path):
    cfg = config.load(EXPERIMENTS / 'cpu/mpii/table2/i1.yaml', ['train.rates=[1e-5]', 'train.drops=[]', 'train.seed=9'])
    config.save(cfg, tmp_path / 'out' / 'config.yaml')
    again = config.load(tmp_path / 'out' / 'config.yaml')
    assert again.name == 'cpu/mpii/table2/i1' and again.path == str(tmp_path / 'out' / 'config.yaml')
    assert {**again, 'path': None, 'start': None} == {**cfg, 'path': None, 'start': None}


def test_a_saved_configuration_is_a_base_like_any_other(write, tmp_path):
    config.save(config.load(BASE, ['train.epochs=9']), tmp_path / 'saved.yaml')
    cfg = config.load(write('', base='saved.yaml'))
    assert (cfg.name, cfg.train.epochs) == ('x', 9)


def test_a_configuration_saved_before_a_key_was_there_is_read(root, tmp_path):
    path = tmp_path / 'config.yaml'
    config.save(config.load(root / 'experiments/mpii/table2/i1.yaml'), path)
    path.write_text(''.join(line for line in path.read_text().splitlines(True) if 'dtype' not in line))
    assert config.load(path).train.dtype == 'float32'


def test_a_configuration_saved_before_it_named_a_skeleton_has_that_of_its_data_set(tmp_path):
    for path in (BASE, EXPERIMENTS / 'coco/table8/i1.yaml'):
        cfg = config.load(path)
        tree = config.sections(cfg)
        del tree['data']['skeleton']
        (tmp_path / 'config.yaml').write_text(yaml.safe_dump(tree))
        assert config.load(tmp_path / 'config.yaml').data == cfg.data


@pytest.mark.parametrize('text, told', [
    ('train: {epochs: 2}\nloss: {sigma: 1}\ntrain: {seed: 2}', '(line 4: a second train)'),
    ('loss: {sigma: 1, radius: 15, sigma: 3}', '(line 2: a second sigma)')])
def test_a_key_given_twice_is_named(write, text, told):
    assert f'x.yaml: not valid YAML {told}' in refused(write(text))


def test_a_link_to_itself_is_named(tmp_path):
    (tmp_path / 'x.yaml').symlink_to(tmp_path / 'x.yaml')
    assert 'x.yaml: cannot be read (Too many levels' in refused(tmp_path / 'x.yaml')
