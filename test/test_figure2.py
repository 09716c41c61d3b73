"""Figure 2: the heat maps of several networks side by side."""
import cv2
import numpy as np
import pytest

from common.data.crop import crop_matrix, transform_points
from common.errors import InputError
from common.programs import heatmaps
from pose_mpii import heatmaps as program
from pose_mpii.dataset import load_samples
from pose_mpii.skeleton import JOINTS, SKELETON

KINDS = ('centre', 'centre')                  # of the two networks' grids


@pytest.fixture
def figure2(experiments, params, tiny_data, tmp_path):
    """A function that runs the program for Figure 2 with options, of H1 and I1 at their own size."""
    def figure2(*options, networks=('h1', 'i1')):
        named = [word for name in networks
                 for word in ('--network', experiments / f'{name}.yaml', params.get(name, params['h1']))]
        argv = ['--data', tiny_data, '--out', tmp_path / 'figure2.png', *named, *options]
        program.main([str(word) for word in argv])
        return cv2.cvtColor(cv2.imread(str(tmp_path / 'figure2.png')), cv2.COLOR_BGR2RGB)
    return figure2


def test_figure_2_has_a_row_a_joint_and_columns_for_each_person(figure2):
    height, width = figure2('--people', '1,6').shape[:2]
    assert 3 < height / 200 < 3.4 and 6 < width / 200 < 6.5


def test_figure_2_shows_the_annotated_joint_and_each_networks_map(tiny_data):
    samples = load_samples(tiny_data, 'valid', (64, 64))[:1]
    maps = np.zeros((2, 1, len(JOINTS), 8, 8), np.float32)
    maps[0, 0, 5, 0, 0] = maps[1, 0, 5, 7, 7] = 1
    joints = transform_points(crop_matrix(samples[0].box, (256, 256)), samples[0].joints)
    both = heatmaps.figure(SKELETON, samples, [5], ['A', 'B'], list(maps), KINDS)
    swapped = heatmaps.figure(SKELETON, samples, [5], ['A', 'B'], list(maps[::-1]), KINDS)
    third = both.shape[1] // 3
    np.testing.assert_array_equal(both[:, :third], swapped[:, :third])          # the photograph
    assert (both[:, third:2 * third] != swapped[:, third:2 * third]).any()
    unknown = [samples[0]._replace(visible=np.zeros(len(JOINTS)))]
    hidden = heatmaps.figure(SKELETON, unknown, [5], ['A', 'B'], list(maps), KINDS)
    y, x = np.argwhere((both != hidden).any(axis=2)).mean(axis=0)
    left, scale = 24, 200 / 256               # the row's label, and pixels of the figure per pixel of the crop
    assert abs(x - left - joints[5, 0] * scale) < 8 and abs(y - 25 - joints[5, 1] * scale) < 8


@pytest.mark.parametrize('options, told', [
    (('--people', '3,8'), '--people 3,8: expected numbers below 8'),
    (('--people', '-1'), '--people -1: expected'),
    (('--people', 'all'), '--people all: expected'),
    (('--joints', 'right ankle,nose'), "unknown joint 'nose'"),
    (('--split', 'other'), 'other.json: no such file'),
    (('--out', 'x.pdf'), 'x.pdf: pictures are written as')])
def test_figure_2_with_bad_input(figure2, options, told):
    with pytest.raises(InputError, match=told):
        figure2(*options)


def test_figure_2_is_of_heat_maps(figure2):
    with pytest.raises(InputError, match='a regression network has no heat maps'):
        figure2(networks=('h1', 'r1'))


def test_figure_2_is_of_its_own_data_sets_networks(figure2, root, params):
    with pytest.raises(InputError, match='i1.yaml: data.set is coco; this program is for mpii'):
        figure2('--network', root / 'experiments/cpu/coco/table8/i1.yaml', params['h1'])


def test_figure_2_shows_a_network_the_crops_it_was_tested_on(experiments, params, tiny_data, tmp_path, monkeypatch):
    (tmp_path / 'narrow.yaml').write_text(f'base: {experiments}/h1.yaml\ninput: {{size: [64, 96]}}\n')
    argv = ['--data', str(tiny_data), '--out', str(tmp_path / 'x.png'), '--network', str(tmp_path / 'narrow.yaml'),
            str(params['h1'])]
    boxes = []
    monkeypatch.setattr(heatmaps, 'figure',
                        lambda person, samples, *_: boxes.append(samples[0].box) or np.zeros((8, 8, 3), 'u1'))
    program.main(argv)
    assert boxes == [load_samples(tiny_data, 'valid', (64, 96))[0].box]
    with pytest.raises(InputError, match='input.size have different proportions'):
        program.main([*argv, '--network', str(experiments / 'h1.yaml'), str(params['h1'])])
