"""The paper's figures and how ours come to stand beside them."""
import re
import shutil

import numpy as np
import pytest
from tabled import coco_result, pages, result, row

from common import files, results
from pose_coco import paper as coco_paper
from pose_mpii import paper
from pose_mpii.pckh import METRICS
from scripts import paper_tables


def test_the_papers_figures_satisfy_what_its_text_says():
    def drop(one, other, method):
        return np.subtract(paper.SCORES[f'{one}/{method}'], paper.SCORES[f'{other}/{method}'])

    # "the improvement of I1 from H1 is +0.5 on PCKh@0.5, but +12.1 on PCKh@0.1 ... on AUC (+5.4)"
    improvement = np.subtract(paper.SCORES['table2/i1'], paper.SCORES['table2/h1'])
    assert improvement == pytest.approx((0.5, 12.1, 5.4))
    assert (paper.SCORES['table2/h3'][2], paper.SCORES['table2/i3'][2]) == (46.3, 57.7)
    # "(c to d) ... I1 only drops 0.6 in AUC while H1 drops 4.8"; a to b 3.5 and 12.5; d to b 11.1 and 18.8
    for one, other, i1, h1 in (('c', 'd', 0.6, 4.8), ('a', 'b', 3.5, 12.5), ('d', 'b', 11.1, 18.8)):
        assert drop(f'table3/{one}', f'table3/{other}', 'i1')[2] == pytest.approx(i1)
        assert drop(f'table3/{one}', f'table3/{other}', 'h1')[2] == pytest.approx(h1)


@pytest.mark.parametrize('one, other', [('table2', 'table3/d'), ('table2', 'table4/resnet50'),
                                        ('table2', 'table5/stages1')])
def test_the_paper_prints_one_network_in_several_tables(one, other):
    for method in ('h1', 'i1'):
        assert paper.SCORES[f'{one}/{method}'] == paper.SCORES[f'{other}/{method}']


# Rows beside those of the paper's version 1: its published text's, and ours.
BESIDE = ('_joint', '_debiased', '_local')


def test_every_cell_of_the_paper_is_an_experiment_and_the_other_way_round(root):
    cells = {*paper.SCORES, *(name for name in paper.TABLE6 if name.startswith('table6/'))}
    found = {str(path.relative_to(root / 'experiments/mpii').with_suffix(''))
             for path in (root / 'experiments/mpii').glob('table*/**/*.yaml')}
    assert cells == {name for name in found - {'table3/a/setting', 'table3/b/setting', 'table3/c/setting',
                                               'table6/trainval'} if not name.endswith(BESIDE)}


def test_every_row_of_ours_in_table_8_is_an_experiment_and_the_other_way_round(root):
    found = {str(path.relative_to(root / 'experiments/coco').with_suffix(''))
             for path in (root / 'experiments/coco').glob('table*/*.yaml')}
    assert {name for name in found if not name.endswith(BESIDE)} == {
        name for name in coco_paper.TABLE8 if results.entry(name)}


def test_each_data_set_has_its_own_tables(root, written):
    text = written(result(root, 'table2/h1', 0.2), coco_result(root, 50.0))
    headings = [line for line in text.splitlines() if line.startswith('#')]
    assert headings.count('### Table 2: methods') == 2 and headings.count('### Table 8: COCO') == 2
    assert '## experiments/cpu/mpii on photographs' in headings and '## experiments/cpu/coco on photographs' in headings


def test_a_result_stands_in_every_table_that_has_its_network(root, written):
    text = written(result(root, 'table2/i1', 0.2), result(root, 'table3/a/h1', 0.05))
    assert row(text, 'I1') == ['100.0 / 0.0 / 60.8', '-', '100.0 / 0.0 / 60.8', '87.3 / 29.3 / 58.3']
    table3, table4, table5 = (text.partition('cpu/mpii')[2].partition(f'Table {n}')[2] for n in (3, 4, 5))
    assert '| I1 | not run | 100.0 / 0.0 / 60.8 |' in table3
    assert '| H1 | 100.0 / 100.0 / 90.2 | not run |' in table3
    assert '| I1 | 100.0 / 0.0 / 60.8 | not run |' in table4
    assert '| I1 | 100.0 / 0.0 / 60.8 | not run | not run | not run |' in table5


def test_several_seeds_give_mean_and_spread(root, written):
    text = written(result(root, 'table2/h1', 0.2, seed=0), result(root, 'table2/h1', 0.3, seed=1))
    areas = [100 * sum(alpha >= error for alpha in np.arange(51) / 100) / 51 for error in (0.2, 0.3)]
    assert row(text, 'H1')[0] == f'100.0 ± 0.0 / 0.0 ± 0.0 / {np.mean(areas):.1f} ± {np.std(areas, ddof=1):.1f}'


def test_data_sets_are_kept_apart_and_the_papers_setting_says_what_is_not_run(root, written):
    text = written(result(root, 'table2/h1', 0.2), result(root, 'table2/h1', 0.05, data='drawings'))
    assert row(text, 'H1', 'cpu/mpii on photographs')[0] == '100.0 / 0.0 / 60.8'
    assert row(text, 'H1', 'cpu/mpii on drawings')[0] == '100.0 / 100.0 / 90.2'
    unrun = text.partition('## experiments/mpii\n')[2].partition('\n## ')[0]
    assert unrun.count('### Table') == unrun.count('\n\nNot run.\n') == 6 and '|' not in unrun


def test_other_experiments_are_listed(root, written):
    own = {**result(root, 'table2/h1', 0.2), 'experiment': 'mine/h1'}
    own['config']['data']['set'] = 'horses'
    text = written(result(root, 'table2/h1', 0.2), own)
    assert '| `mine/h1` | photographs | valid | 0 | argmax | PCKh@0.5 100.0, PCKh@0.1 0.0, AUC 60.8 |' in text
    assert text.count('## Other experiments') == 1


def test_no_result_is_left_out(root, written):
    """Whatever an experiment is called: of another data set, and of COCO beside the paper's two."""
    own = {**result(root, 'table2/h1', 0.2), 'experiment': 'mine/table2/h1'}
    own['config']['data']['set'] = 'horses'
    assert '| `mine/table2/h1` | photographs |' in written(result(root, 'table2/h1', 0.2), own)


def test_an_experiment_without_a_folder_has_its_tables(root, written):
    text = written({**result(root, 'table2/h1', 0.2), 'experiment': 'table2/h1'})
    assert row(text, 'H1', ' on photographs')[0] == row(text, '`table2/h1`', ' on photographs')[-1] == \
        '100.0 / 0.0 / 60.8'


@pytest.mark.parametrize('name', ['mine/my_table2/h1', 'stable/h1'])
def test_not_every_name_with_table_in_it_is_of_a_table(root, written, name):
    text = written({**result(root, 'table2/h1', 0.2), 'experiment': name})
    assert f'| `{name}` | photographs |' in text.partition('## Other experiments')[2]


def test_scores_of_people_who_were_trained_on_say_so(root, written):
    one, other = result(root, 'table2/h1', 0.2), coco_result(root, 90.0)
    one['config']['data']['train'], other['config']['data']['train'] = 'train+valid', 'train2017+val2017'
    text = written(one, other)
    assert row(text, 'H1')[0].endswith(' 60.8 (trained on them)') and row(text, '`table2/h1` (trained on them)')
    assert '| val2017, annotated boxes (trained on them) | 90.0' in text
    text = written({**coco_result(root, 60.0, 'test-dev2017', 'x'), 'config': other['config']})
    assert '| test-dev2017, x | 60.0' in text


def test_a_result_that_another_replaces_is_said(root, written, capsys):
    written(result(root, 'table2/h1', 0.2), result(root, 'table2/h1', 0.3))
    assert '0/test.json: left out, as' in capsys.readouterr().err


def test_a_family_may_lack_rows_of_table_6(root, written, tmp_path, monkeypatch):
    shutil.copytree(root / 'experiments', tmp_path / 'experiments')
    for data_set in ('pose_mpii', 'pose_coco'):                # whose skeletons they name
        (tmp_path / data_set).symlink_to(root / data_set)
    for path in (tmp_path / 'experiments/mpii/table6').glob('ms_i1*'):
        path.unlink()
    monkeypatch.setattr(results, 'EXPERIMENTS', tmp_path / 'experiments')
    text = written({**result(root, 'table2/h1', 0.2, split='test'), 'experiment': 'mpii/table6/h1'})
    assert row(text, 'I1, ours', 'mpii')[-1] == 'not run' and '| MS-I1, paper |' in text
    assert '| MS-I1, ours |' not in text


@pytest.mark.parametrize('order', [1, -1])
def test_the_servers_answer_stands_beside_the_result_of_the_training(root, written, order):
    """It has no decodings, and its joints may be in any order."""
    trained = {**result(root, 'table2/i1', 0.2), 'experiment': 'mpii/table6/i1'}
    trained['config']['data']['train'] = 'trainval'
    answer = {key: value for key, value in {**trained, 'split': 'test', 'PCKh@0.5': 50.0}.items() if key != 'decodings'}
    answer['joints'] = {group: number for number, group in reversed(list(enumerate(answer['joints'])))}
    text = written(*[trained, answer][::order])
    assert row(text, 'I1, ours', 'mpii') == [*(f'{number}.0' for number in range(7)), '50.0']
    assert row(text, '`table6/i1` (trained on them)', 'mpii')[-1] == '100.0 / 0.0 / 60.8'


def test_the_sources_say_where_a_result_is_not_as_its_file(root, written, tmp_path):
    one = result(root, 'table2/h1', 0.2)
    one['config']['train'].update(dtype='bfloat16', seed=3, patience=5)      # no patience where rates have drops
    files.make_folder(tmp_path / 'in/0')
    files.write_json(tmp_path / 'in/0/result.json', {'commit': '1234567890-dirty', 'last': one})
    line, = [line for line in written(one).splitlines() if line.startswith('| `cpu/mpii/table2/h1`')]
    assert line.split(' | ')[3] == '1234567-dirty'
    assert line.endswith(" | `train.dtype` 'float32' instead of 'bfloat16' |")


def test_complexity_is_counted(written, root):
    counted = row(written({**result(root, 'table2/h1', 0.2), 'experiment': 'mpii/table2/h1'}),
                  'I1, multiply-accumulates', 'mpii')
    assert counted == ['1.8G', '1.5G', '7.2G', '6.1G']               # the paper prints 1.8, 1.5, 7.3 and 6.2


def test_a_curve_is_drawn(root, written, tmp_path):
    written(result(root, 'table2/h1', 0.2))
    assert (tmp_path / 'out/figure3_cpu_mpii_photographs.png').read_bytes()[:4] == b'\x89PNG'


def test_the_last_epoch_stands_beside_the_best(root, written, tmp_path):
    one = result(root, 'table2/h1', 0.2)
    files.make_folder(tmp_path / 'in/0')
    files.write_json(tmp_path / 'in/0/result.json', {'last': {'PCKh@0.5': 90.0, 'PCKh@0.1': 12.34, 'AUC': 50.0}})
    assert row(written(one), 'H1') == ['100.0 / 0.0 / 60.8', '90.0 / 12.3 / 50.0', '100.0 / 0.0 / 60.8',
                                       '86.8 / 17.2 / 52.9']
    assert row(written(one, result(root, 'table2/i1', 0.2)), 'I1')[1] == '-'              # no training wrote this one


def test_every_decoding_of_every_network_is_shown(root, written):
    one, regressed = result(root, 'table2/h1', 0.2), result(root, 'table2/r1', 0.2)
    one['decodings']['integral'] = result(root, 'table2/h1', 0.05)
    text = written(one, {**regressed, 'decodings': {'regression': regressed}},
                   {**one, 'experiment': 'cpu/mpii/study/longer'})
    assert row(text, '`table2/h1`') == ['-', '-', '100.0 / 100.0 / 90.2', '100.0 / 0.0 / 60.8']
    assert row(text, '`study/longer`') == row(text, '`table2/h1`')
    assert '| `table2/r1` |' not in text


def test_seeds_with_several_betas_are_not_averaged_where_beta_counts(root, written):
    one, other = (result(root, 'table2/h1', error, seed) for seed, error in enumerate((0.2, 0.05)))
    for seed, beta in (one, 15), (other, 40):
        seed['config']['network']['beta'] = beta
        seed['decodings'] = dict.fromkeys(('argmax', 'local'), seed['decodings']['local'])
    text = written(one, other)
    assert row(text, '`table2/h1`')[0].count('±') == 3 and row(text, '`table2/h1`')[1:] == ['-', '-', '-']
    assert row(text, '`table2/h1`, beta 15') == ['-', '-', '-', '100.0 / 0.0 / 60.8']
    assert row(text, '`table2/h1`, beta 40') == ['-', '-', '-', '100.0 / 100.0 / 90.2']


def test_a_study_of_the_local_integral_stands_beside_its_network(root, written, tmp_path):
    files.make_folder(tmp_path / 'in/0')
    files.write_json(tmp_path / 'in/0/decodings.json', {'local': [
        {'beta': beta, 'window': 1, 'PCKh@0.5': 90.0, 'PCKh@0.1': 12.34, 'AUC': 50.0} for beta in (15, 7.5)]})
    one = result(root, 'table2/h1', 0.2)
    text = written(one)
    table = '| beta | 3 x 3 cells |\n| --- | --- |\n| 7.5 | 90.0 / 12.3 / 50.0 |\n| 15 | 90.0 / 12.3 / 50.0 |\n'
    assert f'`table2/h1` (its `network.beta` is {one["config"]["network"]["beta"]:g}):\n\n{table}' in text


def test_decodings_by_modes_stand_beside_their_network(root, written, tmp_path):
    files.make_folder(tmp_path / 'in/0')
    scores = {'PCKh@0.5': 90.0, 'PCKh@0.1': 12.34, 'AUC': 50.0}
    line = {'modes': 'one', 'share': 62.5, **{method: scores for method in ('argmax', 'quarter', 'integral', 'local')}}
    local = {'beta': 15, 'window': 1, **scores}
    files.write_json(tmp_path / 'in/0/decodings.json', {'local': [local], 'modes': [line]})
    assert '| one | 62.5%' + 4 * ' | 90.0 / 12.3 / 50.0' + ' |' in written(result(root, 'table2/h1', 0.2))


def test_the_committed_tables_are_those_of_the_committed_results(root, tmp_path):
    for figure in (root / 'results').glob('figure2_*'):            # drawn from networks, which are not committed
        shutil.copy(figure, tmp_path)
    paper_tables.main(['--out', str(tmp_path)])
    assert pages(tmp_path) == pages(root / 'results')


@pytest.mark.parametrize('page', ['README', 'from_random_weights', 'random_weights_studies', 'drawings',
                                  'drawings_studies'])
def test_the_scores_of_a_page_are_those_of_the_tables(root, page):
    lines = (root / f'results/{page}.md').read_text().splitlines()
    rows = [line for line in lines if line.startswith('| ') and ' / ' in line]
    assert rows and set(rows) <= set(pages(root / 'results').splitlines())


def triples(tree):
    """The scores of a JSON as pages show them."""
    if isinstance(tree, dict) and all(isinstance(tree.get(key), (int, float)) for key in METRICS):
        yield ' / '.join(f'{tree[key]:.1f}' for key in METRICS)
    for branch in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from triples(branch)


@pytest.mark.parametrize('page', ['resnet18', 'resnet18_tables', 'resnet18_coarse', 'resnet18_maps',
                                  'resnet18_joint_loss', 'resnet18_training', 'error_model', '../common/temperature'])
def test_every_score_of_a_page_was_measured(root, page):
    known = {cell.strip() for line in pages(root / 'results').splitlines() for cell in line.split('|')}
    for path in (*(root / 'results').rglob('*.json'), *(root / 'models').glob('*.json')):
        known |= {*triples(files.read_json(path))}
    text = ' '.join((root / f'results/{page}.md').read_text().split())
    number = r'\d+\.\d(?: ± \d+\.\d)?'
    shown = re.findall(rf'(?<![\d.+-]){number} / {number} / {number}', text)
    assert shown and {*shown} <= known


def test_the_scores_of_the_readme_are_those_of_the_tables(root):
    """Whatever rows it makes of them."""
    shown = (root / 'README.md').read_text().partition('\n## Results')[2].partition('\n## ')[0]
    cells = {cell.strip().strip('*') for line in shown.splitlines() if line.startswith('| ') and ' / ' in line
             for cell in line.split('|') if cell.count(' / ') == 2}
    tables = pages(root / 'results').splitlines()
    assert cells and cells <= {cell.strip() for line in tables for cell in line.split('|')}
