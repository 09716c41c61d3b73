"""What the tests of exports share: networks that might have been trained, and photographs for them."""
import mxnet as mx
import numpy as np

from common import config, runtime
from common.data.crop import crop_matrix, invert
from common.data.images import read_crop
from common.nets import pose_net
from common.weights import checkpoint

CPU = [mx.cpu()]
TINY = 'input.size=[64, 64]'


def experiment(root, name, *overrides):
    """A configuration of experiments/cpu for 64 x 64 pixels."""
    return config.load(root / f'experiments/cpu/{name}.yaml', [TINY, *overrides])


def network(cfg):
    """A network with random parameters, as if it were trained: of every layer something passes."""
    runtime.seed_everything(0)
    net = pose_net.create(cfg, CPU)
    rng = np.random.default_rng(1)
    for name, parameter in checkpoint.parameters(net).items():
        kind, shape = name.rpartition('.')[2], parameter.shape
        if kind == 'gamma':                   # small, or else the maps grow with every residual block
            parameter.set_data(mx.nd.array(rng.uniform(0.1, 0.5, shape)))
        elif kind == 'running_var':
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, shape)))
        elif kind in ('beta', 'running_mean', 'bias'):
            parameter.set_data(mx.nd.array(rng.normal(0, 0.1, shape)))
        elif '.final.' in name:
            parameter.set_data(mx.nd.array(rng.normal(0, 0.05, shape)))
    return net


def photographs(folder, size, number=3):
    """Crops (number, H, W, 3) of real images, or of generated ones, below a folder."""
    return np.stack([read_crop(path, invert(crop_matrix((48, 48, 96, 96), size)), size)
                     for path in sorted(folder.rglob('*.jpg'))[:number]])
