#!/bin/sh
# Trains with several processes on MXNet's distributed kvstore: its scheduler, and a server for each worker.
#   sh scripts/train_dist.sh 2 --cfg YAML --data DIR ...          2 workers on this machine, which share its cores
#   sh scripts/train_dist.sh hosts.txt --cfg YAML --data DIR ...  a worker on each host of the file, one a line, by ssh
# And whatever else pose_*/train.py takes; --kvstore dist_device_sync sums up a host's gradients on its devices instead
# of its CPU. train.batch_size is that of each worker. The hosts need this folder, set up, and the data under the same
# paths, a shared file system for --out, ssh without a password, and a trusted network with all ports open between them:
# MXNet asks nobody who he is, and whoever reaches its ports can change or end a training. Hosts are given the variables
# OMP_NUM_THREADS, MXNET_*, PS_* and CUDA_DEVICE_ORDER from here; each has a CUDA_VISIBLE_DEVICES of its own.
# All have to find each other within 120 s (--join SECONDS). When one process dies, the others are stopped within
# seconds (a host that does not answer: 20 s); --resume goes on from the last epoch. What runs on a host ends by itself
# when it has not heard from this machine for 30 s, so let this program run (no Ctrl-Z).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
case ${1:-} in ''|-h|--help) sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac
sh "$root/scripts/setup.sh"
exec "$root/.venv/bin/python" "$root/scripts/train_dist.py" "$@"
