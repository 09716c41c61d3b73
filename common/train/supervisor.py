"""Runs a command for as long as somebody is heard: what `scripts/train_dist.py` starts on a host by ssh.

    python supervisor.py SECONDS COMMAND...

Whatever comes on its standard input is a sign of life. When that ends (ssh has ended), or brings nothing for so many
seconds (the network is cut), the command and the processes that it has started are ended. A file of its own that
needs nothing but Python: it is there before the project is imported, and outlives what goes wrong with that.
"""
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

GRACE = 5                                     # seconds from being asked to end to being ended


def run(silence, *command) -> int:
    """Run the command to its end, or until nothing is heard for `silence` seconds. Returns its exit code."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=end_with_parent)
    heard = time.monotonic()
    while process.poll() is None and time.monotonic() - heard < silence:
        if select.select([0], [], [], 0.2)[0]:
            if not os.read(0, 4096):
                break
            heard = time.monotonic()
    end(process)
    return process.returncode


def end(process):
    """End a command, and all processes that are left of its session: they are asked, and then not asked."""
    for number, seconds in (signal.SIGTERM, GRACE), (signal.SIGKILL, None):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def end_with_parent():
    """Let the kernel end this process when the one that starts it is killed (Linux; prctl's PR_SET_PDEATHSIG is 1)."""
    if sys.platform == 'linux':
        import ctypes
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


if __name__ == '__main__':
    code = run(float(sys.argv[1]), *sys.argv[2:])
    sys.exit(code if code >= 0 else 128 - code)
