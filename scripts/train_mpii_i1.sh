#!/bin/sh
# Table 2's I1: trains H1, then I1 from it, and prints both rows beside the paper's.
#   sh scripts/train_mpii_i1.sh                     MPII in data/mpii (pose_mpii/README.md), or the sample where it is absent
#   sh scripts/train_mpii_i1.sh --sample            a generated sample of drawn figures, minutes on a CPU
#   sh scripts/train_mpii_i1.sh --data DIR --cfg experiments/cpu/mpii/table2/i1.yaml      other data, other size
# --out DIR, and whatever pose_mpii/train.py takes (--gpus 0,1,2,3, --set train.epochs=6, ...). A second call goes on
# where the first one stopped.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cfg= data= out=$root/output sample= count=$#
while [ "$count" -gt 0 ]; do                  # take our own options out, keep the others
    option=$1; shift; count=$((count - 1))
    case $option in
        --sample) sample=yes ;;
        --data=*) data=${option#*=} ;;
        --cfg=*) cfg=${option#*=} ;;
        --out=*) out=${option#*=} ;;
        -h|--help) sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
        --data|--cfg|--out)
            [ "$count" -gt 0 ] || { echo "error: $option: expected a value" >&2; exit 2; }
            case $option in --data) data=$1 ;; --cfg) cfg=$1 ;; --out) out=$1 ;; esac
            shift; count=$((count - 1)) ;;
        *) set -- "$@" "$option" ;;
    esac
done
if [ -z "$sample$data" ] && [ -n "$cfg" ] && [ ! -d "$root/data/mpii" ]; then
    echo "error: --cfg $cfg: on which data? MPII is not in $root/data/mpii; name its folder, --data DIR, or --sample" >&2
    exit 2
fi
sh "$root/scripts/setup.sh"
python=$root/.venv/bin/python

if [ -z "$sample$data" ] && [ ! -d "$root/data/mpii" ]; then
    echo "MPII is not in $root/data/mpii (pose_mpii/README.md says how to get it): running on the generated sample instead"
    sample=yes
fi
if [ -n "$sample" ]; then
    data=${data:-$root/data/sample}
    cfg=${cfg:-$root/experiments/sample/table2/i1.yaml}
    "$python" "$root/pose_mpii/sample.py" --out "$data"
fi
data=${data:-$root/data/mpii}
cfg=${cfg:-$root/experiments/mpii/table2/i1.yaml}

exec "$python" "$root/pose_mpii/train.py" --cfg "$cfg" --data "$data" --out "$out" --resume "$@"
