"""Figures printed in the paper, to be shown beside ours.

TABLE2: Table 2 of "Integral Human Pose Regression" (arXiv 1711.08229 v1), ResNet-50 at 256 x 256 on the MPII
validation split: (PCKh@0.5, PCKh@0.1, AUC) in percent.
"""

TABLE2 = {
    'h1': (86.8, 17.2, 52.9),
    'h2': (86.4, 17.6, 53.1),
    'h3': (83.0, 12.6, 46.3),
    'r1': (84.6, 25.0, 54.1),
    'i1': (87.3, 29.3, 58.3),
    'i2': (86.9, 29.7, 58.3),
    'i3': (86.6, 29.1, 57.7),
    'istar': (86.0, 28.3, 56.6),
}
