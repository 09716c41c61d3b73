"""What the exports' precisions cost: PCKh of a network on a validation split in MXNet, and of its exports.

    python test/benchmark/exactness.py --data DIR [--cfg YAML --params FILE] [--json FILE]

ONNX in float32 and bfloat16 (OpenVINO) and in 8-bit integers (ONNX Runtime and OpenVINO), which are calibrated on
photographs of the training split. Of exports the configured decoding alone is scored. Needs the extra `benchmark`. The
network is the released one where none is given.
"""
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)

import common  # noqa: F401  before MXNet, which has to find what this sets and loads

import mxnet as mx

from common import config, files, provenance, results, runtime
from common.dataset import Source
from common.deploy.export import export
from common.export import to_calibrate_on
from common.predict import inference
from common.predict.onnx_net import OnnxNet
from common.programs import options
from common.programs.cli import run
from common.programs.test import predict_and_score
from pose_mpii.dataset import MPII


class OpenVINONet(OnnxNet):
    """An export in OpenVINO; precision: 'f32' or 'bf16'."""

    def __init__(self, path, cfg, precision):
        self._precision = precision
        super().__init__(path, cfg)

    def _open(self, content, context):
        import openvino
        return openvino.Core().compile_model(self._path, 'CPU', {
            'INFERENCE_NUM_THREADS': runtime.threads(), 'INFERENCE_PRECISION_HINT': self._precision})

    def _run(self, images):
        outputs = self._session([images])
        return [outputs[name] for name in self._names]


def networks(cfg, params, folder, photographs):
    """(title, network) of each: MXNet's first, the same exported after it."""
    yield 'MXNet, float32', inference.load_network(cfg, params, [mx.cpu()])
    base = Path(folder) / 'network'
    export(cfg, params, base, onnx=True, photographs=photographs)
    yield 'OpenVINO, float32', OpenVINONet(f'{base}.onnx', cfg, 'f32')
    yield 'OpenVINO, bfloat16', OpenVINONet(f'{base}.onnx', cfg, 'bf16')
    yield 'ONNX Runtime, int8', inference.load_network(cfg, f'{base}-int8.onnx', [mx.cpu()])
    yield 'OpenVINO, int8', OpenVINONet(f'{base}-int8.onnx', cfg, 'f32')


def main(argv=None):
    parser = options.parser(__doc__)
    options.add_configuration(parser, MPII.released.with_suffix('.yaml'))
    parser.add_argument('--params', default=MPII.released, metavar='FILE', help='its .params')
    parser.add_argument('--data', required=True, help='folder in the MPII layout')
    parser.add_argument('--json', metavar='FILE', help='write the scores')
    args = parser.parse_args(argv)
    cfg = config.load(args.cfg, args.overrides)
    split = cfg.data.valid
    people = MPII.people(Source(args.data, split), cfg.input.size)
    paths = [Path(sample.image) for sample in MPII.samples(Source(args.data, cfg.data.train), cfg.input.size)]
    photographs = to_calibrate_on(paths, args.data, cfg.input.size)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for title, net in networks(cfg, args.params, folder, photographs):
            _, _, scores = predict_and_score(MPII, cfg, net, people, [mx.cpu()], title)
            found[title] = {method: {key: scores[method][key] for key in MPII.metrics} for method in scores}
            print(f'{title}\n{results.by_decoding(scores, MPII.metrics)}', flush=True)
            if args.json:
                files.write_json(args.json, {**provenance.of_test(cfg, args.data, split), 'scores': found})


if __name__ == '__main__':
    run(main)
