#!/bin/sh
# Makes .venv in the project's folder with everything the project needs. Does nothing where that is done already.
#   sh scripts/setup.sh          to train and test
#   sh scripts/setup.sh test     what the tests need, too; likewise export, torch and benchmark (setup.py: extras_require)
# The wheel of MXNet is the one that fits the GPU (choose_wheel.py); MXNET_PACKAGE=mxnet==1.9.1 chooses another, and
# PYTHON=/path/to/python3.x the interpreter. Later calls keep the wheel; `rm -r .venv` forgets it.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
extra=${1:-}
mark=$root/.venv/complete${extra:+-$extra}
choice=$root/.venv/choice
is_done() {
    chosen=${PYTHON:-}${MXNET_PACKAGE:-}       # a choice that is not the last one makes the environment anew
    if [ -n "$chosen" ] && [ "$chosen" = "$(cat "$choice" 2>/dev/null)" ]; then chosen=; fi
    [ -z "$chosen" ] && [ -e "$mark" ] && [ "$mark" -nt "$root/setup.py" ]
}
if is_done; then exit 0; fi
exec 9>"$root/.setup.lock"                     # of several calls at once, the others wait for the first one
if command -v flock >/dev/null; then flock 9; fi
if is_done; then exit 0; fi

package=$root/.venv/mxnet-package              # the wheel that was chosen
if [ -z "${MXNET_PACKAGE:-}" ] && [ -e "$package" ]; then MXNET_PACKAGE=$(cat "$package"); fi

fits='import sys, venv, ensurepip; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 11))'
if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3.11 python3.10 python3.9 python3.8 python3 python; fi
for python in "$@"; do
    if "$python" -c "$fits" >/dev/null 2>&1; then break; fi
done
if ! "$python" -c "$fits" >/dev/null 2>&1; then
    echo "error: no Python 3.8 to 3.11 with venv found (MXNet 1.9.1 runs on no newer one). Install one, such as
  apt-get install python3.11 python3.11-venv     (Debian, Ubuntu)
  conda create -n py311 python=3.11              (anywhere)
or name it: PYTHON=/path/to/python3.11 sh scripts/setup.sh" >&2
    exit 2
fi

if [ -z "${MXNET_PACKAGE:-}" ]; then MXNET_PACKAGE=$("$python" "$root/scripts/choose_wheel.py"); fi
export MXNET_PACKAGE
case $MXNET_PACKAGE in mxnet-cu117*) extras=cuda${extra:+,$extra} ;; *) extras=$extra ;; esac

echo "Setting up $root/.venv with $("$python" --version) and $MXNET_PACKAGE" >&2
venv=$root/.venv/bin/python
if [ -n "$chosen" ] || ! "$venv" -m pip --version >/dev/null 2>&1; then "$python" -m venv --clear "$root/.venv"; fi
echo "$MXNET_PACKAGE" >"$package"
if [ -n "$chosen" ]; then echo "$chosen" >"$choice"; fi
"$venv" -m pip install --quiet --disable-pip-version-check --editable "$root${extras:+[$extras]}"

if ! "$venv" -c 'import cv2' 2>/dev/null; then          # a server without libGL
    "$venv" -m pip uninstall --quiet --yes opencv-python
    "$venv" -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall \
        opencv-python-headless==4.11.0.86
    "$venv" -c 'import cv2'
fi
driver='import ctypes; ctypes.CDLL("libcuda.so.1")'
if case $MXNET_PACKAGE in mxnet-cu*) ! "$venv" -c "$driver" 2>/dev/null ;; *) false ;; esac; then
    echo "There is no NVIDIA driver here, as where an image is built, so that whether MXNet loads was not tried" >&2
elif ! "$venv" -c 'import common, mxnet'; then
    rm -f "$root"/.venv/complete*
    echo "error: MXNet does not load (see above). On Debian and Ubuntu: apt-get install libgomp1 libquadmath0; a wheel
for another CUDA than 11.7 needs that CUDA's toolkit; MXNET_PACKAGE=mxnet==1.9.1 sh scripts/setup.sh takes the CPU's" >&2
    exit 2
fi
touch "$mark" "$root/.venv/complete"           # every extra comes with the rest of the project, ...
case $extra in test|benchmark) touch "$root/.venv/complete-export" ;; esac              # ... and these two with export
