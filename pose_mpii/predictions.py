"""Files of predictions, whose coordinates are MATLAB's as in `layout`: the centre of the top left pixel is (1, 1)."""
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import read_json, write_json
from pose_mpii.layout import read_mat, save_mat
from pose_mpii.skeleton import SKELETON


def save_predictions(path, predictions):
    """Write predictions (N, K, 2), 1-based pixels, as `preds` to a .mat or .json file (its suffix decides).

    A prediction that is not finite becomes null in JSON. Raises InputError for another suffix.
    """
    predictions = np.asarray(predictions, dtype=np.float64)
    if prediction_suffix(path) == '.mat':
        save_mat(path, {'preds': predictions})
    else:
        write_json(path, {'preds': np.where(np.isfinite(predictions), predictions.astype(object), None).tolist()})


def read_predictions(path, people, person=SKELETON) -> np.ndarray:
    """Predictions (N, K, 2), 1-based pixels, from what `save_predictions` writes or a bare JSON list.

    They are of N = `people` with the K joints of `person`, a `Skeleton`.
    Raises InputError for a missing or malformed file, one without `preds`, and any other shape.
    """
    file = read_mat(path) if prediction_suffix(path) == '.mat' else read_json(path)
    predictions = file.get('preds') if isinstance(file, dict) else file
    if predictions is None:
        raise InputError(f'{path}: holds no "preds"')
    expected = (people, len(person.joints), 2)
    try:
        if isinstance(predictions, np.ndarray) and predictions.dtype.kind == 'c':          # it would be the real parts
            raise TypeError
        predictions = np.array(predictions, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f'{path}: "preds" should be {expected} numbers') from None
    if predictions.shape != expected:
        raise InputError(f'{path}: "preds" has shape {predictions.shape}; the ground truth needs {expected}')
    return predictions


def prediction_suffix(path) -> str:
    """.mat or .json, the suffix of a file of predictions; InputError for another."""
    suffix = Path(path).suffix
    if suffix not in ('.mat', '.json'):
        raise InputError(f'{path}: predictions are kept in .mat or .json files')
    return suffix
