#!/bin/sh
# Trains the experiments that a folder of results lacks, one after the other, and keeps their logs and scores there.
#   sh scripts/run_experiments.sh --data DIR --results MINE experiments/cpu/mpii/table2/*.yaml
#   sh scripts/run_experiments.sh --data DIR --results MINE --seeds 0,1,2 experiments/cpu/mpii/table2/[hri]1.yaml
#   sh scripts/paper_tables.sh --results MINE --out MINE
# A second call goes on where the first one stopped. On a CPU several calls, each on a core of its own
# (OMP_NUM_THREADS=1 taskset -c 0 sh ...) and with other networks to start from, get more done than one on all cores.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
sh "$root/scripts/setup.sh"
exec "$root/.venv/bin/python" "$root/scripts/run_experiments.py" "$@"
