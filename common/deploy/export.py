"""Write a trained network as what other programs run: MXNet's own files, ONNX, and ONNX in 8-bit integers."""
from pathlib import Path

import mxnet as mx
import numpy as np

from common import config, files, grid
from common.deploy import onnx_graph
from common.deploy.answer import Answer
from common.errors import InputError
from common.nets import pose_net
from common.predict import onnx_net
from common.train.run import BEST
from common.weights import checkpoint


def network_name(cfg, params) -> str:
    """What files made of a .params file are called: as that, or a training's best.params as its experiment ('i1')."""
    return Path(cfg.name).name if Path(params).name == BEST else Path(params).stem


def export(cfg, params, base, onnx=False, photographs=None, float16=False) -> list:
    """Write the network of a configuration and a .params file to files whose names begin with `base`.

    onnx: write ONNX; photographs: RGB images (`quantize.quantize`) to calibrate integers on, which are written too
    then; float16: write parameters in half precision. Returns the paths. InputError where a parameter is too large for
    half precision.
    """
    net = pose_net.create(cfg, [mx.cpu()])
    checkpoint.load_parameters(net, params, [mx.cpu()])
    written = _write_mxnet(base, net) + (_write_float16(base, cfg, net) if float16 else [])
    model = _onnx_model(cfg, net) if onnx or photographs else None
    if onnx:
        written.append(Path(f'{base}.onnx'))
        with files.replacing(written[-1]) as temporary:
            temporary.write_bytes(model.SerializeToString())
    if photographs:
        from common.deploy.quantize import quantize
        written.append(Path(f'{base}-int8.onnx'))
        quantize(model, written[-1], photographs, cfg.input.size)
    return written


def _onnx_model(cfg, net):
    """The network and all that is done with its outputs (`answer.Answer`); heat maps of any size, multiples of 32."""
    answer = Answer(cfg, net)
    symbol = mx.sym.Group(answer(mx.sym.var('data', dtype='uint8')))
    arrays = {parameter.name: parameter.data().asnumpy() for parameter in checkpoint.parameters(net).values()}
    arrays[answer.order.name] = answer.order.value.asnumpy()
    size, outputs, metadata = cfg.input.size[::-1], onnx_net.outputs(cfg), onnx_net.metadata(cfg, net.trained_joints())
    if cfg.network.head == 'heatmap':
        size, stride = ('H', 'W'), grid.stride(cfg.network.deconvolutions)
        outputs['heatmaps'][2:] = (f'{side}/{stride}' for side in size)
    return onnx_graph.build(symbol, arrays, outputs, size, metadata)


def _write_mxnet(base, net):
    """What `HybridBlock.export` writes, safely (`files.replacing`): heat maps and the network's own joints."""
    heatmaps, joints = net(mx.sym.var('data', dtype='uint8'))
    symbol = mx.sym.Group(heatmaps + joints)
    graph, values = Path(f'{base}-symbol.json'), Path(f'{base}-0000.params')
    files.write_text(graph, symbol.tojson())
    kinds = {name: kind for kind, names in (('arg', symbol.list_arguments()), ('aux', symbol.list_auxiliary_states()))
             for name in names}
    checkpoint.write_arrays(values, {f'{kinds[parameter.name]}:{parameter.name}': parameter.data()
                                     for parameter in checkpoint.parameters(net).values()})
    return [graph, values]


def _write_float16(base, cfg, net):
    """Parameters in half precision, and their configuration."""
    arrays = {name: parameter.data().astype('float16') for name, parameter in checkpoint.parameters(net).items()}
    for name, array in arrays.items():
        if not np.isfinite(array.asnumpy()).all():
            raise InputError(f'{name}: has values beyond those of half precision (65504); leave --float16 out')
    values, configuration = Path(f'{base}-float16.params'), Path(f'{base}.yaml')
    checkpoint.write_arrays(values, arrays)
    config.save(cfg, configuration)
    return [values, configuration]
