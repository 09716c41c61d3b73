"""Checks an .onnx file before onnxruntime reads it, which would run any graph, and open any file that one refers to.

What `common.export` writes is one graph of the operators below with its weights in it. Others could loop for ever, call
code of other libraries or hold graphs of their own.
"""
import math

from common.errors import InputError

try:
    import onnx
except ImportError:
    onnx = None

# Of `deploy/onnx_operators.py`, and the two that `deploy/quantize.py` adds.
OPERATORS = frozenset(
    'Abs Add ArgMax AveragePool Cast Concat Conv CumSum DepthToSpace Div Exp Flatten Gather Gemm GlobalAveragePool '
    'LessOrEqual MatMul MaxPool Mul ReduceMax ReduceSum Relu Reshape Sign Slice Split Sub Transpose Unsqueeze '
    'QuantizeLinear DequantizeLinear'.split())
PLAIN = frozenset('name doc_string type i ints f floats s strings'.split())    # of an attribute: no tensor, no graph
MOST_VALUES = 1 << 26                         # of a tensor, for one image
SHAPE_BYTES = 1024                            # of a constant that may be a shape; larger ones are weights


def metadata(path, content) -> dict:
    """The metadata {key: text} in `content`, the bytes of the file `path`; InputError if it is no ONNX model."""
    return {entry.key: entry.value for entry in _model(path, content).metadata_props}


def _model(path, content):
    try:
        return onnx.ModelProto.FromString(content)
    except Exception:                         # protobuf's own kind
        raise InputError(f'{path}: not an ONNX model') from None


def check(path, content, size):
    """InputError unless `content`, the bytes of the file `path`, is a graph that `common.export` could have written.

    Its operators, and the sizes of its tensors for one image of `size` (width, height), are checked; not how long its
    layers take.
    """
    model = _model(path, content)
    graph = model.graph
    for node in graph.node:
        if node.domain or node.op_type not in OPERATORS or not all(map(_plain, node.attribute)):
            raise InputError(f'{path}: not an export of a network: {node.op_type[:40]!r} is no operator that '
                             'python -m common.export writes, or holds more than numbers')
    if any(tensor.data_location or tensor.external_data for tensor in graph.initializer):
        raise InputError(f'{path}: refers to other files; export it again, as one')
    if model.functions or graph.sparse_initializer:
        raise InputError(f'{path}: not an export of a network (python -m common.export writes them)')
    if not all(0 < values <= MOST_VALUES for values in _sizes(path, model, size)):
        raise InputError(f'{path}: not an export of a network: it has tensors without a size, or of more than '
                         f'{MOST_VALUES} values')


def _plain(attribute):
    return {field.name for field, _ in attribute.ListFields()} <= PLAIN


def _sizes(path, model, size):
    """The numbers of values of all tensors for one image of a size, as they follow from the graph; 0 where they do not.

    The model is changed.
    """
    graph = model.graph
    del graph.value_info[:]                   # what the file says of them is not asked
    for output in graph.output:
        output.type.tensor_type.ClearField('shape')
    for image in graph.input:
        for dimension, value in zip(image.type.tensor_type.shape.dim, (1, *size[::-1])):
            if not dimension.dim_value:       # it is left open
                dimension.dim_value = value
    for tensor in graph.initializer:
        if len(tensor.raw_data) > SHAPE_BYTES:
            tensor.ClearField('raw_data')     # which takes seconds to pass on, and shapes do not depend on
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except Exception as error:                # its own kind, and protobuf's
        raise InputError(f'{path}: not an ONNX model: its shapes do not fit ({type(error).__name__})') from None
    known = {info.name: math.prod(dimension.dim_value for dimension in info.type.tensor_type.shape.dim)
             for info in (*inferred.value_info, *inferred.output)}
    return [math.prod(tensor.dims) for tensor in graph.initializer] + [
        known.get(name, 0) for node in graph.node for name in node.output]
