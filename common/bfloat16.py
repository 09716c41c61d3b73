"""Training in bfloat16, on CPUs that compute in it (AVX-512 BF16).

Convolutions and what is between them are in bfloat16; parameters, their gradients, losses and Adam are in float32, so
that a checkpoint is the same as any other. The range of bfloat16 is float32's: losses need no scaling.
"""
import sys
from pathlib import Path

from mxnet.contrib import amp

from common.errors import InputError

CPUINFO = Path('/proc/cpuinfo')
# Left in float32: conv1 of three channels with its normalisation, which would both be slower, and the heads' last
# layers, whose outputs have to be finer than bfloat16's 8 bits.
FIRST, LAST = ('stem_conv0_fwd', 'stem_batchnorm0_fwd'), 'final_fwd'


def convert(graph, inputs):
    """A symbol of a network and its losses, with casts to bfloat16 and back; inputs: the symbols of its data."""
    operators = [name[:-len('_output')] for name in graph.get_internals().list_outputs() if name.endswith('_output')]
    return amp.convert_symbol(graph, 'bfloat16', target_dtype_ops=['Convolution', 'Deconvolution'],
                              fp32_ops=['Concat'], conditional_fp32_ops=[],
                              excluded_sym_names=[name for name in operators if name in FIRST or name.endswith(LAST)],
                              data_names=[symbol.name for symbol in inputs])


def require(contexts):
    """InputError where MXNet has no bfloat16: on GPUs, and on CPUs without AVX-512. A warning where it is slow."""
    if any(context.device_type != 'cpu' for context in contexts):
        raise InputError('train.dtype bfloat16: MXNet has it on CPUs alone; use float32, or --cpus N')
    if not CPUINFO.exists():
        return
    flags = CPUINFO.read_text().split()
    if 'avx512bw' not in flags:
        raise InputError('train.dtype bfloat16: needs a CPU with AVX-512, which this one lacks; use float32')
    if 'avx512_bf16' not in flags:
        print('train.dtype bfloat16: this CPU lacks AVX-512 BF16, and is slower so than in float32', file=sys.stderr)
