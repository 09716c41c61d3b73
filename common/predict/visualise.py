"""Pictures of poses and heat maps."""
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from common import files, grid
from common.data.crop import crop_matrix, crop_sample, transform_points
from common.errors import InputError

RIGHT, LEFT, MIDDLE = (255, 112, 67), (66, 165, 245), (255, 213, 79)            # RGB of a person's sides
TRUTH = (255, 255, 255)                       # of annotated joints
PEOPLES = ((124, 179, 66), (171, 71, 188), (0, 172, 193), (255, 202, 40), (236, 64, 122), (141, 110, 99))
SHIFT = 4                                     # OpenCV draws at 1/16 of a pixel
SUFFIXES = ('.png', '.jpg', '.jpeg')
FAINT = 0.35                                  # opacity of what is uncertain
PEOPLE, COLUMNS = 24, 6                       # on a sheet of predictions, and in one row of it
OPACITY = 0.8                                 # of a heat map's maximum over a picture


def draw_skeleton(image, joints, limbs, sides, shown=None, faint=None) -> np.ndarray:
    """Draw a person's skeleton on a copy of `image`, uint8 (H, W, 3) RGB; lines are as thick as the person is large.

    joints: (K, 2) 0-based pixels; limbs: pairs of joints; sides: a letter a joint, R, L, M for the middle, or T for
    the truth; shown: (K,), joints to draw (default all; never those that are not finite); faint: (K,), joints to draw
    faintly with their limbs (default none).
    """
    image = np.array(image)
    drawable = (np.abs(joints) < 1e6).all(axis=1)                               # OpenCV's integers end somewhere
    shown = drawable & (True if shown is None else np.asarray(shown, bool))
    faint = np.zeros(len(joints), bool) if faint is None else np.asarray(faint, bool)
    if not shown.any():
        return image
    thickness = max(1, round(np.ptp(joints[shown], axis=0).max() / 60))
    limbs = [(a, b) for a, b in limbs if shown[a] and shown[b]]
    weak = [(a, b) for a, b in limbs if faint[a] or faint[b]]
    if (shown & faint).any():
        layer = image.copy()
        _draw(layer, joints, weak, shown & faint, sides, thickness)
        image = cv2.addWeighted(layer, FAINT, image, 1 - FAINT, 0)
    _draw(image, joints, [limb for limb in limbs if limb not in weak], shown & ~faint, sides, thickness)
    return image


def draw_person(image, joints, person, shown, faint=None) -> np.ndarray:
    """`draw_skeleton` of a `skeleton.Skeleton`, with the limbs of `limbs_of`."""
    return draw_skeleton(image, joints, limbs_of(person, shown), person.sides, shown, faint)


def limbs_of(person, shown) -> tuple:
    """The limbs of a `skeleton.Skeleton`; where an optional joint is not among `shown` (K,), those without it, too."""
    return person.limbs if np.asarray(shown)[list(person.optional)].all() else person.limbs + person.detours


def draw_box(image, box, number):
    """Draw a person's box (x, y, width, height), by its number of a colour, into an image, uint8 (H, W, 3) RGB."""
    start, end = np.subtract(box[:2], 0.5), np.add(box[:2], box[2:]) - 0.5
    start, end = (np.clip(corner, -1e5, 1e5) for corner in (start, end))
    thickness = max(1, round(max(image.shape[:2]) / 400))
    cv2.rectangle(image, _fixed(start), _fixed(end), PEOPLES[number % len(PEOPLES)], thickness, cv2.LINE_AA, SHIFT)


def _draw(image, joints, limbs, shown, sides, thickness):
    for a, b in limbs:
        ends = {sides[a], sides[b]} - {'M'}
        colour = _colour(ends.pop() if len(ends) == 1 else 'M')                 # from right to left is neither side's
        cv2.line(image, _fixed(joints[a]), _fixed(joints[b]), colour, thickness, cv2.LINE_AA, SHIFT)
    for point, side in zip(joints[shown], np.array(list(sides))[shown]):
        mark(image, point, side, thickness)


def mark(image, point, side, radius):
    """Draw a joint at `point`, 0-based pixels, as a disc with a white rim into `image`, uint8 (H, W, 3) RGB."""
    for reach, colour in ((radius + 1, (255, 255, 255)), (radius, _colour(side))):
        cv2.circle(image, _fixed(point), reach << SHIFT, colour, -1, cv2.LINE_AA, SHIFT)


def _colour(side):
    return {'R': RIGHT, 'L': LEFT, 'M': MIDDLE, 'T': TRUTH}[side]


def _fixed(point):
    """A point as OpenCV takes it."""
    return tuple(int(v) for v in np.round(np.asarray(point) * 2 ** SHIFT))


def overlay(image, heatmap, kind='centre') -> np.ndarray:
    """A heat map (h, w) over the picture it tiles, in grey: uint8 (H, W, 3) RGB -> the same.

    kind: of the grid on which the map lies (`common.grid`); between the centres of cells it is interpolated. Negative
    values count as 0, and the maximum gets the full colour: the hotter, the less of the picture is seen.
    """
    heat = np.maximum(heatmap, 0).astype(np.float32)
    heat /= max(heat.max(), np.finfo(np.float32).tiny)
    (height, width), (rows, columns) = image.shape[:2], heat.shape
    x, y = width / columns, height / rows     # a cell's width and height in the picture
    to_picture = np.array([[x, 0, grid.to_pixels(0, x, kind)], [0, y, grid.to_pixels(0, y, kind)]])
    heat = cv2.warpAffine(heat, to_picture, (width, height), borderMode=cv2.BORDER_REPLICATE)
    alpha = OPACITY * heat[..., None]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    colour = 255 * matplotlib.colormaps['turbo'](heat)[..., :3]
    return np.round((1 - alpha) * grey + alpha * colour).astype(np.uint8)


def labelled(pictures, captions, labels=(), inches=2.0) -> np.ndarray:
    """Pictures in a grid with text, as one RGB image.

    pictures: rows of images (H, W, 3), all of one shape; captions: rows of the texts above them; labels: texts at the
    left of the rows; inches: a picture's width (100 pixels an inch).
    """
    height, width = pictures[0][0].shape[:2]
    rows, columns = len(pictures), len(pictures[0])
    lines = sum(any(texts) for texts in captions)
    inches_high = rows * (inches * height / width + 0.08) + 0.25 * lines
    figure = Figure((columns * (inches + 0.08) + 0.25 * bool(labels), inches_high), dpi=100, constrained_layout=True)
    axes = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        for column in range(columns):
            cell = axes[row, column]
            cell.imshow(pictures[row][column])
            cell.set(xticks=[], yticks=[], title=captions[row][column])
        if labels:
            axes[row, 0].set_ylabel(labels[row])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def sheet(images) -> np.ndarray:
    """Images of one size in a grid, as one image; the rest of the last row is white."""
    rows = -(-len(images) // COLUMNS)
    blank = np.full_like(images[0], 255)
    cells = list(images) + [blank] * (rows * COLUMNS - len(images))
    return np.vstack([np.hstack(cells[row * COLUMNS:(row + 1) * COLUMNS]) for row in range(rows)])


def predictions(samples, joints, person, trained) -> np.ndarray:
    """Skeletons on the crops of the first `PEOPLE` samples, over the annotated ones in white, one sheet.

    samples: `data.crop.Sample`s whose boxes all have the same proportions; joints: (N, K, 2) in 0-based source
    pixels; person: a `skeleton.Skeleton`; trained: (K,), the joints to draw.
    """
    size = round(256 * samples[0].box[2] / samples[0].box[3]), 256
    pictures = []
    for sample, found in zip(samples[:PEOPLE], joints):
        matrix = crop_matrix(sample.box, size)
        image, truth, annotated = crop_sample(sample, size, matrix)
        image = draw_skeleton(image, truth, limbs_of(person, annotated), 'T' * len(truth), annotated > 0)
        pictures.append(draw_person(image, transform_points(matrix, found), person, trained))
    return sheet(pictures)


def check_suffix(path):
    """InputError if a picture cannot be written under this name."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise InputError(f'{path}: pictures are written as .png or .jpg')


def save(path, image):
    """Write an RGB image to `path` (see `files.replacing`), as its suffix says."""
    check_suffix(path)
    done, encoded = cv2.imencode(Path(path).suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise InputError(f'{path}: a picture of {image.shape[1]} x {image.shape[0]} pixels does not fit in this format')
    with files.replacing(path) as temporary:
        temporary.write_bytes(encoded)


def save_curves(path, x, curves, x_label, y_label):
    """Draw curves {name: values over x} as Figure 3 does and write a .png to `path` (see `files.replacing`)."""
    figure = Figure(figsize=(5.5, 4), dpi=150, constrained_layout=True)
    axes = figure.subplots()
    for name, values in curves.items():
        axes.plot(x, values, label=name)
    axes.set(xlabel=x_label, ylabel=y_label, ylim=(0, None))
    axes.margins(x=0)
    axes.grid(alpha=0.3)
    axes.legend()
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format='png')
