"""NVIDIA's libraries of CUDA 11 as PyPI has them, for the MXNet that is built for CUDA.

`mxnet-cu117` looks for them where a CUDA toolkit would be, which hardly any machine has any more. A library that is
loaded already is not looked for; so they are loaded, by their paths, before MXNet is. `scripts/setup.sh` installs them
with that wheel (setup.py: `cuda`). Imported by `common/__init__.py`.
"""
import ctypes
import os
import sys
from importlib import util
from pathlib import Path

# In this order, for some need others.
LIBRARIES = ('cuda_runtime/lib/libcudart.so.11.0', 'cuda_nvrtc/lib/libnvrtc.so.11.2', 'nvtx/lib/libnvToolsExt.so.1',
             'cublas/lib/libcublasLt.so.11', 'cublas/lib/libcublas.so.11', 'cudnn/lib/libcudnn.so.8',
             'cufft/lib/libcufft.so.10', 'curand/lib/libcurand.so.10', 'cusparse/lib/libcusparse.so.11',
             'cusolver/lib/libcusolver.so.11', 'nccl/lib/libnccl.so.2')
WHEEL = 'mxnet-cu117'
COMPILER = 11080                              # the CUDA that libnvrtc.so.11.2 is of (setup.py)


def prepare():
    """Load the driver's library and the others; for where MXNet's wheel for CUDA is installed.

    Without a driver that wheel cannot be imported: one line says so, and the program ends. A library that is not among
    the packages is left to MXNet, which looks for a toolkit's; so is one that does not load, after a warning.

    MXNet compiles chains of element-wise operators while it runs, by the compiler among these libraries. Drivers older
    than that cannot read what it writes; for them this is off, unless MXNET_USE_FUSION is set.
    """
    try:
        driver = ctypes.CDLL('libcuda.so.1', mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        print(f'error: {error}. {WHEEL} needs an NVIDIA driver, and a container has to be given it (docker run --gpus '
              'all). MXNET_PACKAGE=mxnet==1.9.1 sh scripts/setup.sh does without a GPU', file=sys.stderr)
        sys.exit(2)
    if newest_cuda(driver) < COMPILER:
        os.environ.setdefault('MXNET_USE_FUSION', '0')
    package = util.find_spec('nvidia')
    for folder in package.submodule_search_locations if package else ():
        for path in (Path(folder, name) for name in LIBRARIES):
            if path.exists():
                load(path)


def newest_cuda(driver) -> int:
    """The newest CUDA that a driver runs, such as 11080 for 11.8; 0 where it does not say."""
    number = ctypes.c_int()
    return number.value if driver.cuDriverGetVersion(ctypes.byref(number)) == 0 else 0


def load(path):
    """Load a library, so that all that come after it find it; a warning where that fails."""
    try:
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        print(f'warning: {path} does not load ({error}); MXNet looks for another one', file=sys.stderr)
