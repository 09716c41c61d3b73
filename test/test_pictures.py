"""How poses and heat maps are drawn."""
import cv2
import numpy as np
import pytest

from common import grid
from common.data.crop import Sample
from common.errors import InputError
from common.predict import poses, visualise
from common.programs import demo
from pose_mpii.skeleton import JOINTS, SKELETON


def standing(size):
    """Joints (16, 2) of somebody who stands in the middle of a square picture."""
    x = [40, 42, 44, 56, 58, 60, 50, 50, 50, 50, 26, 30, 38, 62, 70, 74]
    y = [92, 74, 54, 54, 74, 92, 54, 26, 20, 8, 56, 40, 27, 27, 40, 56]
    return np.stack([x, y], axis=1) * size / 100


def pose_of(size, scores):
    return poses.Pose((0, 0, size, size), None, standing(size), np.asarray(scores), np.ones(16, bool))


def draw(pose, boxed=False):
    size = pose.box[2]
    return demo.draw(poses.Scene('x', np.zeros((size, size, 3), np.uint8), [pose]), SKELETON, boxed)


def test_right_and_left_have_their_colours_and_the_rest_is_untouched():
    picture = draw(pose_of(400, np.ones(16)))
    for joint in range(16):
        x, y = standing(400)[joint].astype(int)
        expected = {'R': visualise.RIGHT, 'L': visualise.LEFT, 'M': visualise.MIDDLE}[SKELETON.sides[joint]]
        assert tuple(picture[y, x]) == expected, JOINTS[joint]
    right_shin, left_shin = picture[332, 164], picture[332, 236]
    assert tuple(right_shin) == visualise.RIGHT and tuple(left_shin) == visualise.LEFT
    assert not picture[:, :90].any() and not picture[:, 310:].any() and not picture[385:].any()


def test_lines_are_as_thick_as_the_person_is_large():
    widths = [draw(pose_of(size, np.ones(16)))[int(0.83 * size), :size // 2, 0].sum() / visualise.RIGHT[0]
              for size in (200, 800)]
    assert widths[0] > 1.5 and 2.2 < widths[1] / widths[0] < 5


def test_what_is_uncertain_is_faint():
    scores = np.ones(16)
    scores[0] = 0.2                           # the right ankle
    faint, sure = draw(pose_of(400, scores)), draw(pose_of(400, np.ones(16)))
    np.testing.assert_allclose(faint[332, 164], np.multiply(visualise.RIGHT, visualise.FAINT), atol=1)
    np.testing.assert_array_equal(faint[:280], sure[:280])


def test_a_joint_that_was_never_trained_is_not_drawn_and_the_trunk_is_joined_without_it():
    joints, trained = standing(400), np.arange(16) != 6
    joints[6] = 390, 390
    picture = draw(pose_of(400, np.ones(16))._replace(joints=joints, trained=trained))
    assert not picture[385:, 385:].any()
    hip, shoulder = joints[2], joints[12]
    x, y = ((hip + shoulder) / 2).astype(int)
    assert tuple(picture[y, x]) == visualise.RIGHT


def test_nobody_is_drawn_of_whom_the_network_is_not_sure():
    scores = np.full(16, poses.UNSURE + 0.1)
    scores[[6, 7]] = 0                        # of untrained joints no score counts
    sure = pose_of(400, scores)._replace(trained=np.isin(np.arange(16), (6, 7), invert=True))
    assert draw(sure).any() and not draw(sure._replace(scores=scores - 0.2)).any()


def test_joints_that_are_nowhere_do_not_stop_the_drawing():
    joints = standing(200)
    joints[[0, 5, 10]] = np.nan, np.inf
    joints[9] = 1e30
    picture = visualise.draw_skeleton(np.zeros((200, 200, 3), np.uint8), joints, SKELETON.limbs, SKELETON.sides)
    assert picture.any()


def test_predictions_lie_over_the_truth(tmp_path):
    """The truth is white where the prediction is elsewhere; a joint that is not annotated is not drawn."""
    cv2.imwrite(str(tmp_path / 'x.png'), np.zeros((256, 256, 3), np.uint8))
    truth, visible = standing(256).astype(np.float32), np.arange(16) != 15
    sample = Sample(str(tmp_path / 'x.png'), (127.5, 127.5, 256, 256), truth, visible.astype(np.float32))
    found = standing(256)
    found[0] += 20, 0                         # the right ankle
    picture = visualise.predictions([sample], found[None], SKELETON, np.arange(16) != 15)
    points = truth.astype(int)
    assert tuple(picture[points[0, 1], points[0, 0]]) == visualise.TRUTH
    assert tuple(picture[points[0, 1], points[0, 0] + 20]) == visualise.RIGHT
    assert tuple(picture[points[5, 1], points[5, 0]]) == visualise.LEFT
    assert not picture[points[15, 1], points[15, 0]].any()


@pytest.mark.parametrize('kind', grid.KINDS)
@pytest.mark.parametrize('shape, cell', [((4, 6), (4, 1)), ((9, 9), (1, 7)), ((16, 16), (7, 7))])
def test_the_hottest_pixel_is_the_cells_centre(shape, cell, kind):
    stride, (column, row) = 5, cell
    heatmap = np.full(shape, -3, np.float32)
    heatmap[row, column] = 0.01
    picture = visualise.overlay(np.full((shape[0] * stride, shape[1] * stride, 3), 255, np.uint8), heatmap, kind)
    coldness = picture[..., 2].astype(int)    # of the hottest colour blue is the least part
    y, x = np.unravel_index(coldness.argmin(), coldness.shape)
    assert (x, y) == tuple(grid.to_pixels(np.array(cell), stride, kind))
    far = np.abs(np.add.outer(np.arange(picture.shape[0]) - y, np.zeros(picture.shape[1]))) > stride
    assert (picture[far] == 255).all()


def test_a_heat_map_counts_relative_to_its_own_maximum():
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    heatmap = np.random.default_rng(2).random((4, 4)).astype(np.float32)
    np.testing.assert_array_equal(visualise.overlay(image, heatmap), visualise.overlay(image, 8 * heatmap))
    cold = visualise.overlay(image, -heatmap)
    np.testing.assert_array_equal(cold[..., 0], cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def test_a_labelled_grid_holds_its_pictures_in_their_places():
    colours = [[(255, 0, 0), (0, 0, 255)], [(0, 255, 0), (255, 0, 255)]]
    cells = [[np.full((10, 10, 3), colour, np.uint8) for colour in row] for row in colours]
    picture = visualise.labelled(cells, [['one', 'two'], ['', '']], ['first', 'second'])
    middles = [[np.argwhere((picture == colour).all(axis=2)).mean(axis=0) for colour in row] for row in colours]
    (a, b), (c, d) = middles
    assert b[1] - a[1] > 150 and d[1] - c[1] > 150 and c[0] - a[0] > 150 and abs(a[1] - c[1]) < 3
    assert ((picture == 0).all(axis=2)).sum() > 100                             # text and frames


def test_a_picture_that_no_jpeg_can_hold_is_named(tmp_path):
    with pytest.raises(InputError, match='x.jpg: a picture of 70000 x 4 pixels does not fit'):
        visualise.save(tmp_path / 'x.jpg', np.zeros((4, 70000, 3), np.uint8))
