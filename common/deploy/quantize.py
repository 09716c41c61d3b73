"""An exported network in 8-bit integers, by onnxruntime's static quantization.

Convolutions and what lies between them are computed in integers; the last layer, whose maps need their decimals, and
the integral stay in float32. Weights have a scale a channel and 7 bits: with 8, CPUs without VNNI saturate when they
add two products of 8 bits (onnxruntime's documentation, "Quantize ONNX models"), and the same file is to give the same
result everywhere.
"""
import sys
import tempfile
from pathlib import Path
from typing import Iterator

import numpy as np
import onnx

from common import files
from common.data.crop import cut
from common.data.images import read_rgb
from common.errors import InputError
from common.predict.boxes import crop_box

MOST = 200                                    # photographs to calibrate on
OPERATORS = ('Conv', 'Relu', 'Add', 'MaxPool', 'Concat', 'DepthToSpace')


def quantize(model, path, photographs, size):
    """Write an `onnx_graph.build` model to `path` (see `files.replacing`) in integers.

    photographs: files, of which at most MOST, spread evenly, are shown to the network at `size` (width, height), each
    whole; the range of a tensor is what it was for these. One that cannot be read is left out with a warning;
    InputError where none is left.
    """
    from onnxruntime import quantization  # takes seconds
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        """onnxruntime's interface to the photographs."""

        def __init__(self):
            self._inputs = ({'images': image[None]} for image in shown(spread(photographs, MOST), size))

        def get_next(self):
            return next(self._inputs, None)

    with files.replacing(path) as temporary, tempfile.TemporaryDirectory() as folder:
        whole, prepared = Path(folder) / 'whole.onnx', Path(folder) / 'prepared.onnx'
        onnx.save(model, str(whole))
        # The graph is optimised as written; only its shapes are not known yet.
        quant_pre_process(str(whole), str(prepared), skip_optimization=True, skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared), str(temporary), Reader(), op_types_to_quantize=list(OPERATORS),
            nodes_to_exclude=in_float(model.graph), per_channel=True, reduce_range=True,
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8)


def in_float(graph) -> list:
    """The names of the nodes that stay in float32: layers that make heat maps, and all that follows the last layer."""
    outputs = {output.name for output in graph.output}
    last = max(index for index, node in enumerate(graph.node) if node.op_type == 'Conv')
    return [node.name for index, node in enumerate(graph.node)
            if index > last or node.output[0] in outputs or '_final_' in node.name]


def spread(members, most) -> list:
    """At most so many members of a list, at even distances."""
    return [members[i] for i in np.linspace(0, len(members) - 1, min(most, len(members))).round().astype(int)]


def shown(paths, size) -> Iterator[np.ndarray]:
    """Yield `shown_whole` of each photograph but those that cannot be read, each a warning; all are an InputError."""
    used = 0
    for path in paths:
        try:
            image = shown_whole(path, size)
        except InputError as error:
            print(f'warning: left out: {error}', file=sys.stderr)
            continue
        used += 1
        yield image
    if not used:
        raise InputError(f'none of the {len(paths)} photographs to calibrate on can be used')


def shown_whole(path, size) -> np.ndarray:
    """A photograph, upright and scaled to fit `size` (width, height): RGB uint8 (height, width, 3), black around it."""
    image = read_rgb(path)
    return cut(image, crop_box((0, 0, *image.shape[1::-1]), image.shape, size), size)
