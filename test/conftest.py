"""Fixtures shared by the tests."""
from pathlib import Path

import pytest

import common                                 # before the tests import MXNet: it sets the threads

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / 'shared' / 'data'


@pytest.fixture(scope='session')
def root():
    """The project's folder."""
    return ROOT


@pytest.fixture(scope='session')
def shared():
    """The folder of real data that lies beside a developer's checkout; tests that need it are skipped elsewhere."""
    if not SHARED.is_dir():
        pytest.skip(f'the real test data is not here ({SHARED})')
    return SHARED


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory):
    """A generated data set in the MPII layout, 16 + 8 images of 96 x 96 pixels; tests that change files copy it."""
    from pose_mpii.sample import write_sample
    folder = tmp_path_factory.mktemp('data') / 'tiny'
    write_sample(folder, train=16, valid=8, size=96)
    return folder


def pytest_addoption(parser):
    parser.addoption('--all', action='store_true', help='run the long tests too')


def pytest_collection_modifyitems(config, items):
    if not config.getoption('--all'):
        for item in items:
            if item.get_closest_marker('long'):
                item.add_marker(pytest.mark.skip(reason='long; --all runs it'))
