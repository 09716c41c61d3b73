"""Exported networks: what their files say of themselves, and running them by onnxruntime in the place of MXNet's."""
import json
from ctypes.util import find_library
from pathlib import Path

import mxnet as mx
import numpy as np

from common import config, files, grid, runtime
from common.errors import InputError
from common.guard import graph, yaml_text
from common.guard.rules import is_list
from common.predict.boxes import PADDING
from common.predict.decode import Found

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

CUDA = 'CUDAExecutionProvider'


def is_export(params) -> bool:
    """Whether the file that --params names is an exported network."""
    return params is not None and Path(params).suffix == '.onnx'


def require():
    """InputError where one of the packages is not installed: onnxruntime, and onnx, by which files are checked."""
    if onnxruntime is None or graph.onnx is None:
        raise InputError('ONNX needs the packages onnx and onnxruntime: sh scripts/setup.sh export')


# --- what a file says ----------------------------------------------------------------------------------------------

def metadata(cfg, trained) -> dict:
    """What an .onnx file says of itself, {key: text}: its configuration, and what a user of the file needs.

    trained: which joints (K,) were, `nets.trained.moved`.
    """
    return {'configuration': config.text(cfg), 'skeleton': json.dumps(dict(cfg.data.skeleton)),
            'trained': json.dumps(trained.tolist()), 'input_size': json.dumps(list(cfg.input.size)),
            'box_padding': str(PADDING), 'decoding': cfg.test.decode, 'flip_test': json.dumps(cfg.test.flip)}


def configuration(path, overrides=()):
    """The configuration in an .onnx file, with overrides (`config.load`); InputError where it has none."""
    require()
    return _configuration(path, graph.metadata(path, files.read_bytes(path)), overrides)


def _configuration(path, about, overrides=()):
    written = about.get('configuration')
    if written is None or len(written) > yaml_text.MOST_BYTES:
        raise InputError(f'{path}: not an export of a network (python -m common.export writes them; one of an earlier '
                         'version has to be exported again)')
    return config.load(path, overrides, written)


def outputs(cfg) -> dict:
    """The outputs of an export and their shapes, {name: [numbers, or names of what is open]}, in their order."""
    joints, (width, height) = len(cfg.data.skeleton['joints']), cfg.input.size
    found = {'joints': ['N', joints, 2], 'scores': ['N', joints]}
    if cfg.network.head != 'regression':
        stride = grid.stride(cfg.network.deconvolutions)
        found['heatmaps'] = ['N', joints, height // stride, width // stride]
    return found


def _check(path, exported, cfg):
    """InputError unless a file's configuration is what the one in use asks for."""
    theirs = _fixed(exported)
    for key, value in _fixed(cfg).items():
        if theirs.get(key) != value:
            raise InputError(f'{path}: exported with {key} {theirs.get(key)!r:.80}, not {value!r:.80}, as '
                             '--cfg, --set or --flip-test have it; export it again with that, or leave these out')


def _trained(path, text, joints):
    """Which of so many joints a file says that the network was trained to find, (K,) bool."""
    try:
        trained = json.loads(text or '')
    except (ValueError, RecursionError):
        trained = None
    if not is_list(trained, lambda value: isinstance(value, bool), joints):
        raise InputError(f'{path}: its "trained" is no list of {joints} times true or false; export it again')
    return np.array(trained)


def _fixed(cfg):
    """What a user of an export cannot change: {key: value}."""
    network = ('backbone', 'head', 'deconvolutions', 'stages', 'beta', 'debiased', 'grid')
    found = {'joints': list(cfg.data.skeleton['joints']), **{f'network.{key}': cfg.network[key] for key in network},
             **{f'test.{key}': cfg.test[key] for key in ('decode', 'window', 'stage', 'flip')},
             **{f'input.{key}': list(cfg.input[key]) for key in ('mean', 'std')}}
    return {**found, 'input.size': list(cfg.input.size)} if cfg.network.head == 'regression' else found


# --- running it ----------------------------------------------------------------------------------------------------

def contexts(gpus=None, cpus=None) -> list:
    """The device from the command line, as `runtime.contexts`, but one: a GPU is onnxruntime's, not MXNet's.

    Without either option it is the first GPU where onnxruntime has CUDA, and there is a driver. InputError where --gpus
    asks for one, and onnxruntime was built without CUDA.
    """
    require()
    present = CUDA in onnxruntime.get_available_providers()
    if cpus is not None or gpus is None and not (present and find_library('cuda')):
        return runtime.contexts(cpus=1 if cpus is None else cpus)[:1]
    if not present:
        raise InputError(f'--gpus {gpus}: this onnxruntime has no CUDA (.venv/bin/pip install onnxruntime-gpu brings '
                         'it); use --cpus 1')
    number = '0' if gpus is None else gpus
    if not number.isdecimal():
        raise InputError(f'--gpus {gpus}: an export runs on one GPU; expected its number, such as 0')
    return [mx.gpu(int(number))]


class OnnxNet:
    """An .onnx file of `common.export`, which finds joints by itself: `find`.

    On the CPU it has as many threads as MXNet. InputError if the file is not such an export (`guard/graph.py`), or of
    another network or decoding than the configuration's, and where onnxruntime or onnx is not installed.
    """

    def __init__(self, path, cfg, context=mx.cpu()):
        require()
        self._path, self._names = path, list(outputs(cfg))
        content = files.read_bytes(path)
        graph.check(path, content, cfg.input.size)
        about = graph.metadata(path, content)
        _check(path, _configuration(path, about), cfg)
        self._trained = _trained(path, about.get('trained'), len(cfg.data.skeleton['joints']))
        self._session = self._open(content, context)
        self._try(cfg)

    def find(self, images) -> Found:
        """Joints, scores and heat maps of images uint8 (B, H, W, 3)."""
        found = dict(zip(self._names, self._run(images)))
        return Found(found['joints'], found['scores'], found.get('heatmaps'))

    def trained_joints(self) -> np.ndarray:
        """Which joints (K,) the network was ever trained to find (`nets.trained.moved`)."""
        return self._trained

    def _open(self, content, context):
        """onnxruntime's session of a file's content."""
        onnxruntime.set_default_logger_severity(4)                             # a bad file is reported once, by us
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = runtime.threads()
        options.add_session_config_entry('session.load_model_format', 'ONNX')  # onnxruntime has one of its own
        wanted = [(CUDA, {'device_id': context.device_id})] * (context.device_type == 'gpu')
        try:                                  # its fallback prints, and tries the same once more
            session = onnxruntime.InferenceSession(content, options, providers=[*wanted, 'CPUExecutionProvider'],
                                                   enable_fallback=0)
        except Exception as error:
            what = f'--gpus {context.device_id}: onnxruntime cannot use it' if wanted else \
                f'{self._path}: not an ONNX model that onnxruntime can run'
            raise InputError(f'{what} ({_line(error)})') from None
        if wanted and CUDA not in session.get_providers():
            raise InputError(f'--gpus {context.device_id}: onnxruntime cannot use it (is there a driver, and do CUDA '
                             'and cuDNN fit onnxruntime-gpu?); use --cpus 1')
        return session

    def _run(self, images):
        try:
            return self._session.run(self._names, {'images': images})
        except Exception as error:            # onnxruntime has many, all derived from this alone
            raise InputError(f'{self._path}: cannot be run ({_line(error)})') from None

    def _try(self, cfg):
        """InputError unless the outputs have the shapes that they should have."""
        width, height = cfg.input.size
        for (name, shape), found in zip(outputs(cfg).items(), self._run(np.zeros((1, height, width, 3), np.uint8))):
            if found.shape != (1, *shape[1:]) or found.dtype != np.float32:
                raise InputError(f'{self._path}: {name} has shape {found.shape}, expected {(1, *shape[1:])}; export it '
                                 'again')


def _line(error):
    """The first line of a foreign error's message, not too long."""
    line = (str(error).splitlines() or [''])[0]
    return f'{line[:77]}...' if len(line) > 80 else line
