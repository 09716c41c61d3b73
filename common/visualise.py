"""Pictures of poses."""
from pathlib import Path

import cv2
import numpy as np

from common import files
from common.errors import InputError

RIGHT, LEFT, MIDDLE = (255, 112, 67), (66, 165, 245), (255, 213, 79)            # RGB of a person's sides
SHIFT = 4                                     # OpenCV draws at 1/16 of a pixel


def draw_skeleton(image, joints, limbs, sides, shown=None):
    """Draw a person's skeleton on a copy of `image`, uint8 (H, W, 3) RGB; lines are as thick as the person is large.

    joints: (K, 2) 0-based pixels; limbs: pairs of joints; sides: a letter a joint, R, L or another for the middle;
    shown: (K,), joints to draw (default all that are finite).
    """
    image = np.array(image)
    shown = np.isfinite(joints).all(axis=1) & (True if shown is None else np.asarray(shown, bool))
    if not shown.any():
        return image
    extent = np.ptp(joints[shown], axis=0).max()
    thickness = max(1, round(extent / 50))
    colours = [{'R': RIGHT, 'L': LEFT}.get(side, MIDDLE) for side in sides]
    points = [tuple(int(v) for v in np.round(np.nan_to_num(p) * 2 ** SHIFT)) for p in joints]
    for a, b in limbs:
        if shown[a] and shown[b]:
            side = a if sides[a] in 'RL' else b
            cv2.line(image, points[a], points[b], colours[side], thickness, cv2.LINE_AA, SHIFT)
    for point, colour, draw in zip(points, colours, shown):
        if draw:
            cv2.circle(image, point, (thickness + 1) << SHIFT, (255, 255, 255), -1, cv2.LINE_AA, SHIFT)
            cv2.circle(image, point, thickness << SHIFT, colour, -1, cv2.LINE_AA, SHIFT)
    return image


def sheet(images, columns=6):
    """Images of one size in a grid, as one image; the rest of the last row is white."""
    rows = -(-len(images) // columns)
    blank = np.full_like(images[0], 255)
    cells = list(images) + [blank] * (rows * columns - len(images))
    return np.vstack([np.hstack(cells[row * columns:(row + 1) * columns]) for row in range(rows)])


def check_suffix(path):
    """InputError if a picture cannot be written under this name."""
    if Path(path).suffix.lower() not in ('.png', '.jpg', '.jpeg'):
        raise InputError(f'{path}: pictures are written as .png or .jpg')


def save(path, image):
    """Write an RGB image to `path` (see `files.replacing`), as its suffix says."""
    check_suffix(path)
    encoded = cv2.imencode(Path(path).suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    with files.replacing(path) as temporary:
        temporary.write_bytes(encoded)
