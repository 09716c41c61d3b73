"""Figures printed in "Integral Human Pose Regression" (arXiv 1711.08229 v1), section 6.1, to be shown beside ours."""

# (PCKh@0.5, PCKh@0.1, AUC) in percent on the MPII validation split, by the file below experiments/mpii.
SCORES = {
    'table2/h1': (86.8, 17.2, 52.9),
    'table2/h2': (86.4, 17.6, 53.1),
    'table2/h3': (83.0, 12.6, 46.3),
    'table2/r1': (84.6, 25.0, 54.1),
    'table2/i1': (87.3, 29.3, 58.3),
    'table2/i2': (86.9, 29.7, 58.3),
    'table2/i3': (86.6, 29.1, 57.7),
    'table2/istar': (86.0, 28.3, 56.6),
    'table3/a/h1': (81.6, 13.6, 46.6),
    'table3/a/i1': (83.2, 20.6, 50.7),
    'table3/b/h1': (75.4, 5.6, 34.1),
    'table3/b/i1': (80.9, 16.1, 47.2),
    'table3/c/h1': (86.7, 28.0, 57.7),
    'table3/c/i1': (86.6, 32.1, 58.9),
    'table3/d/h1': (86.8, 17.2, 52.9),
    'table3/d/i1': (87.3, 29.3, 58.3),
    'table4/resnet18/h1': (85.5, 15.7, 50.8),
    'table4/resnet18/r1': (82.4, 21.9, 50.8),
    'table4/resnet18/i1': (86.0, 25.7, 55.6),
    'table4/resnet50/h1': (86.8, 17.2, 52.9),
    'table4/resnet50/r1': (84.6, 25.0, 54.1),
    'table4/resnet50/i1': (87.3, 29.3, 58.3),
    'table4/resnet101/h1': (87.3, 17.3, 53.3),
    'table4/resnet101/r1': (85.7, 26.9, 55.6),
    'table4/resnet101/i1': (87.9, 30.3, 59.0),
    'table5/stages1/h1': (86.8, 17.2, 52.9),
    'table5/stages1/i1': (87.3, 29.3, 58.3),
    'table5/stages2/h1': (86.9, 17.6, 53.4),
    'table5/stages2/i1': (87.7, 32.0, 59.5),
    'table5/stages3/h1': (87.1, 17.8, 53.7),
    'table5/stages3/i1': (87.8, 32.4, 59.9),
    'table5/stages4/h1': (87.4, 17.8, 54.0),
    'table5/stages4/i1': (88.1, 32.3, 60.1),
}

# (billions of FLOPs, which fit multiply-accumulates; millions of parameters, which fit the ResNets alone with their
# classifiers: the networks with deconvolutions have more).
COMPLEXITY = {
    'table3/a': (1.8, 26),
    'table3/b': (1.5, 26),
    'table3/c': (7.3, 26),
    'table3/d': (6.2, 26),
    'table4/resnet18': (2.8, 12),
    'table4/resnet50': (6.2, 26),
    'table4/resnet101': (11.0, 45),
}

# Table 6: PCKh@0.5 on the MPII test split for Head, Sho., Elb., Wri., Hip, Knee, Ank. and their mean, as the paper
# cites them (the year is the publication's); ours are named by their files.
TABLE6 = {
    'Pishchulin et al., 2013': (74.3, 49.0, 40.8, 34.1, 36.5, 34.4, 35.2, 44.1),
    'Tompson et al., 2014': (95.8, 90.3, 80.5, 74.3, 77.6, 69.7, 62.8, 79.6),
    'Tompson et al., 2015': (96.1, 91.9, 83.9, 77.8, 80.9, 72.3, 64.8, 82.0),
    'Hu and Ramanan, 2016': (95.0, 91.6, 83.0, 76.6, 81.9, 74.5, 69.5, 82.4),
    'Pishchulin et al., 2016': (94.1, 90.2, 83.4, 77.3, 82.6, 75.7, 68.6, 82.4),
    'Lifshitz et al., 2016': (97.8, 93.3, 85.7, 80.4, 85.3, 76.6, 70.2, 85.0),
    'Gkioxari et al., 2016': (96.2, 93.1, 86.7, 82.1, 85.2, 81.4, 74.1, 86.1),
    'Rafi et al., 2016': (97.2, 93.9, 86.4, 81.3, 86.8, 80.6, 73.4, 86.3),
    'Insafutdinov et al., 2016': (96.8, 95.2, 89.3, 84.4, 88.4, 83.4, 78.0, 88.5),
    'Wei et al. (CPM), 2016': (97.8, 95.0, 88.7, 84.0, 88.4, 82.8, 79.4, 88.5),
    'Bulat and Tzimiropoulos, 2016': (97.9, 95.1, 89.9, 85.3, 89.4, 85.7, 81.7, 89.7),
    'Newell et al. (HG), 2016': (98.2, 96.3, 91.2, 87.1, 90.1, 87.4, 83.6, 90.9),
    'Chu et al., 2017': (98.5, 96.3, 91.9, 88.1, 90.6, 88.0, 85.0, 91.5),
    'Chou et al., 2017': (98.2, 96.8, 92.2, 88.0, 91.3, 89.1, 84.9, 91.8),
    'Chen et al., 2017': (98.1, 96.5, 92.5, 88.5, 90.2, 89.6, 86.0, 91.9),
    'table6/h1': (97.9, 95.3, 90.0, 85.5, 88.3, 85.3, 80.7, 89.4),
    'table6/ms_h1': (98.0, 95.4, 90.2, 86.3, 88.1, 85.8, 82.1, 89.8),
    'Carreira et al., 2016': (95.7, 91.7, 81.7, 72.4, 82.8, 73.2, 66.4, 81.3),
    'Sun et al., 2017': (97.5, 94.3, 87.0, 81.2, 86.5, 78.5, 75.4, 86.4),
    'table6/r1': (97.8, 95.2, 87.6, 80.3, 89.6, 80.7, 73.0, 87.0),
    'table6/i1': (98.1, 96.0, 90.4, 85.7, 90.1, 85.8, 81.0, 90.0),
    'table6/ms_i1': (98.2, 96.1, 91.0, 86.5, 89.9, 86.2, 82.3, 90.4),
}

# Table 7: PCKh@0.5 on the test split, image size, millions of parameters, billions of multiply-accumulates.
TABLE7 = {
    'Wei et al. (CPM), 2016': (88.5, '368 x 368', 51, 134),
    'Newell et al. (HG), 2016': (90.9, '256 x 256', 59, 73),
    'table6/i1': (90.0, '256 x 256', 26, 6.2),
    'table6/ms_i1': (90.4, '256 x 256', 101, 18),
}

NAMES = {'h1': 'H1', 'h2': 'H2', 'h3': 'H3', 'r1': 'R1', 'i1': 'I1', 'i2': 'I2', 'i3': 'I3', 'istar': 'I\\*',
         'ms_h1': 'MS-H1', 'ms_i1': 'MS-I1', 'h1_more': 'H1, continued', 'i1_joint': 'I1, joint loss alone',
         'i2_joint': 'I2, joint loss alone', 'i3_joint': 'I3, joint loss alone', 'i1_debiased': 'I1, debiased',
         'i1_local': 'I1, local'}
