#!/bin/sh
# Tables 2-8 and Figures 2 and 3 of the paper from results on the disk, the paper's figures beside ours.
#   sh scripts/paper_tables.sh                                      results/ -> results/tables.md and figures
#   sh scripts/paper_tables.sh --results results output --out DIR   with your own runs in output/, which win
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
sh "$root/scripts/setup.sh"
exec "$root/.venv/bin/python" "$root/scripts/paper_tables.py" "$@"
