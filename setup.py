"""Installs the project; `scripts/setup.sh` calls this in a fresh virtual environment.

MXNET_PACKAGE chooses another wheel of MXNet 1.9.1 than the CPU's, such as mxnet-cu112==1.9.1.
"""
import os

from setuptools import find_packages, setup

EXPORT = ['onnx>=1.16,<2', 'onnxruntime>=1.17,<2']

setup(
    name='integral-human-pose',
    version='0.1.0',
    description='Integral Human Pose Regression (arXiv 1711.08229) in MXNet Gluon',
    python_requires='>=3.8,<3.12',            # what MXNet 1.9.1 and NumPy 1.23 run on
    packages=find_packages(include=['common*', 'pose_mpii*', 'pose_coco*']),
    package_data={'pose_mpii': ['valid_list.csv', 'skeleton.yaml'], 'pose_coco': ['skeleton.yaml']},
    install_requires=[
        os.environ.get('MXNET_PACKAGE', 'mxnet==1.9.1'),
        'numpy==1.23.5',                      # 1.24 breaks "import mxnet"
        'gluoncv==0.10.5.post0',
        'opencv-python==4.11.0.86',
        'pillow>=9,<13',
        'easydict==1.13',
        'pyyaml>=6.0,<7',
        'scipy>=1.10,<1.16',
        'matplotlib>=3.7,<3.11',
        'pycocotools>=2.0.7,<2.1',
        'tqdm>=4.60,<5',
        'tensorboardX>=2.6,<2.7',
        'ml_dtypes>=0.2,<0.6',                # bfloat16 as a type of NumPy
    ],
    extras_require={
        'export': EXPORT,
        'test': ['pytest>=7.3,<10', 'pytest-xdist>=3.5,<4', *EXPORT],
        # What test/benchmark/compare.py measures against; torch 2.4 is the first with a fused Adam on the CPU.
        'benchmark': ['torch>=2.4,<3', 'onnxscript>=0.1', 'openvino>=2024.2,<2027', *EXPORT],
    },
)
