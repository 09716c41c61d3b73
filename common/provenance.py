"""Where a result is from: the data set's name, and the project's commit."""
import os
import subprocess
from pathlib import Path
from typing import Optional

from common import config

ROOT = Path(__file__).resolve().parents[1]


def data_name(folder) -> str:
    """What a data set is called in results: its folder's own name."""
    return Path(os.path.realpath(folder)).name


def of_test(cfg, data, split) -> dict:
    """What makes a test's JSON say by itself where it is from (read by `results.collect`)."""
    return {'experiment': cfg.name, 'data': data_name(data), 'split': split, 'commit': commit(),
            'seed': cfg.train.seed, 'config': config.sections(cfg)}


def commit() -> Optional[str]:
    """The project's commit, with -dirty where files were changed since; None outside a git checkout of it."""
    if not (ROOT / '.git').exists():
        return None
    try:
        found = subprocess.run(['git', 'describe', '--always', '--dirty', '--abbrev=40'], capture_output=True,
                               text=True, cwd=ROOT)
    except OSError:                           # no git here
        return None
    return found.stdout.strip() or None
