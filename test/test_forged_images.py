"""Images that claim to be huge, or take long to decode, are refused by their heads."""
import struct
import time

import cv2
import hostile_damage
import numpy as np
import pytest
from refused import fails

from common.data import images


@pytest.mark.parametrize('side', [8300, 30000, 65500])
def test_an_image_that_claims_to_be_huge_is_not_decoded(tmp_path, side):
    cv2.imwrite(str(tmp_path / 'small.jpg'), np.zeros((64, 64, 3), np.uint8))
    jpeg, picture = tmp_path / 'x.jpg', tmp_path / 'png.jpg'
    jpeg.write_bytes(hostile_damage.jpeg_of_size((tmp_path / 'small.jpg').read_bytes(), side, side))
    picture.write_bytes(hostile_damage.png(side, side))
    for path in (jpeg, picture):
        assert fails(images.read_image, path, 8.0).startswith(f'{path}: an image of {side} x {side} pixels; at most ')


def test_a_side_that_opencv_cannot_warp_is_not_decoded(tmp_path):
    cv2.imwrite(str(tmp_path / 'long.png'), np.zeros((2, 40000, 3), np.uint8))
    assert fails(images.read_image, tmp_path / 'long.png', 8.0).endswith('and 32766 of a side')


def with_scans(jpeg, count, behind=b''):
    """A JPEG with so many more scans, copies of its second."""
    places = [place for place in range(len(jpeg)) if jpeg[place:place + 2] == b'\xff\xda']
    return jpeg[:-2] + count * jpeg[places[1]:places[2]] + b'\xff\xd9' + behind


@pytest.fixture
def progressive():
    _, jpeg = cv2.imencode('.jpg', np.full((1500, 1500, 3), 9, np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    return jpeg.tobytes()


def test_a_jpeg_of_thousands_of_scans_is_not_decoded(tmp_path, progressive):
    path = tmp_path / 'x.jpg'
    for count in (95, 20000):
        path.write_bytes(with_scans(progressive, count))
        start = time.time()
        assert fails(images.read_image, path) == \
            f'{path}: this JPEG has {count + 10} scans, which take minutes to decode; save it anew'
    assert path.stat().st_size < 1 << 20 and time.time() - start < 5
    # A false marker, that seems to be the begin of a segment, hides none of them.
    path.write_bytes(with_scans(progressive, 1)[:-2] + b'\xff\x02\xff\xff' + with_scans(progressive, 200)[2:])
    assert 'scans' in fails(images.read_image, path)


def test_scans_are_those_of_the_picture_alone(tmp_path, progressive):
    """Not of a thumbnail in its head, nor what looks like one in a video behind it."""
    path, thumbnail = tmp_path / 'x.jpg', b'\xff\xe1' + struct.pack('>H', 2 + 400) + 200 * b'\xff\xda'
    for jpeg in (with_scans(progressive, 80), with_scans(progressive, 5, behind=2000 * b'\xff\xda'),
                 progressive[:2] + thumbnail + progressive[2:]):
        path.write_bytes(jpeg)
        assert images.read_image(path)[0].shape == (1500, 1500, 3)


def test_the_larger_a_jpeg_the_fewer_its_scans(tmp_path, progressive):
    path, jpeg = tmp_path / 'x.jpg', with_scans(progressive, 30)
    path.write_bytes(hostile_damage.jpeg_of_size(jpeg, 8192, 8192))
    assert '40 scans' in fails(images.read_image, path)
