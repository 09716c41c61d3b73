"""Reads the parameters in PyTorch's files by PyTorch itself, which is let make tensors of them and nothing else."""
import os
import re
import zipfile

import numpy as np

from common.errors import InputError

# Where the checkpoints of trainings hold their network: Simple Baselines', the authors', torchvision's.
NETWORK = ('state_dict', 'network', 'model')


def require():
    """The module torch; InputError where it is not installed."""
    try:
        import torch
    except (ImportError, OSError) as error:   # or one of its libraries is missing
        raise InputError(f'PyTorch\'s files need the package torch: sh scripts/setup.sh torch ({error})') from None
    return torch


def read(path) -> dict:
    """{name: array} of the tensors in a file of PyTorch's, of the network alone where it is a training's checkpoint.

    Of zip files and of the older format (before PyTorch 1.6) alike; numbers of any kind become float32.
    InputError where the file cannot be read, is damaged, or holds anything but tensors, numbers, texts and collections
    of them: that would have to be unpickled, which could run any program.
    """
    torch = require()
    try:
        with open(path, 'rb') as file:
            found = _load(path, file, torch)
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror})') from None
    for key in NETWORK:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found:
        raise InputError(f'{path}: expected the parameters of a network, a state dict')
    return {str(name): _array(path, name, tensor, torch) for name, tensor in found.items()}


def _load(path, file, torch):
    """What is in a file, of tensors, numbers, texts and collections of them."""
    _check_zip(path, file)
    try:
        return torch.load(file, map_location='cpu', weights_only=True)
    except Exception as error:                # torch has many
        forbidden = re.search(r'Unsupported (?:global|class|operand).*?([\w]+(?:\.[\w]+)+)', str(error))
        if forbidden:
            raise InputError(f'{path}: holds {forbidden[1]} beside tensors, which is not unpickled here; expected a '
                             'state dict, which trainings write beside their checkpoints') from None
        raise InputError(f'{path}: damaged, or not a file of PyTorch\'s') from None


def _check_zip(path, file):
    """InputError where a zip file would become larger than it is: PyTorch's are not compressed."""
    if zipfile.is_zipfile(file):
        try:
            size = sum(member.file_size for member in zipfile.ZipFile(file).infolist())
        except (zipfile.BadZipFile, NotImplementedError, ValueError):
            size = np.inf
        if size > os.fstat(file.fileno()).st_size:
            raise InputError(f'{path}: damaged, or not a file of PyTorch\'s')
    file.seek(0)


def _array(path, name, tensor, torch):
    """A tensor as an array; InputError for what is none, or would be larger than what the file has for it."""
    if not isinstance(name, str) or not name.isprintable() or type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        raise InputError(f'{path}: {str(name)[:80]!r} is no tensor; expected the parameters of a network, a state dict')
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or (
            tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()):
        raise InputError(f'{path}: {name} is not a dense tensor of numbers')
    return tensor.detach().float().numpy()
