"""ResNets and heads with an eighth of their channels, for tests of how a training runs: what it learns is not asked.

As a program it runs another one with them: python test/narrow.py pose_mpii/train.py --cfg ...
"""
import runpy
import sys
from pathlib import Path

import pytest

if __name__ == '__main__':
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.nets import backbone, pose_net
from pose_mpii import tables


class NarrowResNet(backbone.ResNetV1b):
    """GluonCV's, with an eighth of the channels from conv2 on."""

    def _make_layer(self, stage, block, channels, *args, **kwargs):
        return super()._make_layer(stage, block, channels // 8, *args, **kwargs)


def narrow(patch):
    """Whoever builds a network gets a narrow one, until a pytest.MonkeyPatch is undone."""
    patch.setattr(backbone, 'ResNetV1b', NarrowResNet)
    patch.setattr(pose_net, 'CHANNELS', pose_net.CHANNELS // 8)
    patch.setattr(tables, '_count', tables._count.__wrapped__)      # without its cache, which would remember them


if __name__ == '__main__':
    narrow(pytest.MonkeyPatch())
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name='__main__')
