"""Annotations in COCO's format, with keypoints of any names, as records of `layout` and the skeleton that they have."""
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import yaml

from common import files, skeleton
from common.data.images import orientation
from common.data.loader import require_readable
from common.errors import InputError
from common.guard.rules import Wrong
from common.predict.boxes import is_outside
from pose_coco.annotations import plain, read

EVERY = 5                                     # of one file, each fifth photograph is for validation
OPPOSITE = {'left': 'right', 'l': 'r'}
HEADS, NECKS = (('head', 'top'), ('top', 'head'), ('head',)), (('upper', 'neck'), ('neck',))


def read_splits(paths, images, person) -> dict:
    """{'train': records, 'valid': records, 'trainval': both} of COCO's files, with the joints of a `Skeleton`.

    paths: one file, of which each fifth photograph becomes `valid`, or those of train and valid. images: the folder of
    the photographs, each of which is read once; None: they are not looked at. InputError as `annotations.read`, where a
    photograph is missing, cannot be read or has another size than the file says, and where a split has nobody.
    """
    found = [records(path, person) for path in paths]
    for path, people in zip(paths, found):
        if not people:
            raise InputError(f'{path}: has nobody with a keypoint of the skeleton and a box')
    if images:
        sizes = {str(Path(images) / record['image']): (record['width'], record['height'])
                 for people in found for record in people}
        require_readable(sizes)
        _warn_of_turned(sizes)
    if len(found) == 1:
        chosen = {*sorted({record['image'] for record in found[0]})[EVERY - 1::EVERY]}
        if not chosen:
            raise InputError(f'{paths[0]}: has people in fewer than {EVERY} photographs; none is left to validate on')
        found = [[record for record in found[0] if (record['image'] in chosen) == valid] for valid in (False, True)]
    train, valid = found
    return {'train': train, 'valid': valid, 'trainval': train + valid}


def _warn_of_turned(sizes):
    """A warning of photographs {path: (width, height)} that their metadata turn without another size.

    By their sizes alone, nobody can tell whether their annotation is of the pixels as they are stored.
    """
    turns = {path: orientation(path) for path in sizes}
    turned = [path for path, (width, height) in sizes.items()
              if turns[path] > 1 and (turns[path] < 5 or width == height)]
    if turned:
        path, turn = turned[0], turns[turned[0]]
        print(f'warning: {path}: has EXIF orientation {turn}, and {len(turned) - 1} more have one that leaves the size '
              'as it is: keypoints and boxes are taken to be of the pixels as they are stored; if they were annotated '
              'as a viewer shows them, save the images upright', file=sys.stderr)


def records(path, person) -> list:
    """The records (`layout.read_split`) of the people in COCO's file, with `width` and `height` of their image.

    Left out are crowds, people without a keypoint of the skeleton, and those with a box below a pixel or outside of
    the photograph; a line says how many. So does one of keypoints that only one of the two has.
    """
    content, names = read(path), {name: joint for joint, name in enumerate(map(plain, person.joints))}
    places = [names.get(plain(name)) for name in content.joints]
    known = [index for index, place in enumerate(places) if place is not None]
    if not known:
        raise InputError(f'{path}: none of its keypoints ({", ".join(content.joints)}) is a joint of the skeleton '
                         f'({", ".join(person.joints)})')
    lacking = [name for joint, name in enumerate(person.joints) if joint not in places]
    for missing, what in (([content.joints[index] for index in range(len(places)) if index not in known], 'left out'),
                          (lacking, 'annotated nowhere')):
        if missing:
            print(f'warning: {path}: {what}: {", ".join(missing)}', file=sys.stderr)
    images = {image['id']: image for image in content.images}
    people, reasons = [], Counter()
    for annotation in content.people:
        keypoints = np.array(annotation['keypoints'], float).reshape(-1, 3)[known]
        reason = _useless(annotation, keypoints, images[annotation['image_id']])
        reasons.update([reason] if reason else [])
        if not reason:
            joints = np.zeros((len(person.joints), 3))
            joints[[places[index] for index in known]] = keypoints
            people.append(_record(images[annotation['image_id']], annotation['bbox'], joints))
    if reasons:
        print(f'{path}: people left out: ' + ', '.join(f'{count} {reason}' for reason, count in reasons.items()))
    return people


def _useless(annotation, keypoints, image):
    """Why a person is left out; None where it is not."""
    if annotation['iscrowd']:
        return 'crowds'
    if not keypoints[:, 2].any():
        return 'without a keypoint'
    if min(annotation['bbox'][2:]) < 1:
        return 'with a box below a pixel'
    outside = is_outside(annotation['bbox'], image['width'], image['height'])
    return 'with a box outside of the photograph' if outside else None


def _record(image, box, joints):
    """A person's record; joints: (K, 3) with COCO's flags, in COCO's 0-based pixels."""
    x, y, width, height = box
    scale, visible = max(width, height) / 200, joints[:, 2] > 0
    # COCO's boxes begin at the first pixel's edge. `dataset.person_box` moves the centre down again.
    center = [x + width / 2 + 0.5, y + height / 2 + 0.5 - 15 * scale]
    points = np.where(visible[:, np.newaxis], joints[:, :2] + 1, 0)
    return {'image': image['file_name'], 'center': [round(value, 3) for value in center], 'scale': scale,
            'joints': points.round(3), 'joints_vis': visible.astype(int),
            'width': image['width'], 'height': image['height']}


# --- the skeleton --------------------------------------------------------------------------------------------------

def write_skeleton(path, source):
    """Write the skeleton of COCO's file `source`: its keypoints' names, its limbs, and what the names tell.

    Pairs are of names that differ in left and right, or in l and r, alone: left_ankle, AnkleLeft, l.ankle, LAnkle.
    """
    content = read(source)
    joints = [' '.join(name.replace('_', ' ').split()) for name in content.joints]
    words = [tuple(word.lower() for word in skeleton.words(name)) for name in joints]
    places = {word: place for place, word in enumerate(words)}
    pairs = [(places[mirrored], place) for place, word in enumerate(words)
             for mirrored in [tuple(_right(part) for part in word)] if mirrored != word and mirrored in places]
    tree = {'joints': joints, 'flip_pairs': [[joints[a], joints[b]] for a, b in pairs],
            'limbs': [[joints[a], joints[b]] for a, b in content.limbs]}
    head, neck = (next((joints[places[word]] for word in known if word in places), None) for known in (HEADS, NECKS))
    if head and neck:
        tree['normalised_by'] = [head, neck]
    try:
        skeleton.check(tree)
    except Wrong as error:
        raise InputError(f'{source}: its keypoints make no skeleton: {error}') from None
    files.write_text(path, yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120,
                                         default_flow_style=None))
    unit = f'the distance {head} to {neck}' if head and neck else 'the box'
    print(f'{path}: {len(joints)} joints, {len(pairs)} pairs of right and left, {len(tree["limbs"])} limbs, errors '
          f'measured by {unit}: look whether that is right')


def _right(word):
    return OPPOSITE.get(word, word)
