"""Parameters to start from: a file or folder of the user's, models/, or GluonCV's model store."""
import hashlib
import re
from pathlib import Path
from typing import Union

from common import files
from common.errors import InputError
from common.runtime import import_gluoncv

MODELS = Path(__file__).resolve().parents[2] / 'models'
OPTION = '--set network.pretrained=FILE (empty: random weights)'


def pretrained(place, backbone) -> Union[str, Path]:
    """The file that `network.pretrained` means for a backbone such as 'resnet18'; InputError where there is none.

    place: 'imagenet' (RESNET_v1b-*.params in models/, or else fetched), a folder that holds such a file, or a file.
    """
    name = f'{backbone}_v1b'
    if place == 'imagenet':
        return _in_folder(MODELS, name) or fetch(name, OPTION)
    if Path(place).is_dir():
        found = _in_folder(Path(place), name)
        if not found:
            raise InputError(f'network.pretrained {place}: this folder has no {name}-*.params')
        return found
    return place


def _in_folder(folder, name):
    """The first file of a network's parameters in a folder, by its name, or None; InputError as `_checked`."""
    return next(map(_checked, sorted(folder.glob(f'{name}-*.params'))), None)


def _checked(path):
    """The path; InputError where its name ends in eight digits, as GluonCV's do, that do not begin the file's SHA-1."""
    digits = re.search('-([0-9a-f]{8})$', path.stem)
    if digits and not hashlib.sha1(files.read_bytes(path)).hexdigest().startswith(digits[1]):
        raise InputError(f'{path}: damaged, its SHA-1 does not begin with {digits[1]}; fetch it again, or remove it')
    return path


def fetch(name, option) -> Union[str, Path]:
    """The file of a network's parameters in GluonCV's model store, its SHA-1 checked; InputError where there is none.

    That is the one in models/, or else one fetched once into GluonCV's cache (~/.mxnet/models). option: how the user
    gives a file instead, for the message.
    """
    import_gluoncv()                          # takes seconds
    from gluoncv.model_zoo.model_store import get_model_file, short_hash
    try:
        file = f'{name}-{short_hash(name)}.params'
    except ValueError:
        raise InputError(f'{name}: GluonCV has no parameters of it; {option} takes others') from None
    if (MODELS / file).exists():
        return _checked(MODELS / file)
    try:
        return get_model_file(name)
    except Exception as error:                # the network's many ways to fail
        raise InputError(f'cannot fetch {file} from GluonCV\'s model store ({type(error).__name__}); fetch it '
                         f'elsewhere and give it by {option}') from None
