"""Non-maximum suppression, whatever makes two detections similar."""
import numpy as np


def suppress(similar, scores) -> np.ndarray:
    """Drop every detection that is similar to a kept one of a higher score; of equal scores the first is the higher.

    similar: (N, N) bool; scores: (N,). Returns the indices of the kept ones, best first.
    """
    order = np.argsort(-np.asarray(scores), kind='stable')
    differs = ~similar[np.ix_(order, order)]
    keep = np.ones(len(order), bool)
    for index in range(len(order)):
        if keep[index]:
            keep[index + 1:] &= differs[index, index + 1:]
    return order[keep]


def by_image(image_ids) -> list:
    """Indices of what belongs to each image: image ids (N,) -> a list of index arrays, by ascending id."""
    order = np.argsort(image_ids, kind='stable')
    return np.split(order, np.flatnonzero(np.diff(image_ids[order])) + 1)
