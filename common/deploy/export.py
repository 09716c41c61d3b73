"""Write a trained network as what other programs run.

    python -m common.export --cfg experiments/mpii/table2/i1.yaml --params output/mpii/table2/i1/best.params \\
        --out DIR --onnx --int8 --images data/mpii/images

Writes DIR/<name>-symbol.json and DIR/<name>-0000.params, which `mxnet.gluon.SymbolBlock.imports` reads in any language
of MXNet; with --onnx DIR/<name>.onnx; with --int8 DIR/<name>-int8.onnx, in 8-bit integers, whose ranges are those met
in up to 200 photographs of --images; with --float16 DIR/<name>-float16.params, of half the size, and DIR/<name>.yaml,
which programs of this project take as --params and --cfg. <name> is the last part of the experiment's: i1.

Both .onnx take `images`, uint8 (N, H, W, 3) in RGB, any N, and give `heatmaps` (N, K, H/s, W/s) and `joints` (N, K, 2)
in input pixels; several stages are numbered from 1 (`joints1`); R1 has no heat maps. Programs of this project take
them as --params.
"""
from pathlib import Path

import mxnet as mx
import numpy as np

from common import config, experiment, files
from common.data.images import find_photographs
from common.deploy import onnx_graph
from common.errors import InputError
from common.predict import onnx_net
from common.programs import options
from common.programs.cli import run
from common.weights import checkpoint


def export(cfg, params, base, onnx=False, photographs=None, float16=False):
    """Write the network of a configuration and a .params file to files whose names begin with `base`.

    onnx: write ONNX; photographs: files to calibrate integers on, which are written too then; float16: write
    parameters in half precision. Returns the paths. InputError where a parameter is too large for half precision.
    """
    joints = config.JOINTS[cfg.data.set]
    net = experiment.network(cfg, joints, [mx.cpu()])
    checkpoint.load_parameters(net, params, [mx.cpu()])
    heatmaps, regressed = net(mx.sym.var('data', dtype='uint8'))
    symbol = mx.sym.Group(heatmaps + regressed)
    arrays = {parameter.name: parameter.data() for parameter in checkpoint.parameters(net).values()}
    written = _write_mxnet(base, symbol, arrays) + (_write_float16(base, cfg, net) if float16 else [])
    if onnx or photographs:
        width, height = cfg.input.size
        model = onnx_graph.build(symbol, {name: array.asnumpy() for name, array in arrays.items()},
                                 (1, height, width, 3), onnx_net.output_names(cfg), onnx_net.metadata(cfg, joints))
    if onnx:
        written.append(Path(f'{base}.onnx'))
        with files.replacing(written[-1]) as temporary:
            temporary.write_bytes(model.SerializeToString())
    if photographs:
        from common.deploy.quantize import quantize
        written.append(Path(f'{base}-int8.onnx'))
        quantize(model, written[-1], photographs, cfg.input.size)
    return written


def _write_mxnet(base, symbol, arrays):
    """What `HybridBlock.export` writes, safely (`files.replacing`)."""
    graph, values = Path(f'{base}-symbol.json'), Path(f'{base}-0000.params')
    files.write_text(graph, symbol.tojson())
    kinds = {name: kind for kind, names in (('arg', symbol.list_arguments()), ('aux', symbol.list_auxiliary_states()))
             for name in names}
    checkpoint.write_arrays(values, {f'{kinds[name]}:{name}': array for name, array in arrays.items()})
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


def main(argv=None):
    parser = options.parser(__doc__)
    options.add_configuration(parser)
    parser.add_argument('--params', required=True, metavar='FILE', help='the network\'s .params')
    parser.add_argument('--out', required=True, metavar='DIR', help='the folder for the files')
    parser.add_argument('--onnx', action='store_true', help='write ONNX')
    parser.add_argument('--int8', action='store_true', help='write ONNX in 8-bit integers')
    parser.add_argument('--float16', action='store_true', help='write .params in half precision')
    parser.add_argument('--images', metavar='FOLDER', help='photographs of people to calibrate --int8 on')
    args = parser.parse_args(argv)
    if args.int8 != bool(args.images):
        raise InputError('--int8 and --images go together: integers are calibrated on a folder of photographs')
    cfg = config.load(args.cfg, args.overrides)
    photographs = find_photographs(Path(args.images)) if args.int8 else None
    if args.onnx or args.int8:
        onnx_graph.require()
    if args.int8:
        onnx_net.require()
    base = Path(args.out) / Path(cfg.name).name
    names = ['-symbol.json', '-0000.params', *['.onnx'] * args.onnx, *['-int8.onnx'] * args.int8,
             *['-float16.params', '.yaml'] * args.float16]
    files.check_outputs([f'{base}{name}' for name in names], [args.cfg, args.params])
    written = export(cfg, args.params, base, args.onnx, photographs, args.float16)
    print('\n'.join(f'{path} ({path.stat().st_size / 1e6:.1f} MB)' for path in written))


if __name__ == '__main__':
    run(main)
