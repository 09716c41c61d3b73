#!/bin/sh
# Fetches public parameters into models/ (models/README.md says what they are and how to use them).
#   sh scripts/download_models.sh                         GluonCV's six: ImageNet and SimplePose, ResNet-18, -50, -101
#   sh scripts/download_models.sh simple_pose_resnet50_v1b       those named, as GluonCV's model store calls them
# What is there already is not fetched again.
set -eu
case ${1:-} in -h|--help) sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
sh "$root/scripts/setup.sh"
if [ $# -eq 0 ]; then
    set -- resnet18_v1b resnet50_v1b resnet101_v1b
    for backbone in "$@"; do set -- "$@" "simple_pose_$backbone"; done
fi
unset MXNET_HOME                               # GluonCV would write there
cd "$root"
exec .venv/bin/python - "$@" <<'END'
import os
import sys
import tempfile

from common import files, runtime
from common.errors import InputError
from common.programs.cli import run

runtime.import_gluoncv()                      # before anything of it: out of its sight is PyTorch
from gluoncv.model_zoo.model_store import get_model_file, short_hash
from gluoncv.utils import check_sha1
from requests import RequestException


def fetch(name, folder):
    """Put a model of GluonCV's store into the folder, whole and with the right SHA-1 or not at all; its path."""
    try:
        path = folder / f'{name}-{short_hash(name)}.params'
        if not (path.exists() and check_sha1(path, short_hash(name))):
            with tempfile.TemporaryDirectory(prefix='.download-', dir=folder) as temporary:
                os.replace(get_model_file(name, root=temporary), path)
        return path
    except RequestException as error:
        raise InputError(f'{name}: GluonCV\'s model store does not answer ({type(error).__name__}); are you '
                         'online?') from None
    except Exception as error:                # unknown, gone, a broken zip, another SHA-1, a full disk
        raise InputError(f'{name}: cannot be fetched from GluonCV\'s model store ({error})') from None


def main():
    folder = files.make_folder('models')
    for name in sys.argv[1:]:
        print(fetch(name, folder), flush=True)


run(main)
END
