"""Table 8: COCO's rows of the paper and ours."""
import pytest
from tabled import coco_result, row


def test_table_8_has_the_papers_rows_and_ours(root, written):
    text = written(coco_result(root, 50.0), coco_result(root, 52.0, seed=1))
    section = 'cpu/coco on photographs'
    assert row(text, 'I1, paper', section) == ['ResNet-101 (256 x 256)', 'test-dev', '67.8', '88.2', '74.8', '63.9',
                                               '74.0']
    ours = ['51.0 ± 1.4'] * 3 + ['-', '51.0 ± 1.4']
    assert row(text, 'I1, ours', section) == ['ResNet-18 (128 x 128)', 'val2017, annotated boxes', *ours]
    assert row(text, 'I1, ours, local integral', section)[2] == '52.0 ± 1.4'
    assert row(text, 'H1, ours', section) == ['ResNet-18 (128 x 128)', '', *['not run'] * 5]
    assert row(text, 'He et al. (Mask R-CNN), 2017', section)[2] == '63.1'
    assert '### Table 8: COCO\n\nNot run.\n' in text.partition('## experiments/coco\n')[2]


def test_results_with_other_boxes_are_another_row(root, written):
    text = written(coco_result(root, 50.0), coco_result(root, 40.0, boxes='detections.json'))
    rows = [line for line in text.splitlines() if line.startswith('| I1, ours |')]
    assert [line.split('|')[3:5] for line in rows[-2:]] == [[' val2017, annotated boxes ', ' 50.0 '],
                                                          [' val2017, detections.json ', ' 40.0 ']]


def test_table_8_says_which_network_was_tested(root, written):
    one = coco_result(root, 50.0)
    one['config']['input']['size'] = [192, 256]
    assert row(written(one), 'I1, ours', 'cpu/coco on photographs')[0] == 'ResNet-18 (192 x 256)'


@pytest.mark.parametrize('change', [
    {'AP': 40.0}, {'decodings': {}}, {'decodings': {'integral': dict.fromkeys(('AP', 'AP50', 'AP75', 'APM', 'APL'))}}])
def test_scores_that_are_not_of_a_results_decodings_stand_without_the_local_integral(root, written, change):
    """As COCO's server's answer in a copy of a test's JSON."""
    text = written({**coco_result(root, 50.0, split='test-dev2017'), **change})
    assert row(text, 'I1, ours', 'cpu/coco on photographs')[2] == f'{change.get("AP", 50):.1f}'
    assert '| I1, ours, local integral |' not in text


def test_a_regression_has_no_row_by_the_local_integral(root, written):
    one = coco_result(root, 50.0)
    one['config']['test']['decode'] = 'regression'
    text = written({**one, 'decodings': {'regression': one['decodings']['integral']}})
    assert row(text, 'I1, ours', 'cpu/coco on photographs')[2] == '50.0'
    assert '| I1, ours, local integral |' not in text
