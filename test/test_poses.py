"""Crops of people on photographs of any size, and the poses that a network finds in them."""
import cv2
import mxnet as mx
import numpy as np
import pytest

from common import config, grid, heatmaps
from common.data.crop import crop_matrix, cut, invert
from common.data.images import read_crop
from common.errors import InputError
from common.nets import pose_net
from common.predict import boxes, inference, poses
from pose_mpii.skeleton import JOINTS

TINY = ('input.size=[64, 64]',)


# --- crops ---------------------------------------------------------------------------------------------------------

def test_the_whole_image_is_in_the_crop_and_keeps_its_proportions():
    [box], _ = poses.whole(np.zeros((100, 300, 3)))
    assert boxes.crop_box(box, (100, 300, 3), (64, 64)) == (149.5, 49.5, 300, 300)
    assert boxes.crop_box(box, (100, 300, 3), (192, 256)) == (149.5, 49.5, 300, 400)
    assert boxes.crop_box((10, 20, 40, 80), (100, 300, 3), (64, 64)) == (29.5, 59.5, 80, 80)


@pytest.mark.parametrize('suffix, side, tolerance', [('.jpg', 90, 0), ('.jpg', 150, 6), ('.jpg', 300, 6),
                                                     ('.png', 90, 0), ('.png', 300, 0)])
def test_a_cut_is_the_crop_of_training(tiny_data, tmp_path, suffix, side, tolerance):
    path = tmp_path / f'x{suffix}'            # of a size that 2 and 4 do not divide
    picture = cv2.resize(cv2.imread(str(tiny_data / 'images' / 'valid_000002.jpg')), (301, 303))
    cv2.imwrite(str(path), picture, (cv2.IMWRITE_JPEG_QUALITY, 100))
    box = (150.3, 161.1, side, side)
    expected = read_crop(path, invert(crop_matrix(box, (64, 64))), (64, 64))
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    np.testing.assert_allclose(cut(image, box, (64, 64)).astype(int), expected, atol=tolerance)


def test_a_cut_of_a_large_box_skips_no_pixel():
    stripes = np.zeros((640, 640, 3), np.uint8)
    stripes[:, ::8] = 200                     # most lie between the crop's pixel centres
    np.testing.assert_allclose(cut(stripes, (319.5, 319.5, 640, 640), (64, 64)), 25, atol=1)


# --- poses ---------------------------------------------------------------------------------------------------------

class PeakNet:
    """A network of stride 8 whose heat map of joint k is 1 at cell (k // 4, 2) and 0 elsewhere, whatever it sees."""

    stride = 8

    def trained_joints(self):
        return np.ones(len(JOINTS), bool)

    def __call__(self, images):
        maps = np.zeros((len(images), len(JOINTS), 8, 8), np.float32)
        for joint in range(len(JOINTS)):
            maps[:, joint, 2, joint // 4] = 1
        return [mx.nd.array(maps)], [mx.nd.zeros((len(images), len(JOINTS), 2))]


def test_a_joint_lies_where_the_box_says(experiments):
    cfg = config.load(experiments / 'h1.yaml', TINY)
    found = boxes.Boxes(np.array([[100, 20, 128, 128], [0, 0, 64, 64]]))
    images = ((name, np.zeros((200, 400, 3), np.uint8), found) for name in range(11))
    scenes = list(poses.find_poses(cfg, PeakNet(), images, [mx.cpu()]))
    assert [scene.label for scene in scenes] == list(range(11))
    # Two source pixels per input pixel: cell 3 covers the input's [24, 32), the source's [100 + 48, 100 + 64).
    for first, second in (scene.poses for scene in scenes):
        np.testing.assert_allclose(first.joints[12], [100 + 55.5, 20 + 39.5], atol=1e-4)
        np.testing.assert_allclose(second.joints[12], [27.5, 19.5], atol=1e-4)


def test_several_people_are_one_batch(experiments):
    cfg, seen = config.load(experiments / 'h1.yaml', TINY), []

    class Counted(PeakNet):
        def __call__(self, images):
            seen.append(len(images))
            return super().__call__(images)
    people = boxes.Boxes(np.array([[10 * x, 0, 64, 64] for x in range(5)]))
    nobody = boxes.Boxes(np.zeros((0, 4)))
    images = [(name, np.zeros((100, 100, 3), np.uint8), found) for name, found in enumerate((people, nobody, people))]
    scenes = list(poses.find_poses(cfg, Counted(), images, [mx.cpu()]))
    assert seen == [8, 2] and [len(scene.poses) for scene in scenes] == [5, 0, 5]
    assert [pose.number for pose in scenes[2].poses] == [0, 1, 2, 3, 4]


def test_what_is_not_a_number_is_an_error_that_names_the_image(experiments):
    class Broken(PeakNet):
        def __call__(self, images):
            maps, joints = super().__call__(images)
            return [maps[0] * np.nan], joints
    cfg = config.load(experiments / 'h1.yaml', TINY)
    with pytest.raises(InputError, match='x.jpg: what the network finds there is not a number'):
        list(poses.find_poses(cfg, Broken(), [('x.jpg', np.zeros((64, 64, 3), np.uint8), None)], [mx.cpu()]))


def test_confidence_is_the_share_of_the_mass_around_the_best_place():
    maps = np.zeros((1, 4, 12, 16), np.float32)
    maps[0, 0, 5, 5] = maps[0, 1, 2, 2] = maps[0, 1, 9, 13] = maps[0, 2, 0, 15] = 100
    flat = 25 / (12 * 16)
    np.testing.assert_allclose(heatmaps.confidence(maps, 1.0, 2), [[1, 0.5, 1, flat]], rtol=1e-5)


def test_an_integral_networks_map_has_its_joint_as_expectation(experiments):
    cfg = config.load(experiments / 'i1.yaml', TINY)
    net = pose_net.create(cfg, [mx.cpu()])
    maps, joints = inference.forward(net, np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8),
                                     [mx.cpu()])
    shown = inference.pictured(cfg, maps)
    np.testing.assert_allclose(shown.sum(axis=(2, 3)), 1, rtol=1e-5)
    x = grid.to_pixels((shown.sum(axis=2) * np.arange(maps.shape[3])).sum(axis=2), net.stride)
    np.testing.assert_allclose(x, joints[..., 0], atol=1e-3)
    h1 = config.load(experiments / 'h1.yaml', TINY)
    np.testing.assert_array_equal(inference.pictured(h1, maps), maps)


@pytest.mark.parametrize('method, top', [('h2', 1), ('h3', 0.5)])
def test_the_maps_to_look_at_are_probabilities_of_h2_and_h3(experiments, method, top):
    cfg = config.load(experiments / f'{method}.yaml', [*TINY, 'loss.radius=30'])       # so that cells of 8 pixels fit
    maps = np.full((1, 1, 8, 8), -40.0)
    maps[..., 3, 5] = 0                       # by H3's loss; H2's is the same for any constant added
    shown = inference.pictured(cfg, maps)
    assert shown[0, 0, 3, 5] == pytest.approx(top) and (np.delete(shown, 3 * 8 + 5) < 1e-9).all()
