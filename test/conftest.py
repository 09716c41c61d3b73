"""Fixtures shared by the tests."""
from pathlib import Path

import pytest

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
