"""Training in bfloat16, on CPUs that compute in it (AVX-512 BF16).

Convolutions and what is between them are in bfloat16, by the lists of MXNet's automatic mixed precision; parameters,
their gradients, losses and Adam are in float32, so that a checkpoint is the same as any other. Deconvolutions are in
float32 too: MXNet's crash where their weights' gradient is not a parameter's own but still to be cast to it. The range
of bfloat16 is float32's: losses need no scaling.
"""
import re
import sys
from pathlib import Path

from mxnet.contrib import amp

from common.errors import InputError

CPUINFO = Path('/proc/cpuinfo')
# The operators left in float32: conv1 of three channels with its normalisation, which would both be slower; the heads'
# last layers, whose outputs have to be finer than bfloat16's 8 bits; and what joins these to the features.
FLOAT32 = re.compile(r'stem_conv0_fwd|stem_batchnorm0_fwd|.*final_fwd|.*_concat\d+')


def convert(graph, inputs):
    """A symbol of a network and its losses, with casts to bfloat16 and back; inputs: the symbols of its data."""
    operators = [name.rpartition('_output')[0] for name in graph.get_internals().list_outputs()]
    return amp.convert_symbol(graph, 'bfloat16', data_names=[symbol.name for symbol in inputs],
                              excluded_sym_names=list(filter(FLOAT32.fullmatch, operators)))


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
