#!/bin/sh
# Sets up .venv where needed and runs the tests, several at once; options go to pytest.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
sh "$root/scripts/setup.sh" test
cd "$root"
exec .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist worksteal "$@"
