"""Parameters from GluonCV's model store: those that `scripts/download_models.sh` put into models/, or fetched now."""
from pathlib import Path

from common.errors import InputError

MODELS = Path(__file__).resolve().parents[2] / 'models'


def fetch(name, option):
    """The file of a network's parameters in GluonCV's model store, its SHA-1 checked; InputError where there is none.

    That is the one in models/, or else one fetched once into GluonCV's cache (~/.mxnet/models). option: how the user
    gives a file instead, for the message.
    """
    from gluoncv.model_zoo.model_store import get_model_file, short_hash  # takes seconds
    try:
        file = f'{name}-{short_hash(name)}.params'
    except ValueError:
        raise InputError(f'{name}: GluonCV has no parameters of it; {option} takes others') from None
    if (MODELS / file).exists():
        return MODELS / file
    try:
        return get_model_file(name)
    except Exception as error:                # the network's many ways to fail
        raise InputError(f'cannot fetch {file} from GluonCV\'s model store ({type(error).__name__}); fetch it '
                         f'elsewhere and give it by {option}') from None
