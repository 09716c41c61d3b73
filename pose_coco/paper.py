"""Figures printed in "Integral Human Pose Regression" (arXiv 1711.08229 v1), section 6.2, to be shown beside ours."""

# Table 8: backbone, and AP, AP50, AP75, APM and APL in percent on test-dev, as the paper cites them (the year is the
# publication's); ours are named by their files below experiments/coco.
TABLE8 = {
    'Cao et al. (CMU-Pose), 2016': ('', 61.8, 84.9, 67.5, 57.1, 68.2),
    'He et al. (Mask R-CNN), 2017': ('ResNet-50-FPN', 63.1, 87.3, 68.7, 57.8, 71.4),
    'Papandreou et al. (G-RMI), 2017': ('ResNet-101 (353 x 257)', 64.9, 85.5, 71.3, 62.3, 70.0),
    'table8/h1': ('ResNet-101 (256 x 256)', 66.3, 88.4, 74.6, 62.9, 72.1),
    'table8/i1': ('ResNet-101 (256 x 256)', 67.8, 88.2, 74.8, 63.9, 74.0),
}

# (AP, AP50, AP75, APM, APL) of our own, by the file below experiments/coco.
SCORES = {name: figures for name, (_, *figures) in TABLE8.items() if name.startswith('table8/')}
