"""An exported network in 8-bit integers, by onnxruntime's static quantization.

Convolutions and what lies between them are computed in integers; the last layer, whose maps need their decimals, and
the integral stay in float32. Weights have a scale a channel and 7 bits: with 8, CPUs without VNNI saturate when they
add two products of 8 bits (onnxruntime's documentation, "Quantize ONNX models"), and the same file is to give the same
result everywhere.
"""
import tempfile
from pathlib import Path

import numpy as np
import onnx

from common import files
from common.data.crop import cut
from common.predict.boxes import crop_box

OPERATORS = ('Conv', 'Relu', 'Add', 'MaxPool', 'Concat', 'DepthToSpace')


def quantize(model, path, photographs, size):
    """Write an `onnx_graph.build` model to `path` (see `files.replacing`) in integers.

    photographs: RGB uint8 (H, W, 3), each shown whole to the network at `size` (width, height); the range of a tensor
    is what it was for these.
    """
    from onnxruntime import quantization  # takes seconds
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        """onnxruntime's interface to the photographs."""

        def __init__(self):
            self._inputs = ({'images': shown_whole(image, size)[None]} for image in photographs)

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


def shown_whole(image, size) -> np.ndarray:
    """A photograph scaled to fit `size` (width, height): RGB uint8 (height, width, 3), black around it."""
    return cut(image, crop_box((0, 0, *image.shape[1::-1]), image.shape, size), size)
