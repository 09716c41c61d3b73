"""Reads MATLAB files by SciPy, which trusts what a file says of itself.

Where that is wrong, SciPy crashes or takes all memory. So a copy of this process reads a file first, within limits.
Where that ends well, it is read here.
"""
import os
import resource
import signal
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from scipy.io import loadmat
from scipy.io.matlab import MatReadWarning

# MPII's release, the largest file there is to read, is estimated to take half of it.
MOST_MEMORY = 768 << 20                       # bytes, of what SciPy makes of a file
MOST_SECONDS = 60                             # of the processor's time, and twice of the clock's


def read(content, **options) -> dict:
    """The variables in `content`, the bytes of a MATLAB file, -v6 or -v7; options as of SciPy's `loadmat`.

    ValueError, or one of a dozen kinds of SciPy's, where it is damaged, foreign, or too large.
    """
    trial = os.fork()                         # in milliseconds, where a new process would have to import SciPy
    if trial == 0:
        _try(content, options)
    if os.waitpid(trial, 0)[1]:
        raise ValueError('damaged, or too large')
    return loadmat(BytesIO(content), **options)


def _try(content, options):
    """End this process, by 0 if the file can be read."""
    try:
        _limit()
        warnings.simplefilter('error', MatReadWarning)         # of what cannot be read, or stands there twice
        loadmat(BytesIO(content), **options)
        os._exit(0)
    finally:
        os._exit(1)


def _limit():
    """Let this process end rather than take more than the most."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    signal.alarm(2 * MOST_SECONDS)
    with suppress(OSError, ValueError):       # where no /proc is, or a lower limit holds already
        taken = int(Path('/proc/self/statm').read_text(encoding='ascii').split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MOST_MEMORY, taken + MOST_MEMORY))
