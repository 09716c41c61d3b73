#!/bin/sh
# Sets up .venv where needed, then `scripts/paper_tables.py`, whose --help says what it does.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
sh "$root/scripts/setup.sh"
exec "$root/.venv/bin/python" "$root/scripts/paper_tables.py" "$@"
