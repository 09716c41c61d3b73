"""Parameters and multiply-accumulates of a configured network, counted from its graph.

What the paper's tables call FLOPs agrees within 3% with the multiply-accumulates of convolutions, deconvolutions and
fully connected layers for one image; element-wise work is left out there, as here. The integral has none of these
layers: its share is the number of its own element-wise operations, given beside the total.
"""
import json
from math import prod

import mxnet as mx

from common.nets import pose_net


def count(cfg) -> dict:
    """{'parameters', 'multiply_accumulates', 'integral_operations'} of a configuration's network, whole numbers."""
    net = pose_net.build(cfg)
    data = mx.sym.var('data', dtype='uint8')
    heatmaps, regressed = net(data)
    width, height = cfg.input.size
    whole = _nodes(mx.sym.Group(heatmaps + regressed), (1, height, width, 3))
    before_integral = _nodes(mx.sym.Group(heatmaps), (1, height, width, 3)) if heatmaps else whole
    weights = [node for node in whole if node['op'] == 'null' and node['name'] != 'data']
    return {'parameters': sum(prod(node['shape']) for node in weights if 'running' not in node['name']),
            'multiply_accumulates': sum(map(_multiply_accumulates, whole)),
            'integral_operations': _elements(whole) - _elements(before_integral)}


def _nodes(symbol, shape):
    """The graph's nodes as dicts: op, name, attrs, shape (of the output) and inputs (their nodes)."""
    internals = symbol.get_internals()
    shapes = dict(zip(internals.list_outputs(), internals.infer_shape(data=shape)[1]))
    nodes = json.loads(symbol.tojson())['nodes']
    for node in nodes:
        names = (node['name'] + suffix for suffix in ('', '_output', '_output0'))      # a variable; one output; several
        node['shape'] = next(shapes[name] for name in names if name in shapes)
        node['inputs'] = [nodes[source] for source, *_ in node['inputs']]
    return nodes


def _multiply_accumulates(node):
    """A weight meets every output element of a convolution or dense layer, every input element of a deconvolution."""
    if node['op'] not in ('Convolution', 'Deconvolution', 'FullyConnected'):
        return 0
    data, weight = node['inputs'][:2]
    elements = data['shape'] if node['op'] == 'Deconvolution' else node['shape']
    return prod(elements) * prod(weight['shape'][1:])


def _elements(nodes):
    """Elements that operators read, the constants of the graph left out."""
    return sum(prod(source['shape']) for node in nodes for source in node['inputs'])
