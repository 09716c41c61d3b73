"""The network in models/: its card is true, it finds people, and the demo takes it without being told."""
import hashlib
import json

import mxnet as mx

from common import config, results
from common.data.loader import ordered_loader
from common.predict import inference
from pose_mpii import demo
from pose_mpii.dataset import load_samples
from pose_mpii.layout import ground_truth_file, read_ground_truth
from pose_mpii.pckh import METRICS
from pose_mpii.test import score

CONFIG, CARD = demo.RELEASED.with_suffix('.yaml'), demo.RELEASED.with_suffix('.json')
PEOPLE = 64


def test_the_card_is_of_this_file(root):
    content = demo.RELEASED.read_bytes()
    assert len(content) < 30e6
    assert hashlib.sha256(content).hexdigest() in (root / 'models/README.md').read_text()


def test_the_card_has_the_scores_of_the_test(root):
    result = json.loads(CARD.read_text())
    assert result['split'] == 'valid' and not results.departures(result, config.load(CONFIG))
    lines = (root / 'models/README.md').read_text().splitlines()
    for decoding, scores in result['decodings'].items():
        assert f'| {decoding} | ' + ' | '.join(f'{scores[key]:.1f}' for key in METRICS) + ' |' in lines


def test_it_finds_people_in_photographs_it_was_not_trained_on(shared):
    data, cfg = shared / 'lspet_mpii', config.load(CONFIG)
    samples = load_samples(data, 'valid', cfg.input.size)
    truth = [part[:PEOPLE] for part in read_ground_truth(ground_truth_file(data, 'valid'), len(samples))]
    net = inference.load_network(cfg, demo.RELEASED, [mx.cpu()])
    _, scores = score(cfg, net, ordered_loader(cfg, samples[:PEOPLE]), truth, [mx.cpu()], 'test')
    assert scores[cfg.test.decode]['PCKh@0.5'] > 50


def test_the_demo_takes_it(tiny_data, tmp_path):
    photograph = str(tiny_data / 'images' / 'valid_000002.jpg')
    demo.main([photograph, '--out', str(tmp_path / 'pose.png'), '--json', str(tmp_path / 'pose.json')])
    named = ['--cfg', str(CONFIG), '--params', str(demo.RELEASED), '--out', str(tmp_path / 'named.png')]
    demo.main([photograph, *named, '--json', str(tmp_path / 'named.json')])
    assert (tmp_path / 'pose.png').read_bytes() == (tmp_path / 'named.png').read_bytes()
    assert json.loads((tmp_path / 'pose.json').read_text()) == json.loads((tmp_path / 'named.json').read_text())
