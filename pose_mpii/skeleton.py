"""The 16 joints of MPII (Andriluka et al., CVPR 2014), in the order of its annotations and of every array here."""
from pathlib import Path

from common import skeleton

SKELETON = skeleton.read(Path(__file__).with_name('skeleton.yaml'))
JOINTS = SKELETON.joints

# The names inside gt_valid.mat.
SHORT_NAMES = ('rank', 'rkne', 'rhip', 'lhip', 'lkne', 'lank', 'pelv', 'thor', 'neck', 'head', 'rwri', 'relb',
               'rsho', 'lsho', 'lelb', 'lwri')

PELVIS, THORAX, NECK, HEAD = 6, 7, 8, 9

# The columns of Table 6. As in Simple Baselines and MMPose, "Head" is the head top; MPII's server counts the neck, too.
GROUPS = {'Head': (9,), 'Sho.': (12, 13), 'Elb.': (11, 14), 'Wri.': (10, 15), 'Hip': (2, 3), 'Knee': (1, 4),
          'Ank.': (0, 5), 'Head+neck': (8, 9)}
