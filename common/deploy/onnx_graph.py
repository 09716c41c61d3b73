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

from common.deploy.onnx_operators import CONVERTERS, FIXED
from common.errors import InputError
from common.guard.graph import onnx

OPSET, IR_VERSION = 13, 7                     # the least with scales per channel; onnxruntime 1.6 and later run it
LAYERS = ('Convolution', 'Deconvolution', 'FullyConnected')


def build(symbol, arrays, outputs, size, metadata) -> 'onnx.ModelProto':
    """The ONNX model (`onnx.ModelProto`) of an MXNet symbol whose one input, uint8 (B, H, W, 3), is called 'data'.

    arrays: {name: array} of its parameters, constants and running statistics; outputs: their names, in the symbol's
    order, and their shapes, {name: [number or name of each dimension]}; size: H and W, numbers or their names where
    they are left open, as B is; metadata: {key: text} to go with it. The input is called 'images'. InputError for an
    operator of the network that cannot be written.
    """
    tree = json.loads(symbol.tojson())
    nodes = tree['nodes']
    for (index, *_), name in zip(tree['heads'], outputs):
        nodes[index]['name'] = name
    graph = Graph(_weights(nodes, arrays), arrays)
    tensors = []                              # of every node of MXNet: the names of what it puts out
    for node in nodes:
        if node['op'] == 'null':              # the others are parameters, of the converters' own
            tensors.append(['images' if node['name'] == 'data' else node['name']])
            continue
        inputs = [tensors[source][output] for source, output, _ in node['inputs']]
        attributes = {key: _value(text) for key, text in node.get('attrs', {}).items()}
        _require_convertible(node, attributes)
        found = CONVERTERS[node['op']](graph, node['name'], inputs, attributes)
        tensors.append(found if isinstance(found, list) else [found])
    infos = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    images = onnx.helper.make_tensor_value_info('images', onnx.TensorProto.UINT8, ['N', *size, 3])
    model = onnx.helper.make_model(onnx.helper.make_graph(graph.nodes, 'pose', [images], infos, graph.constants),
                                   opset_imports=[onnx.helper.make_opsetid('', OPSET)], ir_version=IR_VERSION,
                                   producer_name='integral-human-pose')
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model


def _require_convertible(node, attributes):
    wrong = {key: attributes[key] for key, value in FIXED.get(node['op'], {}).items()
             if attributes.get(key, value) not in (value, ())}
    if node['op'] not in CONVERTERS or wrong:
        having = ' with ' + ', '.join(f'{key} {value}' for key, value in wrong.items()) if wrong else ''
        raise InputError(f'{node["name"]}: {node["op"]}{having} cannot be written as ONNX (common/deploy/'
                         'onnx_operators.py)')


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


class Graph:
    """The nodes and constants written so far; every node has the name of its output."""

    def __init__(self, weights, arrays):
        self.weights, self.arrays = weights, arrays            # of layers; of all parameters and constants
        self.nodes, self.constants, self.taken = [], [], Counter()
        self.phases = {}                                       # of a deconvolution: see `_deconvolution`

    def unique(self, name) -> str:
        """The name, with a number after it where it is taken: stages share the names of their integral."""
        self.taken[name] += 1
        return name if self.taken[name] == 1 else f'{name}_{self.taken[name]}'

    def add(self, operator, inputs, name, **attributes) -> str:
        name = self.unique(name)
        self.nodes.append(onnx.helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, name, values, kind=np.float32) -> str:
        name = self.unique(name)
        self.constants.append(onnx.numpy_helper.from_array(np.array(values, kind, order='C'), name))
        return name

    def layer(self, operator, inputs, name, weight, bias, **attributes) -> str:
        own = self.constant(f'{name}_weight', weight), self.constant(f'{name}_bias', np.zeros(len(weight)) + bias)
        return self.add(operator, [*inputs, *own], name, **attributes)
