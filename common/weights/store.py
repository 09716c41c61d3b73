"""Parameters to start from: a file or folder of the user's, models/, or GluonCV's model store."""
import hashlib
import re
from pathlib import Path

from common import files
from common.errors import InputError
from common.runtime import import_gluoncv

MODELS = Path(__file__).resolve().parents[2] / 'models'
OPTION = '--set network.pretrained=FILE (empty: random weights)'


def pretrained(place, backbone):
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
    """The first file of a network's parameters in a folder, by its name, or None.

    Where the name ends in eight digits of the file's SHA-1, as GluonCV's do, InputError unless they are those.
    """
    path = next(iter(sorted(folder.glob(f'{name}-*.params'))), None)
    begin = path and path.stem[len(name) + 1:]
    if path and re.fullmatch('[0-9a-f]{8}', begin):
        if not hashlib.sha1(files.read_bytes(path)).hexdigest().startswith(begin):
            raise InputError(f'{path}: damaged, its SHA-1 does not begin with {begin}; fetch it again, or remove it')
    return path


def fetch(name, option):
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
    path = _in_folder(MODELS, file[:-len('.params')].rpartition('-')[0])
    if path and path.name == file:
        return path
    try:
        return get_model_file(name)
    except Exception as error:                # the network's many ways to fail
        raise InputError(f'cannot fetch {file} from GluonCV\'s model store ({type(error).__name__}); fetch it '
                         f'elsewhere and give it by {option}') from None
