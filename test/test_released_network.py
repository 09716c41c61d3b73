"""The network in models/: its card is true, it finds people, and the demo takes it without being told."""
import hashlib
import json

import mxnet as mx

from common import config, results
from common.dataset import People, Source
from common.predict import inference
from common.programs.test import predict_and_score
from pose_mpii import demo
from pose_mpii.dataset import MPII
from pose_mpii.pckh import METRICS

RELEASED = MPII.released
CONFIG, CARD = RELEASED.with_suffix('.yaml'), RELEASED.with_suffix('.json')
PEOPLE = 64


def test_the_card_is_of_this_file(root):
    content = RELEASED.read_bytes()
    assert len(content) < 30e6
    assert hashlib.sha256(content).hexdigest() in (root / 'models/README.md').read_text()


def test_the_card_has_the_scores_of_the_test(root):
    result = json.loads(CARD.read_text())
    assert result['split'] == 'valid' and not results.departures(result, config.load(CONFIG))
    lines = (root / 'models/README.md').read_text().splitlines()
    for decoding, scores in result['decodings'].items():
        assert f'| {decoding} | ' + ' | '.join(f'{scores[key]:.1f}' for key in METRICS) + ' |' in lines


def test_it_finds_people_in_photographs_it_was_not_trained_on(shared):
    cfg = config.load(CONFIG)
    samples, truth, _ = MPII.people(Source(shared / 'lspet_mpii', 'valid'), cfg.input.size)
    people = People(samples[:PEOPLE], [part[:PEOPLE] for part in truth])
    net = inference.load_network(cfg, RELEASED, [mx.cpu()])
    _, _, scores = predict_and_score(MPII, cfg, net, people, [mx.cpu()], 'test')
    assert scores[cfg.test.decode]['PCKh@0.5'] > 50


def test_the_demo_takes_it(tiny_data, tmp_path):
    photograph = str(tiny_data / 'images' / 'valid_000002.jpg')
    demo.main([photograph, '--out', str(tmp_path / 'pose.png'), '--json', str(tmp_path / 'pose.json')])
    named = ['--cfg', str(CONFIG), '--params', str(RELEASED), '--out', str(tmp_path / 'named.png')]
    demo.main([photograph, *named, '--json', str(tmp_path / 'named.json')])
    assert (tmp_path / 'pose.png').read_bytes() == (tmp_path / 'named.png').read_bytes()
    assert json.loads((tmp_path / 'pose.json').read_text()) == json.loads((tmp_path / 'named.json').read_text())
