"""Installs the project; `scripts/setup.sh` calls this in a fresh virtual environment.

MXNET_PACKAGE chooses another wheel of MXNet 1.9.1 than the CPU's, such as mxnet-cu117==1.9.1.
"""
import os

from setuptools import find_packages, setup

# What mxnet-cu117 needs of a CUDA toolkit; `common/cuda.py` loads them. The compiler is of CUDA 11.8, since that of
# 11.7 does not know compute capability 8.9.
CUDA = ['nvidia-cuda-runtime-cu11==11.7.99', 'nvidia-cuda-nvrtc-cu11==11.8.89', 'nvidia-nvtx-cu11==11.8.86',
        'nvidia-cublas-cu11==11.10.3.66', 'nvidia-cudnn-cu11==8.9.6.50', 'nvidia-cufft-cu11==10.9.0.58',
        'nvidia-curand-cu11==10.3.0.86', 'nvidia-cusparse-cu11==11.7.5.86', 'nvidia-cusolver-cu11==11.4.1.48',
        'nvidia-nccl-cu11==2.14.3']
EXPORT = ['onnx>=1.16,<2', 'onnxruntime>=1.17,<2']

setup(
    name='integral-human-pose',
    version='0.1.0',
    description='Integral Human Pose Regression (arXiv 1711.08229) in MXNet Gluon',
    python_requires='>=3.8,<3.12',            # what MXNet 1.9.1 and NumPy 1.23 run on
    packages=find_packages(include=['common*', 'pose_*']),
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
        'cuda': CUDA,
        'export': EXPORT,
        'torch': ['torch>=2.0,<3'],           # the first whose tensors say how large their storage is
        'test': ['pytest>=7.3,<10', 'pytest-xdist>=3.5,<4', *EXPORT],
        # What test/benchmark/compare.py measures against; torch 2.4 is the first with a fused Adam on the CPU.
        'benchmark': ['torch>=2.4,<3', 'onnxscript>=0.1', 'openvino>=2024.2,<2027', *EXPORT],
    },
)
