#!/bin/sh
# Sets up .venv where needed and runs the tests; options go to pytest.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
sh "$root/scripts/setup.sh" test
cd "$root"
exec .venv/bin/python -m pytest "$@"
