#!/bin/sh
# Sets up .venv where needed, then `scripts/run_experiments.py`, whose --help says what it does.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
sh "$root/scripts/setup.sh"
exec "$root/.venv/bin/python" "$root/scripts/run_experiments.py" "$@"
