"""Parameters from GluonCV's model store: those that `scripts/download_models.sh` put into models/, or fetched now."""
import hashlib
from pathlib import Path

from common import files
from common.errors import InputError

MODELS = Path(__file__).resolve().parents[2] / 'models'


def fetch(name, option):
    """The file of a network's parameters in GluonCV's model store, its SHA-1 checked; InputError where there is none.

    That is the one in models/, or else one fetched once into GluonCV's cache (~/.mxnet/models). Of the SHA-1 the file's
    name has the first eight digits. option: how the user gives a file instead, for the message.
    """
    from gluoncv.model_zoo.model_store import get_model_file, short_hash  # takes seconds
    try:
        begin = short_hash(name)
        file = f'{name}-{begin}.params'
    except ValueError:
        raise InputError(f'{name}: GluonCV has no parameters of it; {option} takes others') from None
    path = MODELS / file
    if path.exists():
        if not hashlib.sha1(files.read_bytes(path)).hexdigest().startswith(begin):
            raise InputError(f'{path}: damaged, its SHA-1 does not begin with {begin}; fetch it again, or remove it')
        return path
    try:
        return get_model_file(name)
    except Exception as error:                # the network's many ways to fail
        raise InputError(f'cannot fetch {file} from GluonCV\'s model store ({type(error).__name__}); fetch it '
                         f'elsewhere and give it by {option}') from None
