"""The 16 joints of MPII (Andriluka et al., CVPR 2014), in the order of its annotations and of every array here."""

JOINTS = ('right ankle', 'right knee', 'right hip', 'left hip', 'left knee', 'left ankle', 'pelvis', 'thorax',
          'upper neck', 'head top', 'right wrist', 'right elbow', 'right shoulder', 'left shoulder', 'left elbow',
          'left wrist')

# The names inside gt_valid.mat.
SHORT_NAMES = ('rank', 'rkne', 'rhip', 'lhip', 'lkne', 'lank', 'pelv', 'thor', 'neck', 'head', 'rwri', 'relb',
               'rsho', 'lsho', 'lelb', 'lwri')

PELVIS, THORAX, NECK, HEAD = 6, 7, 8, 9

# Joints that change places when the image is mirrored.
FLIP_PAIRS = ((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13))

LIMBS = ((0, 1), (1, 2), (2, 6), (3, 6), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (10, 11), (11, 12), (12, 7),
         (13, 7), (13, 14), (14, 15))

# The columns of Table 6. As in Simple Baselines and MMPose, "Head" is the head top; the neck counts in the mean only.
GROUPS = {'Head': (9,), 'Sho.': (12, 13), 'Elb.': (11, 14), 'Wri.': (10, 15), 'Hip': (2, 3), 'Knee': (1, 4),
          'Ank.': (0, 5)}

# A letter a joint: the person's right, left or middle.
SIDES = ''.join(name[0].upper() if name.startswith(('right ', 'left ')) else 'M' for name in JOINTS)
