"""Write a trained network as what other programs run.

    python -m common.export --cfg experiments/mpii/table2/i1.yaml --params output/mpii/table2/i1/best.params \\
        --out DIR --onnx --int8 --images data/mpii/images

Writes DIR/<name>-symbol.json and DIR/<name>-0000.params, which `mxnet.gluon.SymbolBlock.imports` reads in any language
of MXNet: images -> heat maps and the network's own joints of all stages; with --onnx DIR/<name>.onnx; with --int8
DIR/<name>-int8.onnx, in 8-bit integers, whose ranges are those met in up to 200 photographs of --images; with --float16
DIR/<name>-float16.params, of half the size, and DIR/<name>.yaml, which programs of this project take as --params and
--cfg. <name> is that of the .params file; for a training's best.params the last part of the experiment's: i1.

Both .onnx answer as the demo does (common/deploy/README.md). Programs of this project take them as --params, and need
no --cfg then.
"""
from pathlib import Path
from typing import Iterator

import numpy as np

from common import files
from common.deploy.export import export, network_name
from common.errors import InputError
from common.predict import onnx_net
from common.programs import options
from common.programs.cli import run
from common.programs.sources import Source, find_photographs, read_photographs

MOST = 200                                    # photographs to calibrate on


def spread(members, most) -> list:
    """At most so many members of a list, at even distances."""
    return [members[i] for i in np.linspace(0, len(members) - 1, min(most, len(members))).round().astype(int)]


def to_calibrate_on(paths, name, size) -> Iterator[np.ndarray]:
    """At most MOST of the photographs, RGB uint8 (H, W, 3), read when asked for; size: the network's input.

    One that cannot be read is a warning, and an InputError, which calls them by `name`, where none can.
    """
    source = Source('photographs', spread(paths, MOST), name)
    return (image for _, image, _ in read_photographs(source, lambda *_: None, size))


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
    cfg = options.load(args.cfg, args.overrides, args.params)
    photographs = None
    if args.int8:
        photographs = to_calibrate_on(find_photographs(Path(args.images)), args.images, cfg.input.size)
    if args.onnx or args.int8:
        onnx_net.require()
    base = Path(args.out) / network_name(cfg, args.params)
    names = ['-symbol.json', '-0000.params', *['.onnx'] * args.onnx, *['-int8.onnx'] * args.int8,
             *['-float16.params', '.yaml'] * args.float16]
    files.check_outputs([f'{base}{name}' for name in names], [args.cfg, args.params])
    written = export(cfg, args.params, base, args.onnx, photographs, args.float16)
    print('\n'.join(f'{path} ({path.stat().st_size / 1e6:.1f} MB)' for path in written))


if __name__ == '__main__':
    run(main)
