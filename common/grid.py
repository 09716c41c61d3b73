"""The one map between input pixels and heat-map cells.

Heat-map cell i covers the input pixels [i*s, (i+1)*s) for a stride s, so its centre lies at (i + 0.5)*s - 0.5
(pixel centres are at integers). Targets, decoding, the integral and the flip test all go through here; the
functions work on floats, NumPy arrays, NDArrays and Symbols alike.
"""


def stride(deconvolutions) -> int:
    """Input pixels a heat-map cell is wide: a ResNet's 32, halved by each deconvolution."""
    return 32 // 2 ** deconvolutions


def to_cells(pixels, stride):
    """Input pixels -> heat-map coordinates, where cell i has its centre at i."""
    return (pixels + 0.5) / stride - 0.5


def to_pixels(cells, stride):
    """Heat-map coordinates -> input pixels; the inverse of `to_cells`."""
    return (cells + 0.5) * stride - 0.5


def mirror(x, width):
    """The x coordinate after mirroring an image or heat map of `width` pixels or cells."""
    return width - 1 - x
