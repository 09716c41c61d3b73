"""A long training needs no more memory than a short one."""
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runs import arguments, folder


def peak(process):
    """The most resident memory that a process has had so far, in MiB."""
    status = Path(f'/proc/{process.pid}/status').read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith('VmHWM'))


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('minutes', [0.25, pytest.param(60, marks=pytest.mark.long)])
def test_memory_stays_flat_after_the_first_epochs(root, tiny_data, tmp_path, minutes):
    options = arguments('i1', tiny_data, tmp_path, '--set', 'train.epochs=100000', '--set', 'train.start_from=')
    process = subprocess.Popen([sys.executable, str(root / 'pose_mpii/train.py'), *options],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = folder(tmp_path, 'i1') / 'log.jsonl'
    while not log.exists() or log.read_text().count('\n') < 3:
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(6 * minutes)                   # these epochs have three steps: heaps find their size in some hundreds
    first = peak(process)
    time.sleep(54 * minutes)
    last = peak(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    print(f'{first:.0f} MiB in a tenth of {minutes} minutes, {last:.0f} MiB in all of them')
    assert last <= 1.02 * first
