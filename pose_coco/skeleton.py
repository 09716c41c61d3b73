"""The 17 joints of COCO (Lin et al., ECCV 2014), in the order of its annotations and of every array here."""

JOINTS = ('nose', 'left eye', 'right eye', 'left ear', 'right ear', 'left shoulder', 'right shoulder', 'left elbow',
          'right elbow', 'left wrist', 'right wrist', 'left hip', 'right hip', 'left knee', 'right knee', 'left ankle',
          'right ankle')

# Joints that change places when the image is mirrored.
FLIP_PAIRS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))

# COCO's own "skeleton".
LIMBS = ((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
         (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6))

# How far annotators differ on each joint, in units of the square root of the person's area (COCO's evaluation).
SIGMAS = (.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089)

# A letter a joint: the person's right, left or middle.
SIDES = ''.join(name[0].upper() if name.startswith(('right ', 'left ')) else 'M' for name in JOINTS)
