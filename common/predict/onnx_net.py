"""An exported network, run by onnxruntime in the place of MXNet's."""
import json

import mxnet as mx
import numpy as np

from common import config, files, grid, runtime
from common.errors import InputError
from common.guard import graph
from common.guard.checks import is_list

try:
    import onnxruntime
except ImportError:
    onnxruntime = None


def require():
    """InputError where one of the packages is not installed: onnxruntime, and onnx, by which files are checked."""
    if onnxruntime is None or graph.onnx is None:
        raise InputError('ONNX needs the packages onnx and onnxruntime: sh scripts/setup.sh export')


def identity(cfg) -> dict:
    """What an exported network of a configuration computes, and so what its user's has to agree in: {key: value}."""
    keys = ('backbone', 'head', 'deconvolutions', 'stages', 'beta', 'debiased', 'grid')
    return {'joints': len(cfg.data.skeleton['joints']), **{f'input.{key}': list(cfg.input[key]) for key in cfg.input},
            **{f'network.{key}': cfg.network[key] for key in keys}}


def metadata(cfg, trained) -> dict:
    """The same as an .onnx file holds it, {key: text}, with the joints (K,) that were `trained` (`pose_net.moved`)."""
    return {'experiment': cfg.name, 'network': json.dumps(identity(cfg)), 'trained': json.dumps(trained.tolist())}


def output_names(cfg) -> list:
    """The outputs' names: heatmaps and joints, followed by the number of the stage where there are several."""
    stages = cfg.network.stages
    numbers = range(1, stages + 1) if stages > 1 else ['']
    kinds = ('joints',) if cfg.network.head == 'regression' else ('heatmaps', 'joints')
    return [f'{kind}{number}' for kind in kinds for number in numbers]


class OnnxNet:
    """An .onnx file of `common.export`, called as the network is: images uint8 (B, H, W, 3) -> two lists of NDArrays.

    These hold a member a stage (none, of heat maps, for a regression network), see `nets/pose_net.py`. It runs on the
    CPU, with as many threads as MXNet. InputError if the file is not such an export (`guard/graph.py`), or of another
    network than the configuration's, and where onnxruntime or onnx is not installed.
    """

    def __init__(self, path, cfg):
        require()
        self.stride = None if cfg.network.head == 'regression' else grid.stride(cfg.network.deconvolutions)
        self._path, self._names = path, output_names(cfg)
        self._session = _session(path)
        _check(path, self._session, cfg)
        self._trained = _trained(path, self._session, len(cfg.data.skeleton['joints']))
        self._try(cfg)

    def __call__(self, images):
        outputs = [mx.nd.array(output) for output in self._run(images.asnumpy())]
        heatmaps = [output for name, output in zip(self._names, outputs) if name.startswith('heatmaps')]
        return heatmaps, outputs[len(heatmaps):]

    def trained_joints(self) -> np.ndarray:
        """Which joints (K,) the network was ever trained to find (`pose_net.moved`)."""
        return self._trained

    def _run(self, images):
        try:
            return self._session.run(self._names, {'images': images})
        except Exception as error:            # onnxruntime has many, all derived from this alone
            raise InputError(f'{self._path}: cannot be run ({_line(error)})') from None

    def _try(self, cfg):
        """InputError unless the outputs have the shapes that they should have."""
        (width, height), joints = cfg.input.size, len(cfg.data.skeleton['joints'])
        for name, output in zip(self._names, self._run(np.zeros((1, height, width, 3), np.uint8))):
            s = self.stride
            expected = (1, joints, height // s, width // s) if name.startswith('heatmaps') else (1, joints, 2)
            if output.shape != expected or output.dtype != np.float32:
                raise InputError(f'{self._path}: {name} has shape {output.shape}, expected {expected}; export it again')


def _session(path):
    """onnxruntime's session of a file."""
    onnxruntime.set_default_logger_severity(4)                                 # a bad file is reported once, by us
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.threads()
    options.add_session_config_entry('session.load_model_format', 'ONNX')      # onnxruntime has one of its own
    content = files.read_bytes(path)
    graph.check(path, content)
    try:                                      # its fallback prints, and tries the same once more
        return onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'], enable_fallback=0)
    except Exception as error:
        raise InputError(f'{path}: not an ONNX model that onnxruntime can run ({_line(error)})') from None


def _line(error):
    """The first line of a foreign error's message, not too long."""
    line = (str(error).splitlines() or [''])[0]
    return f'{line[:77]}...' if len(line) > 80 else line


def _check(path, session, cfg):
    """InputError unless a file's metadata are those of the configuration."""
    try:
        theirs = dict(json.loads(session.get_modelmeta().custom_metadata_map['network']))
    except (KeyError, ValueError, TypeError, RecursionError):
        raise InputError(f'{path}: not an export of a network (python -m common.export writes them)') from None
    for key, value in identity(cfg).items():
        if theirs.get(key, config.BEFORE.get(key)) != value:
            raise InputError(f'{path}: exported with {key} {theirs.get(key)!r:.80}; {cfg.path} has {value!r}')


def _trained(path, session, joints):
    """What a file's metadata say of its `joints`, (K,) bool; an older file says nothing, and all count."""
    try:
        trained = json.loads(session.get_modelmeta().custom_metadata_map.get('trained', json.dumps([True] * joints)))
    except (ValueError, RecursionError):
        trained = None
    if not is_list(trained, lambda value: isinstance(value, bool), joints):
        raise InputError(f'{path}: its "trained" is no list of {joints} times true or false; export it again')
    return np.array(trained)
