"""Training in bfloat16, on CPUs that compute in it (AVX-512 BF16, or AMX's tiles).

Convolutions and what is between them are in bfloat16, by the lists of MXNet's automatic mixed precision; parameters,
their gradients, losses and Adam are in float32, so that a checkpoint is the same as any other. The range of bfloat16
is float32's: losses need no scaling.
"""
import ctypes
import json
import os
import platform
import re
import sys
import warnings
from pathlib import Path

import ml_dtypes  # noqa: F401  NumPy knows the type 'bfloat16' once this is imported
import mxnet as mx
from mxnet import autograd
from mxnet.contrib import amp
from mxnet.contrib.amp.lists import symbol_bf16

from common.errors import InputError
from common.nets import losses

CPUINFO = Path('/proc/cpuinfo')
# MXNet's lists have deconvolutions among what is left in float32.
NARROW = [*symbol_bf16.BF16_FUNCS, 'Deconvolution']
WIDE = [name for name in symbol_bf16.FP32_FUNCS if name != 'Deconvolution']
DECONVOLUTIONS = r'head\d+_conv\d+_weight'               # the names of their weights
# The operators left in float32: conv1 of three channels with its normalisation, which would both be slower; the heads'
# last layers, whose outputs have to be finer than bfloat16's 8 bits; and what joins these to the features.
FLOAT32 = re.compile(r'stem_conv0_fwd|stem_batchnorm0_fwd|.*final_fwd|.*_concat\d+')


class NarrowLossGraph(losses.LossGraph):
    """`losses.LossGraph` in bfloat16.

    MXNet's deconvolution crashes in bfloat16 where its weights' gradient is no array of its own but one that is still
    to be cast to the parameter's. So the graph takes the weights of deconvolutions in bfloat16 as further inputs, and
    `backward` passes what arrives at these on to the parameters.
    """

    def __init__(self, net, loss, **kwargs):
        super().__init__(net, loss, **kwargs)
        self._weights = list(net.collect_params(DECONVOLUTIONS).values())
        self._given = []                      # of every device: (weight in bfloat16, the same as an input)

    def __call__(self, images, *others):
        narrow = [mx.nd.amp_cast(weight.data(images.context), dtype='bfloat16') for weight in self._weights]
        given = [weight.detach() for weight in narrow]
        for weight in given:
            weight.attach_grad()
        if autograd.is_recording():
            self._given += zip(narrow, given)
        return super().__call__(images, *others, *given)

    def hybrid_forward(self, F, images, joints, visible, keys, *weights):
        return super().hybrid_forward(F, images, joints, visible, keys)

    def backward(self, outputs):
        pairs, self._given = self._given, []
        super().backward(outputs)
        if pairs:
            narrow, given = zip(*pairs)
            autograd.backward(narrow, [weight.grad for weight in given])

    def _get_graph(self, *args):
        """What Gluon compiles: inputs and outputs, as symbols."""
        if not self._cached_graph:
            inputs, graph = super()._get_graph(*args)
            self._cached_graph = inputs, convert(graph, inputs, [weight.name for weight in self._weights])
        return self._cached_graph

    def _build_cache(self, *args):
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'Parameter .* is not used')
            super()._build_cache(*args)


def convert(graph, inputs, weights) -> mx.sym.Symbol:
    """A symbol of a network and its losses, with casts to bfloat16 and back.

    inputs: the symbols of its data, then a new one for each name in `weights`, which takes the place of that parameter
    in bfloat16.
    """
    data, casts = inputs[:len(inputs) - len(weights)], inputs[len(inputs) - len(weights):]
    operators = [name.rpartition('_output')[0] for name in graph.get_internals().list_outputs()]
    graph = amp.convert_symbol(graph, 'bfloat16', NARROW, WIDE, data_names=[symbol.name for symbol in data],
                               excluded_sym_names=list(filter(FLOAT32.fullmatch, operators)))
    taken = dict(zip(weights, (symbol.name for symbol in casts)))
    tree = json.loads(graph.tojson(remove_amp_cast=False))
    for node in tree['nodes']:
        source = node['op'] == 'amp_cast' and tree['nodes'][node['inputs'][0][0]]['name']
        if source in taken:
            node.update(op='null', name=taken[source], inputs=[], attrs={})
    return mx.sym.load_json(json.dumps(tree))


def require(contexts):
    """InputError where MXNet has no bfloat16: on GPUs, and on CPUs without AVX-512. A warning where it is slow."""
    if any(context.device_type != 'cpu' for context in contexts):
        raise InputError('train.dtype bfloat16: MXNet has it on CPUs alone; use float32, or --cpus N')
    if not CPUINFO.exists():
        return
    flags = CPUINFO.read_text(encoding='utf-8').split()
    if 'avx512bw' not in flags:
        raise InputError('train.dtype bfloat16: needs a CPU with AVX-512, which this one lacks; use float32')
    if not use_tiles(flags) and 'avx512_bf16' not in flags:
        print('train.dtype bfloat16: this CPU lacks AVX-512 BF16, and is slower so than in float32', file=sys.stderr)


def use_tiles(flags) -> bool:
    """Let oneDNN multiply in AMX's tiles where the CPU has them; returns whether it does.

    Linux grants a process these registers on request (Documentation/arch/x86/xstate.rst), which MXNet's oneDNN does not
    make, and oneDNN then has to be told, before its first operator, that it may use them.
    """
    if not {'amx_tile', 'amx_bf16'} <= set(flags) or platform.machine() != 'x86_64':
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    if ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) != 0:
        return False
    return os.environ.setdefault('DNNL_MAX_CPU_ISA', 'AVX512_CORE_AMX') == 'AVX512_CORE_AMX'
