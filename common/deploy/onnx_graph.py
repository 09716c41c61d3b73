"""A network's graph and parameters as an ONNX model, operator by operator.

Not by `mxnet.onnx`: that cannot be imported beside today's onnx, stamps the newest opset on operators of opset 13,
lacks the image operators, and leaves batch normalisation and deconvolutions as they are. Here batch normalisation
becomes part of the layer before it, and a deconvolution of the heads becomes convolutions, for which runtimes have
kernels in 8 bits too.
"""
import ast
import json
from collections import Counter

import numpy as np

from common.errors import InputError

try:
    import onnx
    from onnx import helper, numpy_helper
except ImportError:
    onnx = None

OPSET, IR_VERSION = 13, 7                     # the least with scales per channel; onnxruntime 1.6 and later run it
LAYERS = ('Convolution', 'Deconvolution', 'FullyConnected')


def require():
    """InputError where the package onnx is not installed."""
    if onnx is None:
        raise InputError('writing ONNX needs the package onnx: sh scripts/setup.sh export')


def build(symbol, arrays, shape, outputs, metadata) -> 'onnx.ModelProto':
    """The ONNX model (`onnx.ModelProto`) of an MXNet symbol whose one input, uint8, is called 'data'.

    arrays: {name: array} of its parameters and running statistics; shape: of the input, the first number of which is
    left open, as in all outputs; outputs: their names, in the symbol's order; metadata: {key: text} to go with it. The
    input is called 'images'.
    """
    tree = json.loads(symbol.tojson())
    nodes = tree['nodes']
    for (index, *_), name in zip(tree['heads'], outputs):
        nodes[index]['name'] = name
    internals = symbol.get_internals()
    shapes = dict(zip(internals.list_outputs(), internals.infer_shape(data=shape)[1]))
    graph = _Graph(_weights(nodes, arrays), shapes)
    tensors = []                              # of every node of MXNet: the names of what it puts out
    for node in nodes:
        if node['op'] == 'null':
            tensors.append(['images'])        # the others are parameters, which `_weights` has
            continue
        inputs = [tensors[source][output] for source, output, _ in node['inputs']]
        attributes = {key: _value(text) for key, text in node.get('attrs', {}).items()}
        found = _CONVERTERS[node['op']](graph, node['name'], inputs, attributes)
        tensors.append(found if isinstance(found, list) else [found])
    infos = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ['N', *sizes[1:]])
             for name, sizes in zip(outputs, symbol.infer_shape(data=shape)[1])]
    images = helper.make_tensor_value_info('images', onnx.TensorProto.UINT8, ['N', *shape[1:]])
    model = helper.make_model(helper.make_graph(graph.nodes, 'pose', [images], infos, graph.constants),
                              opset_imports=[helper.make_opsetid('', OPSET)], ir_version=IR_VERSION,
                              producer_name='integral-human-pose')
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model


def _value(text):
    """An attribute as MXNet's JSON has it: numbers, tuples and truth values are Python's, others remain text."""
    try:
        return ast.literal_eval(text)
    except ValueError:
        return text


def _weights(nodes, arrays):
    """{layer: (weight, bias)}, the batch normalisation that follows a layer multiplied into it."""
    weights = {}
    for node in nodes:
        layer, *given = [nodes[source]['name'] for source, *_ in node['inputs']] or [None]
        if node['op'] in LAYERS:
            weight, bias, *_ = *(arrays[name].astype(np.float64) for name in given), 0
            if node['op'] == 'Deconvolution':
                weight = weight.swapaxes(0, 1)                                 # outputs first, as a convolution's
            weights[node['name']] = weight, bias
        elif node['op'] == 'BatchNorm':
            gamma, beta, mean, variance = (arrays[name].astype(np.float64) for name in given)
            factor = gamma / np.sqrt(variance + float(node['attrs']['eps']))
            weight, bias = weights[layer]
            weights[layer] = weight * factor[:, None, None, None], (bias - mean) * factor + beta
    return weights


class _Graph:
    """The nodes and constants written so far; every node has the name of its output."""

    def __init__(self, weights, shapes):
        self.weights, self.shapes = weights, shapes            # of layers; of MXNet's tensors
        self.nodes, self.constants, self.taken = [], [], Counter()
        self.phases = {}                                       # of a deconvolution: see `_deconvolution`

    def unique(self, name) -> str:
        """The name, with a number after it where it is taken: stages share the names of their integral."""
        self.taken[name] += 1
        return name if self.taken[name] == 1 else f'{name}_{self.taken[name]}'

    def add(self, operator, inputs, name, **attributes) -> str:
        name = self.unique(name)
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, name, values, kind=np.float32) -> str:
        name = self.unique(name)
        self.constants.append(numpy_helper.from_array(np.array(values, kind, order='C'), name))
        return name

    def layer(self, operator, inputs, name, weight, bias, **attributes) -> str:
        own = self.constant(f'{name}_weight', weight), self.constant(f'{name}_bias', np.zeros(len(weight)) + bias)
        return self.add(operator, [*inputs, *own], name, **attributes)


# --- operators: a function of graph, name, names of inputs and attributes adds nodes, the last of which has the name -

def _to_tensor(graph, name, inputs, _):
    planes = graph.add('Transpose', inputs, f'{name}_planes', perm=(0, 3, 1, 2))
    numbers = graph.add('Cast', [planes], f'{name}_numbers', to=onnx.TensorProto.FLOAT)
    return graph.add('Div', [numbers, graph.constant(f'{name}_scale', 255)], name)


def _normalize(graph, name, inputs, attributes):
    mean, std = (graph.constant(f'{name}_{key}', np.reshape(attributes[key], (1, 3, 1, 1))) for key in ('mean', 'std'))
    return graph.add('Div', [graph.add('Sub', [*inputs, mean], f'{name}_centred'), std], name)


def _convolution(graph, name, inputs, attributes):
    return graph.layer('Conv', inputs[:1], name, *graph.weights[name], kernel_shape=attributes['kernel'],
                       strides=attributes['stride'], pads=attributes['pad'] * 2)


def _deconvolution(graph, name, inputs, _):
    """Of kernel 4, stride 2 and padding 1: a convolution for each phase (a, b) of the output's rows and columns.

    Row 2 j + a of the output is the sum of the input's row j + a - 1 by tap 3 - a and of its row j + a by tap 1 - a.
    The ReLU, which follows every one of them, puts the phases together.
    """
    weight, bias = graph.weights[name]
    graph.phases[name] = [
        graph.layer('Conv', inputs[:1], f'{name}_{a}{b}', weight[:, :, 3 - a::-2, 3 - b::-2], bias,
                    kernel_shape=(2, 2), pads=(1 - a, 1 - b, a, b)) for a in (0, 1) for b in (0, 1)]
    return name


def _activation(graph, name, inputs, _):
    if inputs[0] not in graph.phases:
        return graph.add('Relu', inputs, name)
    positive = [graph.add('Relu', [phase], f'{phase}_relu') for phase in graph.phases[inputs[0]]]
    return graph.add('DepthToSpace', [graph.add('Concat', positive, f'{name}_phases', axis=1)], name, blocksize=2)


def _pooling(graph, name, inputs, attributes):
    if attributes['pool_type'] == 'avg':      # only R1's, over the whole map
        return graph.add('GlobalAveragePool', inputs, name)
    return graph.add('MaxPool', inputs, name, kernel_shape=attributes['kernel'], strides=attributes['stride'],
                     pads=attributes['pad'] * 2)


def _fully_connected(graph, name, inputs, _):
    flat = graph.add('Flatten', inputs[:1], f'{name}_flat')
    return graph.layer('Gemm', [flat], name, *graph.weights[name], transB=1)


def _reshape(graph, name, inputs, attributes):
    return graph.add('Reshape', [*inputs, graph.constant(f'{name}_shape', attributes['shape'], np.int64)], name)


def _split(graph, name, inputs, attributes):
    outputs = [f'{name}_{part}' for part in range(attributes['num_outputs'])]
    graph.nodes.append(helper.make_node('Split', inputs, outputs, name, axis=attributes['axis']))
    return outputs


def _stack(graph, name, inputs, attributes):
    axis = attributes['axis']
    at = graph.constant(f'{name}_axis', [axis], np.int64)
    return graph.add('Concat', [graph.add('Unsqueeze', [part, at], f'{name}_{index}')
                                for index, part in enumerate(inputs)], name, axis=axis)


def _sum(graph, name, inputs, attributes):
    axis = graph.constant(f'{name}_axis', [attributes['axis']], np.int64)
    return graph.add('ReduceSum', [*inputs, axis], name, keepdims=0)


def _arange_like(graph, name, _inputs, _):
    return graph.constant(name, np.arange(*graph.shapes[f'{name}_output']))


def _plain(operator):
    """The operator of the same inputs and no attributes."""
    return lambda graph, name, inputs, _: graph.add(operator, inputs, name)


def _scalar(operator):
    return lambda graph, name, inputs, attributes: graph.add(
        operator, [*inputs, graph.constant(f'{name}_scalar', attributes['scalar'])], name)


def _same(_graph, _name, inputs, _):
    """What changes nothing here: `_weights` has batch normalisation in the layer before it."""
    return inputs[0]


_CONVERTERS = {
    '_image_to_tensor': _to_tensor, '_image_normalize': _normalize,
    'Convolution': _convolution, 'Deconvolution': _deconvolution, 'BatchNorm': _same, 'Activation': _activation,
    'Pooling': _pooling, 'FullyConnected': _fully_connected, 'elemwise_add': _plain('Add'),
    'Concat': lambda graph, name, inputs, attributes: graph.add('Concat', inputs, name, axis=attributes['dim']),
    'max': lambda graph, name, inputs, attributes: graph.add(
        'ReduceMax', inputs, name, axes=attributes['axis'], keepdims=int(attributes['keepdims'])),
    'sum': _sum, 'BlockGrad': _same, 'broadcast_sub': _plain('Sub'), 'exp': _plain('Exp'),
    'relu': _plain('Relu'), 'negative': _plain('Neg'), 'dot': _plain('MatMul'),
    'elemwise_div': _plain('Div'), '_contrib_arange_like': _arange_like, 'stack': _stack, 'Reshape': _reshape,
    'SliceChannel': _split, '_plus_scalar': _scalar('Add'), '_minus_scalar': _scalar('Sub'),
    '_mul_scalar': _scalar('Mul')}
