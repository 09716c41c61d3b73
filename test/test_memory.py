"""A long training needs no more memory than a short one."""
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import arguments, folder

from pose_mpii.sample import write_sample


def peak(process):
    """The most resident memory that a process has had so far, in MiB."""
    status = Path(f'/proc/{process.pid}/status').read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith('VmHWM'))


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('images, minutes', [(16, 0.25), pytest.param(500, 60, marks=pytest.mark.long)])
def test_memory_stays_flat_after_the_first_epochs(root, tmp_path, images, minutes):
    """The long form has epochs of 84 steps: in some hundreds of steps heaps find their size."""
    write_sample(tmp_path / 'data', train=images, valid=8, size=96)
    options = arguments('i1', tmp_path / 'data', tmp_path, '--set', 'train.epochs=100000', '--set', 'train.start_from=')
    process = subprocess.Popen([sys.executable, str(root / 'pose_mpii/train.py'), *options],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = folder(tmp_path, 'i1') / 'log.jsonl'
    while not log.exists() or log.read_text().count('\n') < 8:
        assert process.poll() is None
        time.sleep(0.1)
    first = peak(process)
    time.sleep(60 * minutes)
    last = peak(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    print(f'{first:.0f} MiB in eight epochs, {last:.0f} MiB in the {minutes} minutes after them')
    assert last <= 1.02 * first
