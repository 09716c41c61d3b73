"""What heat maps say."""
import numpy as np
import pytest

from common.heatmaps import second_mode


def peak(maps, x, y, height):
    maps[0, 0, y - 1:y + 2, x - 1:x + 2] = np.outer([.5, 1, .5], [.5, 1, .5]) * height


def test_the_second_mode_is_the_highest_away_from_the_first():
    maps = np.full((1, 2, 16, 20), -0.01, np.float32)
    peak(maps, 4, 5, 0.8)
    assert second_mode(maps, 2)[0, 0] == 0
    peak(maps, 15, 11, 0.4)
    peak(maps, 15, 3, 0.2)
    assert second_mode(maps, 2)[0, 0] == pytest.approx(0.5)
    maps[0, 0, 5, 6] = 0.7                                     # a shoulder within the window is the first mode's
    assert second_mode(maps, 2)[0, 0] == pytest.approx(0.5)
    assert second_mode(maps, 1)[0, 0] == pytest.approx(0.7 / 0.8)


def test_a_slope_is_no_mode_and_an_empty_map_has_none():
    maps = np.zeros((1, 2, 12, 12), np.float32)
    maps[0, 0] = np.arange(12) / 12.0                          # rises to the border
    maps[0, 0, 6, 11] = 2
    maps[0, 1] = -1
    found = second_mode(maps, 2)[0]
    assert found[1] == 0 and found[0] == pytest.approx(11 / 12 / 2)            # the border's column, a ridge of its own
