#!/bin/sh
# Table 8's I1: trains H1, then I1 from it, and prints both rows beside the paper's.
#   sh scripts/train_coco_i1.sh                     COCO in data/coco
#   sh scripts/train_coco_i1.sh --data DIR --cfg experiments/cpu/coco/table8/i1.yaml      other data, other size
# And whatever else pose_coco/train.py takes (--gpus 0,1,2,3, --out DIR, --set train.epochs=6, ...). A second call goes
# on where the first one stopped.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
data=$root/data/coco
case " $* " in
    *" -h "*|*" --help "*) sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
    *" --data"[\ =]*) ;;
    *) if [ ! -d "$data" ]; then
        echo "error: COCO is not in $data. From http://images.cocodataset.org unpack there zips/train2017.zip,
zips/val2017.zip and annotations/annotations_trainval2017.zip (19 GB in all), or name its folder: --data DIR" >&2
        exit 2
    fi ;;
esac
sh "$root/scripts/setup.sh"
exec "$root/.venv/bin/python" "$root/pose_coco/train.py" --cfg "$root/experiments/coco/table8/i1.yaml" \
    --data "$data" --out "$root/output" --resume "$@"
