"""Crops: the affine, what it does to pixels and joints, and reading no more of a file than a crop needs."""
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from common.data.crop import Augmentation, Sample, crop_matrix, crop_sample, invert, random_view, transform_points
from common.data.images import read_crop, read_image
from common.errors import InputError

VIEWS = [(0, 1, False), (0, 1, True), (30, 1, False), (-17.3, 1.2, True), (180, 0.75, False)]


def write(path, image, *options):
    assert cv2.imwrite(str(path), image, options)
    return str(path)


def photograph(width=320, height=240):
    """BGR noise, smooth enough to survive interpolation."""
    noise = np.random.default_rng(0).uniform(0, 255, (height // 8, width // 8, 3)).astype(np.float32)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def sample_of(path, box=(100, 100, 50, 50), joints=((100, 100),), visible=None):
    joints = np.array(joints, np.float32)
    return Sample(path, box, joints, np.ones(len(joints), np.float32) if visible is None else np.float32(visible))


# The affine

@pytest.mark.parametrize('view', VIEWS)
def test_there_and_back(view):
    points = np.random.default_rng(1).uniform(-500, 2000, (100, 2))
    matrix = crop_matrix((611.25, 377.5, 703.1, 901.7), (192, 256), *view)
    assert matrix.shape == (2, 3) and matrix.dtype == np.float64
    assert np.abs(transform_points(invert(matrix), transform_points(matrix, points)) - points).max() < 1e-9


def test_the_input_spans_the_box():
    cx, cy, w, h = 311.5, 207.25, 90, 120
    i, j = np.meshgrid(np.arange(192), np.arange(256))
    source = transform_points(invert(crop_matrix((cx, cy, w, h), (192, 256))), np.stack([i, j], axis=-1))
    np.testing.assert_allclose(source[..., 0], cx + w * ((i + 0.5) / 192 - 0.5), atol=1e-9)
    np.testing.assert_allclose(source[..., 1], cy + h * ((j + 0.5) / 256 - 0.5), atol=1e-9)


@pytest.mark.parametrize('view, expected', [
    ((0, 1, False), (34.5, 24.5)),
    ((90, 1, False), (24.5, 14.5)),               # what was right of the centre is above it
    ((0, 2, False), (29.5, 24.5)),                # a larger box shows everything smaller
    ((0, 1, True), (14.5, 24.5)),
    ((90, 2, True), (24.5, 19.5)),
])
def test_views_worked_by_hand(view, expected):
    matrix = crop_matrix((100, 100, 50, 50), (50, 50), *view)
    np.testing.assert_allclose(transform_points(matrix, np.array([110, 100])), expected, atol=1e-9)


def test_a_random_view_stays_within_its_bounds_and_uses_them():
    rng = np.random.default_rng(2)
    rotation, scale, mirror = np.array([random_view(Augmentation(30, 0.25, True, ()), rng) for _ in range(2000)]).T
    assert -30 <= rotation.min() < -28 and 28 < rotation.max() <= 30
    assert 0.75 <= scale.min() < 0.76 and 1.24 < scale.max() <= 1.25
    assert 0.45 < mirror.mean() < 0.55
    assert all(random_view(Augmentation(0, 0, False, ()), rng) == (0, 1, False) for _ in range(50))


# Pixels

def test_the_whole_image_as_box_is_the_image(tmp_path):
    image = np.random.default_rng(3).integers(0, 256, (61, 83, 3)).astype(np.uint8)
    path = write(tmp_path / 'a.png', image)
    crop = read_crop(path, invert(crop_matrix((41, 30, 83, 61), (83, 61))), (83, 61))
    np.testing.assert_array_equal(crop, image[:, :, ::-1])          # RGB from BGR


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('reduction', [1, 2, 4, 8])
@pytest.mark.parametrize('view', VIEWS)
def test_a_dot_lands_where_the_matrix_says(tmp_path, reduction, view, suffix):
    """A blob at a fractional position, near the end of an image whose size no reduction divides."""
    width, height, (x, y) = 1203, 901, (1101.3, 810.85)
    columns, rows = np.arange(width), np.arange(height)[:, None]
    blob = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (2.5 * reduction) ** 2))
    path = write(tmp_path / f'dot{suffix}', np.repeat(blob[..., None], 3, axis=2).astype(np.uint8),
                 cv2.IMWRITE_JPEG_QUALITY, 98)
    side = 96 * reduction * 1.5 / view[1]
    matrix = crop_matrix((x + 7, y - 11, side, side), (96, 96), *view)
    crop, joints, visible = crop_sample(sample_of(path, joints=[(x, y)]), (96, 96), matrix)
    assert read_image(path, step=1.5 * reduction)[1] == reduction
    weights = np.where(crop > 12, crop, 0).sum(axis=2).astype(float)
    centroid = (weights.sum(axis=0) @ np.arange(96), weights.sum(axis=1) @ np.arange(96)) / weights.sum()
    assert visible[0] == 1
    assert np.abs(centroid - joints[0]).max() < 0.1


@pytest.mark.parametrize('side', [100, 200, 450])                   # decoded at 1/1, 1/2, 1/4
def test_a_mirrored_crop_is_the_crop_mirrored(tmp_path, side):
    path = write(tmp_path / 'a.jpg', photograph())
    box = (150.3, 110.8, side, side)
    plain, mirrored = (read_crop(path, invert(crop_matrix(box, (100, 100), 25, 1, mirror)), (100, 100)).astype(float)
                       for mirror in (False, True))
    error = np.abs(mirrored - plain[:, ::-1])
    assert error.mean() < 0.5 and plain.std() > 20


def test_outside_of_the_image_is_black(tmp_path):
    path = write(tmp_path / 'white.png', np.full((40, 40, 3), 255, np.uint8))
    crop = read_crop(path, invert(crop_matrix((-0.5, 19.5, 40, 40), (40, 40))), (40, 40))
    assert (crop[:, :20] == 0).all() and (crop[:, 20:] == 255).all()


def test_a_crop_is_written_where_it_is_wanted(tmp_path):
    path = write(tmp_path / 'a.png', photograph())
    to_source, batch = invert(crop_matrix((90, 90, 50, 50), (32, 32))), np.zeros((2, 32, 32, 3), np.uint8)
    read_crop(path, to_source, (32, 32), out=batch[1])
    assert (batch[0] == 0).all()
    np.testing.assert_array_equal(batch[1], read_crop(path, to_source, (32, 32)))


# Joints

def test_joints_outside_of_the_crop_carry_no_loss(tmp_path):
    path = write(tmp_path / 'a.png', photograph())
    matrix = crop_matrix((99.5, 99.5, 50, 50), (50, 50))            # source pixel (75, 75) is input pixel (0, 0)
    joints = [(74.5, 80), (74.4, 80), (80, 124.4), (80, 124.5), (80, 74.5), (124.5, 80), (100, 100), (1e4, -1e4)]
    _, moved, visible = crop_sample(sample_of(path, joints=joints, visible=[1, 1, 1, 1, 1, 1, 0, 1]), (50, 50), matrix)
    np.testing.assert_array_equal(visible, [1, 0, 1, 0, 1, 0, 0, 0])
    np.testing.assert_allclose(moved, np.array(joints) - 75, rtol=1e-6, atol=1e-5)
    assert moved.dtype == visible.dtype == np.float32


def test_mirroring_swaps_left_and_right(tmp_path):
    path = write(tmp_path / 'a.png', photograph())
    sample = sample_of(path, joints=[(80, 90), (110, 95), (100, 120)], visible=[1, 0, 1])
    views = [crop_matrix((100, 100, 60, 60), (60, 60), 0, 1, mirror) for mirror in (False, True)]
    _, joints, visible = crop_sample(sample, (60, 60), views[0], flip_pairs=[(0, 1)])
    _, mirrored, mirrored_visible = crop_sample(sample, (60, 60), views[1], flip_pairs=[(0, 1)])
    np.testing.assert_allclose(mirrored[:, 0], 59 - joints[[1, 0, 2], 0], atol=1e-4)
    np.testing.assert_allclose(mirrored[:, 1], joints[[1, 0, 2], 1], atol=1e-4)
    np.testing.assert_array_equal(visible, [1, 0, 1])
    np.testing.assert_array_equal(mirrored_visible, [0, 1, 1])
    np.testing.assert_array_equal(sample.joints[0], (80, 90))       # the sample itself is as it was


# Files

@pytest.mark.parametrize('step, reduction', [(0.3, 1), (1.99, 1), (2, 2), (3.9, 2), (4, 4), (7.9, 4), (8, 8), (99, 8)])
@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.webp', '.tiff'])
def test_an_image_is_no_finer_than_needed(tmp_path, step, reduction, suffix):
    path = write(tmp_path / f'a{suffix}', photograph(323, 241))
    image, actual = read_image(path, step)
    assert actual == reduction
    assert image.shape == (-(-241 // reduction), -(-323 // reduction), 3)


def test_grey_and_transparent_images_have_three_channels(tmp_path):
    grey = write(tmp_path / 'grey.jpg', photograph()[..., 0])
    alpha = write(tmp_path / 'alpha.png', np.dstack([photograph(), photograph()[..., :1]]))
    assert read_image(grey)[0].shape == read_image(alpha)[0].shape == (240, 320, 3)


def with_metadata(jpeg, content):
    """The bytes of a JPEG with an Exif segment."""
    return jpeg[:2] + b'\xff\xe1' + struct.pack('>H', len(content) + 8) + b'Exif\0\0' + content + jpeg[2:]


def test_orientation_is_ignored(tmp_path):
    turned = b'MM\0\x2a\0\0\0\x08' + b'\0\x01' + struct.pack('>HHIHH', 0x112, 3, 1, 6, 0) + b'\0\0\0\0'
    path = tmp_path / 'turned.jpg'
    path.write_bytes(with_metadata(cv2.imencode('.jpg', photograph())[1].tobytes(), turned))
    assert cv2.imread(str(path)).shape == (320, 240, 3)             # the segment is one that OpenCV understands
    assert read_image(path)[0].shape == (240, 320, 3)
    assert read_image(path, 2)[0].shape == (120, 160, 3)


@pytest.mark.parametrize('upright', [False, True])
@pytest.mark.parametrize('kind', ['webp', 'tiff'])
def test_an_orientation_that_opencv_does_not_treat_as_a_jpegs_is_refused(tmp_path, kind, upright):
    image, exif = Image.fromarray(photograph()), Image.Exif()
    image.save(tmp_path / f'plain.{kind}')
    assert read_image(tmp_path / f'plain.{kind}', upright=upright)[0].shape == (240, 320, 3)
    exif[0x112] = 6
    image.save(tmp_path / f'turned.{kind}', exif=exif)
    with pytest.raises(InputError, match=f'turned.{kind}: has an orientation tag'):
        read_image(tmp_path / f'turned.{kind}', upright=upright)


@pytest.mark.parametrize('progressive', [0, 1])
@pytest.mark.parametrize('thumbnail', [False, True])
def test_a_truncated_jpeg_is_found_wherever_it_was_cut(tmp_path, progressive, thumbnail):
    jpeg = cv2.imencode('.jpg', photograph(), [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    if thumbnail:
        jpeg = with_metadata(jpeg, cv2.imencode('.jpg', photograph(64, 48))[1].tobytes())
    path = tmp_path / 'a.jpg'
    for length in [*range(1, len(jpeg) - 2, 97), len(jpeg) - 4, len(jpeg) - 3]:
        path.write_bytes(jpeg[:length])
        with pytest.raises(InputError, match='a.jpg'):
            read_image(path)
    trailer = np.random.default_rng(0).bytes(1 << 18)                # as of a phone's video after its picture
    assert any(trailer.rfind(b'\xff\xd9', 0, end) < trailer.rfind(b'\xff\xda', 0, end)
               for end in range(0, 1 << 18, 999))
    for complete in (jpeg, jpeg + bytes(100), *(jpeg + trailer[:end] for end in range(0, 1 << 18, 1 << 14))):
        path.write_bytes(complete)
        assert read_image(path)[0].shape == (240, 320, 3)


@pytest.mark.parametrize('progressive', [0, 1])
def test_a_jpeg_that_lacks_only_its_end_marker_is_read(tmp_path, progressive):
    jpeg = cv2.imencode('.jpg', photograph(), [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    path = tmp_path / 'a.jpg'
    path.write_bytes(jpeg)
    whole = {step: read_image(path, step)[0] for step in (1, 8)}
    for length in (len(jpeg) - 2, len(jpeg) - 1):
        path.write_bytes(jpeg[:length])
        for step, expected in whole.items():
            np.testing.assert_array_equal(read_image(path, step)[0], expected)
    path.write_bytes(jpeg[:-3000] + bytes(3000))         # a download for which room was made, and that broke off
    with pytest.raises(InputError, match='truncated'):
        read_image(path)


def test_real_photographs_are_complete_until_they_are_cut(shared, tmp_path):
    photographs = sorted((shared / 'mpii_valid').glob('images*/*.jpg'))
    assert photographs
    for photo in photographs:
        read_image(photo, step=8)
        cut = tmp_path / photo.name
        cut.write_bytes(photo.read_bytes()[:-2])
        np.testing.assert_array_equal(read_image(cut)[0], read_image(photo)[0])
        cut.write_bytes(photo.read_bytes()[:-2000])
        with pytest.raises(InputError, match='truncated'):
            read_image(cut)


@pytest.mark.parametrize('content, reason', [
    (None, 'No such file'), (b'', 'empty'), (b'<html>not found</html>', 'not an image'),
    (b'\xff\xd8\xff\xd9', 'not an image'), (b'\x89PNG\r\n\x1a\n' + bytes(50), 'not an image'),
])
def test_a_bad_file_is_named(tmp_path, content, reason):
    path = tmp_path / 'bad.jpg'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f'bad.jpg: .*{reason}') as error:
        read_image(path)
    assert '\n' not in str(error.value)
