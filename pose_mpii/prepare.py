"""Converts annotations of MPII, of Leeds Sports Pose Extended, or in COCO's format, into the layout of `layout`.

    python pose_mpii/prepare.py --mat mpii_human_pose_v1_u12_1.mat --out DIR [--images DIR]
    python pose_mpii/prepare.py --lsp LSPET --out DIR
    python pose_mpii/prepare.py --coco JSON [JSON] --out DIR --images DIR [--skeleton YAML]

JSON holds people with keypoints of any names (`from_coco.py`); every fifth photograph becomes valid, unless that is the
second JSON. Where there is no DIR/skeleton.yaml yet, it is written from the names. LSPET is the folder of that release
(`lsp.py`): train and valid are made of it. Of MPII:

valid     the 2,958 people of `valid_list.csv`, in its order: the validation split of Tompson et al. (CVPR 2015) that
          Stacked Hourglass, Simple Baselines and the paper ("following previous common practice") report on.
train     the people of training images without a validation person. Others in the same image as a validation person
          are left out, as in the train.json of Simple Baselines (22,246 people): they would show the network the
          validation images.
trainval  every annotated person of every training image, those of valid and those left out of train included: the
          "29k training samples" the paper trains on for the test set.
test      every person of the test images that has a position and a scale, with `person`, the 0-based place in the
          image's annorect, where a submission has to put the 16 points.

The first three need annotated points, a position and a scale; gt_valid.mat also needs the head box.
"""
import argparse
import csv
import os
import sys
from pathlib import Path

if not __package__:                       # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from common import skeleton
from common.errors import InputError
from common.files import check_outputs, make_folder
from common.programs.cli import run
from pose_mpii import from_coco
from pose_mpii.layout import annotation_file, ground_truth_file, write_ground_truth, write_split
from pose_mpii.lsp import read_lsp
from pose_mpii.release import read_release


def validation_people() -> list:
    """(image, index) of the people of the validation split, in its order."""
    with open(Path(__file__).with_name('valid_list.csv'), newline='', encoding='utf-8') as file:
        return [(row['image'], int(row['person'])) for row in csv.DictReader(file)]


def split_people(people) -> dict:
    """Split names -> lists of `release.Person` (see above)."""
    chosen = validation_people()
    usable = [person for person in people if person.center is not None and person.scale is not None]
    trainval = [person for person in usable if person.is_train and person.visible.any()]
    by_key = {(person.image, person.index): person for person in trainval if person.head_box is not None}
    validation_images = {image for image, _ in chosen}
    return {'train': [person for person in trainval if person.image not in validation_images],
            'valid': [by_key[key] for key in chosen if key in by_key],
            'trainval': trainval,
            'test': [person for person in usable if not person.is_train]}


def read_mpii(path) -> dict:
    """`split_people` of a release; says how many of the official validation split are missing, InputError if all."""
    splits = split_people(read_release(path))
    if not splits['valid']:
        raise InputError(f'{path}: annotates nobody of the official validation split')
    missing = len(validation_people()) - len(splits['valid'])
    if missing:
        print(f'left out: {missing} people of the official validation split that {path} does not annotate')
    return splits


def to_record(person, split) -> dict:
    """The record of `layout.read_split` for a person."""
    record = {'image': person.image, 'center': person.center, 'scale': person.scale}
    if split == 'test':
        return {**record, 'person': person.index}
    return {**record, 'joints': person.joints, 'joints_vis': person.visible.astype(int)}


def check_link(images, out):
    """InputError unless OUT/images can become a link to the folder of photographs."""
    link = out / 'images'
    if not images.is_dir():
        raise InputError(f'{images}: no such folder of photographs (--images)')
    if link.exists() and not link.is_symlink() and not os.path.samefile(link, images):
        raise InputError(f'{link}: cannot be made a link to {images} (it exists, and is no link)')


def link_images(images, out):
    """Make OUT/images a link to the folder of photographs."""
    check_link(images, out)
    link = out / 'images'
    try:
        if not (link.exists() and os.path.samefile(link, images)):
            if link.is_symlink():             # an earlier one, of another folder
                link.unlink()
            link.symlink_to(images.resolve())
    except OSError as error:
        raise InputError(f'{link}: cannot be made a link to {images} ({error.strerror})') from None


def prepare_release(people, out, images):
    """Write the splits {name: `release.Person`s} of a release, and the ground truth of valid."""
    valid = people['valid']
    if images:
        link_images(images, out)
        if not any((images / person.image).exists() for person in valid):
            print(f'warning: {images}: has none of the photographs, such as {valid[0].image}', file=sys.stderr)
    write_splits(out, {split: [to_record(person, split) for person in members] for split, members in people.items()})
    write_ground_truth(ground_truth_file(out, 'valid'), *(
        np.stack([getattr(person, field) for person in valid]) for field in ('joints', 'visible', 'head_box')))
    print(f'gt_valid.mat: {len(valid)} people')


def prepare_coco(paths, out, images, named):
    """Write the splits of one or two files in COCO's format; named: the skeleton's file, None for the one in OUT."""
    if len(paths) > 2:
        raise InputError(f'--coco: {len(paths)} files; expected one, or one of train and one of valid')
    path = named or out / 'skeleton.yaml'
    check_outputs([annotation_file(out, split) for split in ('train', 'valid', 'trainval')], [*paths, path])
    if images:
        check_link(images, out)
    if not named and not path.exists():
        from_coco.write_skeleton(path, paths[0])
    splits = from_coco.read_splits(paths, images, skeleton.read(path))
    if images:
        link_images(images, out)
    write_splits(out, splits)


def write_splits(out, splits):
    """Write {split: records}."""
    for split, records in splits.items():
        write_split(out, split, records)
        print(f'{split}.json: {len(records)} people')


def main(argv=None):
    parser = argparse.ArgumentParser(description='Convert annotations to train, valid, trainval and test.json.')
    release = parser.add_mutually_exclusive_group(required=True)
    release.add_argument('--mat', type=Path, metavar='FILE', help='mpii_human_pose_v1_u12_1.mat')
    release.add_argument('--lsp', type=Path, metavar='DIR', help='Leeds Sports Pose Extended: joints.mat and images/')
    release.add_argument('--coco', type=Path, nargs='+', metavar='JSON',
                         help="people's keypoints in COCO's format: of all, or one file of train and one of valid")
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='the files are written to DIR/annot')
    parser.add_argument('--images', type=Path, metavar='DIR', help='the photographs; DIR/images becomes a link to them')
    parser.add_argument('--skeleton', type=Path, metavar='YAML',
                        help='of --coco: the joints (default: DIR/skeleton.yaml, written from the names if absent)')
    args = parser.parse_args(argv)
    if args.skeleton and not args.coco:
        raise InputError(f'--skeleton {args.skeleton}: is of --coco; the others have their own joints')

    make_folder(args.out)
    images = args.images or (args.lsp and args.lsp / 'images')
    if args.coco:
        prepare_coco(args.coco, args.out, images, args.skeleton)
    else:
        prepare_release(read_lsp(args.lsp) if args.lsp else read_mpii(args.mat), args.out, images)
    if not images:
        print(f'put the photographs in {args.out / "images"}')


if __name__ == '__main__':
    run(main)
