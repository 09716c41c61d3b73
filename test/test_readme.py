"""What the pages say is true as far as a program can tell: their code runs, their commands and links exist."""
import json
import os
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from common import export
from pose_mpii import demo
from pose_mpii.dataset import MPII
from pose_mpii.skeleton import JOINTS

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ('common', 'experiments', 'models', 'pose_coco', 'pose_mpii', 'results', 'scripts')
PAGES = sorted([*ROOT.glob('*.md'), *(page for folder in FOLDERS for page in (ROOT / folder).rglob('*.md'))])
COMMAND = re.compile(r'(?:sh|python) ((?:scripts|pose_mpii|pose_coco|test)/[\w/.]+|-m common\.\w+)')
CODE = re.compile(r'^ *```.*?^ *```', re.M | re.S)

each_page = pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture(scope='module')
def readme():
    return (ROOT / 'README.md').read_text()


@lru_cache(maxsize=None)
def options():
    """Every --option that a program or script of the project mentions."""
    paths = [path for folder in ('common', 'pose_mpii', 'pose_coco', 'scripts', 'test')
             for suffix in ('py', 'sh') for path in (ROOT / folder).rglob(f'*.{suffix}')]
    return {option for path in paths if path != Path(__file__).resolve()
            for option in re.findall(r'--[a-z][a-z0-9-]*', path.read_text())}


def commands(text):
    """The commands of a page: lines of code, continued ones joined, and code within sentences."""
    lines = text.replace('\\\n', ' ').splitlines()
    found = [line.strip() for line in lines if re.match(r' {4,}\S', line)] + re.findall(r'`([^`\n]+)`', text)
    return [command for command in found if COMMAND.search(command)]


def anchors(page):
    """The names that GitHub gives to a page's headings."""
    headings = re.findall(r'^#+ (.+)$', page.read_text(), re.M)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def test_the_readme_is_short(readme):
    assert len(readme.split()) <= 1000


def test_its_python_finds_the_joints_of_a_photograph(readme, tiny_data):
    code = re.search(r'^## From Python\n+```python\n(.*?)^```', readme, re.M | re.S).group(1)
    photograph = tiny_data / 'images' / 'valid_000002.jpg'
    assert code.count("'photo.jpg'") == 1
    run = subprocess.run([sys.executable, '-c', code.replace("'photo.jpg'", repr(str(photograph)))], cwd=ROOT,
                         capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': ''})
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert [line.partition(':')[0] for line in lines] == list(JOINTS)
    assert all(re.fullmatch(r'[a-z ]+: x -?\d+\.\d, y -?\d+\.\d, score [01]\.\d\d', line) for line in lines)


def test_its_deployed_network_finds_what_the_demo_does(readme, tiny_data, tmp_path):
    code = re.search(r'^## Deploy\n.*?```python\n(.*?)^```', readme, re.M | re.S).group(1)
    assert len([line for line in code.splitlines() if line]) <= 15
    photograph, (x, y, w, h) = tiny_data / 'images' / 'valid_000002.jpg', (10, 4, 60, 80)
    export.main(['--cfg', str(MPII.released.with_suffix('.yaml')), '--params', str(MPII.released), '--onnx',
                 '--out', str(tmp_path / 'exported')])
    for given, here in (("'photo.jpg'", repr(str(photograph))), ('310, 80, 280, 460', f'{x}, {y}, {w}, {h}')):
        assert code.count(given) == 1
        code = code.replace(given, here)
    run = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    demo.main(['--params', str(tmp_path / 'exported/i1_resnet18.onnx'), str(photograph), '--out',
               str(tmp_path / 'pose.png'), '--json', str(tmp_path / 'pose.json'),
               '--box', f'{x - w / 8},{y - h / 8},{1.25 * w},{1.25 * h}'])
    joints = json.loads((tmp_path / 'pose.json').read_text())[0]['joints']
    lines = re.findall(r'^(.*) \[ *(\S+) +(\S+) *\] (\S+)$', run.stdout, re.M)
    assert [name for name, *_ in lines] == [joint['name'] for joint in joints] == list(JOINTS)
    np.testing.assert_allclose(np.float64([numbers for _, *numbers in lines]),
                               [[joint['x'], joint['y'], joint['score']] for joint in joints], atol=0.06)


def test_its_models_have_the_scores_of_their_cards(readme):
    rows = re.findall(r'^\| \[`(\w+)`\].*\| ([\d.]+ / [\d.]+ / [\d.]+)', readme, re.M)
    assert rows
    for name, scores in rows:
        card = json.loads((ROOT / f'models/{name}.json').read_text())
        assert scores == ' / '.join(f'{card[metric]:.1f}' for metric in ('PCKh@0.5', 'PCKh@0.1', 'AUC'))


@each_page
def test_its_commands_exist(page):
    for command in commands(page.read_text()):
        name = COMMAND.search(command).group(1)
        module = name.replace('-m ', '').replace('.', '/')
        paths = [ROOT / f'{module}.py', ROOT / module / '__main__.py'] if name.startswith('-m') else [ROOT / name]
        assert any(path.is_file() for path in paths), command
        for experiment in re.findall(r'(?<![\w/])experiments/\S+?\.yaml', command):
            assert list(ROOT.glob(experiment)), command
        assert set(re.findall(r'(?<=\s)--[a-z][a-z0-9-]*', command)) <= options(), command


@each_page
def test_its_links_exist(page):
    for link in re.findall(r'\]\(([^)\s]+)\)', CODE.sub('', page.read_text())):
        path, _, anchor = link.partition('#')
        if not re.match(r'[a-z]+:', link):
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link
