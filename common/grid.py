"""The one map between input pixels and heat-map cells.

Heat-map cell i covers the input pixels [i*s, (i+1)*s) for a stride s, so its centre lies at (i + 0.5)*s - 0.5
(pixel centres are at integers). Networks that were trained elsewhere may have cells on another grid, whose cell i has
its centre at i*s: there a joint's target was the cell round(joint / s). Targets, decoding, the integral and the flip
test all go through here; the functions work on floats, NumPy arrays, NDArrays and Symbols alike.
"""
KINDS = ('centre', 'corner')                  # of `network.grid`: cell 0 has its centre at (s - 1) / 2, or at pixel 0


def stride(deconvolutions) -> int:
    """Input pixels a heat-map cell is wide: a ResNet's 32, halved by each deconvolution."""
    return 32 // 2 ** deconvolutions


def to_cells(pixels, stride, kind='centre'):
    """Input pixels -> heat-map coordinates, where cell i has its centre at i."""
    return pixels / stride if kind == 'corner' else (pixels + 0.5) / stride - 0.5


def to_pixels(cells, stride, kind='centre'):
    """Heat-map coordinates -> input pixels; the inverse of `to_cells`."""
    return cells * stride if kind == 'corner' else (cells + 0.5) * stride - 0.5


def mirror(x, width):
    """The x coordinate after mirroring an image or heat map of `width` pixels or cells."""
    return width - 1 - x


def mirror_shift(stride, kind='centre') -> float:
    """How many cells to the right a mirrored heat map has to move to be the heat map of the mirrored image, in [0, 1).

    0 where the cells tile the image; on the grid `corner` the last cell's centre is s - 1 pixels from the image's edge
    and the first one's lies on it, so mirrored they are 1 - 1/s cells apart.
    """
    return to_cells(mirror(to_pixels(0, stride, kind), stride), stride, kind)
