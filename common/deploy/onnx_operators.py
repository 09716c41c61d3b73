"""MXNet's operators as ONNX's: what `onnx_graph.build` makes of the nodes of a network.

Each is a function of the graph (`onnx_graph.Graph`), the node's name, the names of its inputs and its attributes, which
adds nodes, the last of which has the name, and returns the names of its outputs: a list, or one.
"""
import numpy as np

from common.guard.graph import onnx


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
    if attributes.get('global_pool'):
        return graph.add('GlobalAveragePool', inputs, name)
    own = {'kernel_shape': attributes['kernel'], 'strides': attributes['stride'], 'pads': attributes['pad'] * 2}
    if attributes['pool_type'] == 'max':
        return graph.add('MaxPool', inputs, name, **own)
    return graph.add('AveragePool', inputs, name, count_include_pad=1, **own)


def _fully_connected(graph, name, inputs, _):
    flat = graph.add('Flatten', inputs[:1], f'{name}_flat')
    return graph.layer('Gemm', [flat], name, *graph.weights[name], transB=1)


def _reshape(graph, name, inputs, attributes):
    return graph.add('Reshape', [*inputs, graph.constant(f'{name}_shape', attributes['shape'], np.int64)], name)


def _split(graph, name, inputs, attributes):
    outputs = [f'{name}_{part}' for part in range(attributes['num_outputs'])]
    graph.nodes.append(onnx.helper.make_node('Split', inputs, outputs, name, axis=attributes['axis']))
    return outputs


def _stack(graph, name, inputs, attributes):
    axis = attributes['axis']
    at = graph.constant(f'{name}_axis', [axis], np.int64)
    return graph.add('Concat', [graph.add('Unsqueeze', [part, at], f'{name}_{index}')
                                for index, part in enumerate(inputs)], name, axis=axis)


def _sum(graph, name, inputs, attributes):
    axes = graph.constant(f'{name}_axes', _axes(attributes), np.int64)
    return graph.add('ReduceSum', [*inputs, axes], name, keepdims=int(attributes.get('keepdims', 0)))


def _max(graph, name, inputs, attributes):
    return graph.add('ReduceMax', inputs, name, axes=_axes(attributes), keepdims=int(attributes.get('keepdims', 0)))


def _axes(attributes):
    axis = attributes['axis']
    return list(axis) if isinstance(axis, tuple) else [axis]


def _arange_like(graph, name, inputs, attributes):
    """0, 1, ... along an axis of a tensor (B, K, n), whose size may be open: ones added up."""
    others = [axis for axis in range(3) if axis != attributes['axis']]
    line = graph.add('ReduceMax', inputs, f'{name}_line', axes=others, keepdims=0)
    zeros = graph.add('Mul', [line, graph.constant(f'{name}_zero', 0)], f'{name}_zeros')
    ones = graph.add('Add', [zeros, graph.constant(f'{name}_one', 1)], f'{name}_ones')
    counted = graph.add('CumSum', [ones, graph.constant(f'{name}_axis', 0, np.int64)], f'{name}_counted')
    return graph.add('Sub', [counted, graph.constant(f'{name}_first', 1)], name)


def _argmax(graph, name, inputs, attributes):
    own = {'axis': attributes['axis'], 'keepdims': int(attributes['keepdims'])}
    places = graph.add('ArgMax', inputs, f'{name}_places', **own)
    return graph.add('Cast', [places], name, to=onnx.TensorProto.FLOAT)


def _not_above(graph, name, inputs, attributes):
    bound = graph.constant(f'{name}_bound', attributes['scalar'])
    return graph.add('Cast', [graph.add('LessOrEqual', [*inputs, bound], f'{name}_is')], name,
                     to=onnx.TensorProto.FLOAT)


def _flip(graph, name, inputs, attributes):
    parts = {'from': -1, 'to': -2 ** 31, 'axis': _axes(attributes)[0], 'step': -1}          # backwards from the last
    own = [graph.constant(f'{name}_{key}', [value], np.int64) for key, value in parts.items()]
    return graph.add('Slice', [*inputs, *own], name)


def _slice_axis(graph, name, inputs, attributes):
    parts = {'from': attributes['begin'], 'to': attributes['end'], 'axis': attributes['axis']}
    own = [graph.constant(f'{name}_{key}', [value], np.int64) for key, value in parts.items()]
    return graph.add('Slice', [*inputs, *own], name)


def _take(graph, name, inputs, attributes):
    data, order = inputs
    chosen = graph.constant(f'{name}_order', graph.arrays[order], np.int64)
    return graph.add('Gather', [data, chosen], name, axis=attributes['axis'])


def _expand_dims(graph, name, inputs, attributes):
    return graph.add('Unsqueeze', [*inputs, graph.constant(f'{name}_axis', [attributes['axis']], np.int64)], name)


def _ones_like(graph, name, inputs, _):
    zeros = graph.add('Mul', [*inputs, graph.constant(f'{name}_zero', 0)], f'{name}_zeros')
    return graph.add('Add', [zeros, graph.constant(f'{name}_one', 1)], name)


def _scalar_first(operator):
    """As `_scalar`, for what does not commute."""
    return lambda graph, name, inputs, attributes: graph.add(
        operator, [graph.constant(f'{name}_scalar', attributes['scalar']), *inputs], name)


def _plain(operator):
    """The operator of the same inputs and no attributes."""
    return lambda graph, name, inputs, _: graph.add(operator, inputs, name)


def _scalar(operator):
    return lambda graph, name, inputs, attributes: graph.add(
        operator, [*inputs, graph.constant(f'{name}_scalar', attributes['scalar'])], name)


def _same(_graph, _name, inputs, _):
    """What changes nothing here: `_weights` has batch normalisation in the layer before it."""
    return inputs[0]


# What the converters take for granted of attributes that they do not read.
FIXED = {'Activation': {'act_type': 'relu'}, 'Convolution': {'num_group': 1, 'dilate': (1, 1)},
         'Deconvolution': {'kernel': (4, 4), 'stride': (2, 2), 'pad': (1, 1), 'adj': (0, 0), 'num_group': 1}}

CONVERTERS = {
    '_image_to_tensor': _to_tensor, '_image_normalize': _normalize,
    'Convolution': _convolution, 'Deconvolution': _deconvolution, 'BatchNorm': _same, 'Activation': _activation,
    'Pooling': _pooling, 'FullyConnected': _fully_connected,
    'Concat': lambda graph, name, inputs, attributes: graph.add('Concat', inputs, name, axis=attributes['dim']),
    'Reshape': _reshape, 'SliceChannel': _split, 'stack': _stack, 'expand_dims': _expand_dims, 'reverse': _flip,
    'take': _take, 'slice_axis': _slice_axis, 'BlockGrad': _same, 'max': _max, 'sum': _sum, 'argmax': _argmax,
    '_contrib_arange_like': _arange_like,
    'ones_like': _ones_like, 'exp': _plain('Exp'), 'relu': _plain('Relu'),
    'abs': _plain('Abs'), 'sign': _plain('Sign'), 'dot': _plain('MatMul'), 'elemwise_add': _plain('Add'),
    'elemwise_sub': _plain('Sub'), 'broadcast_sub': _plain('Sub'), 'elemwise_mul': _plain('Mul'),
    'broadcast_mul': _plain('Mul'), 'elemwise_div': _plain('Div'), '_plus_scalar': _scalar('Add'),
    '_minus_scalar': _scalar('Sub'), '_rminus_scalar': _scalar_first('Sub'), '_mul_scalar': _scalar('Mul'),
    '_div_scalar': _scalar('Div'), '_lesser_equal_scalar': _not_above}
