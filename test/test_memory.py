"""A long training needs no more memory than a short one."""
import signal
import subprocess
import sys
import time
from pathlib import Path

import narrow
import pytest
from runs import arguments, folder

from pose_mpii.sample import write_sample


def peak(process):
    """The most resident memory that a process has had so far, in MiB."""
    status = Path(f'/proc/{process.pid}/status').read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith('VmHWM'))


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('images, epochs', [(16, 24), pytest.param(500, 500, marks=pytest.mark.long)])
def test_memory_stays_flat_after_the_first_epochs(root, tmp_path, images, epochs):
    """The long form has epochs of 84 steps: in some hundreds of steps heaps find their size."""
    write_sample(tmp_path / 'data', train=images, valid=8, size=96)
    options = arguments('i1', tmp_path / 'data', tmp_path, '--set', 'train.epochs=100000', '--set', 'train.start_from=')
    process = subprocess.Popen([sys.executable, narrow.__file__, str(root / 'pose_mpii/train.py'), *options],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log, peaks = folder(tmp_path, 'i1') / 'log.jsonl', []
    for lines in (8, epochs):
        while not log.exists() or log.read_text().count('\n') < lines:
            assert process.poll() is None
            time.sleep(0.1)
        peaks.append(peak(process))
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    print('{:.0f} MiB in eight epochs, {:.0f} MiB in {}'.format(*peaks, epochs))
    assert peaks[1] <= 1.02 * peaks[0]
