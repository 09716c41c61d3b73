"""Object keypoint similarity (http://cocodataset.org/#keypoints-eval), and what top-down methods do by it.

Rescoring and OKS-NMS follow Papandreou et al., CVPR 2017, as Simple Baselines (Xiao et al., ECCV 2018) has them.
"""
import numpy as np

from common.predict.boxes import suppress
from pose_coco.skeleton import SIGMAS

# A joint at distance d has the similarity exp(-d^2 / (8 sigma^2 area)).
_SPREAD = 8 * np.square(SIGMAS)


def oks(keypoints, truth, areas, labelled=None) -> np.ndarray:
    """OKS, in 0..1, of any arrays that broadcast.

    keypoints, truth: (..., 17, 2) pixels; areas: (...) of the people, pixels^2; labelled: (..., 17), nonzero for the
    joints that count, by default all. Without any the OKS is 0; pycocotools then measures to the person's box,
    which decides nothing but which detections its evaluation ignores.
    """
    offsets = np.subtract(keypoints, truth, dtype=np.float64)
    squares = offsets[..., 0] ** 2 + offsets[..., 1] ** 2
    # The smallest number, as in pycocotools, lets an area be 0.
    similarity = np.exp(squares / (-_SPREAD * (np.asarray(areas)[..., np.newaxis] + np.spacing(1))))
    if labelled is None:
        return similarity.mean(axis=-1)
    counts = np.broadcast_to(np.asarray(labelled) > 0, similarity.shape)
    return np.where(counts, similarity, 0).sum(axis=-1) / np.maximum(counts.sum(axis=-1), 1)


def oks_nms(keypoints, scores, areas, threshold) -> np.ndarray:
    """Drop the instances of an image whose OKS with a kept one of a higher score is above the threshold.

    keypoints: (N, 17, 3), x, y and a score that is not used; scores: (N,); areas: (N,), a pair's is the mean of the
    two. Returns the indices of the kept ones, best first; of equal scores the first index is the higher.
    """
    points, areas = np.asarray(keypoints)[..., :2], np.asarray(areas)
    similarity = oks(points[:, np.newaxis], points, (areas[:, np.newaxis] + areas) / 2)
    return suppress(similarity > threshold, scores)


def rescore(box_scores, keypoint_scores, threshold) -> np.ndarray:
    """Scores of instances (N,): the box's (N,) times the mean of the keypoints' (N, 17) that are above the threshold.

    0 where none is.
    """
    sure = keypoint_scores > threshold
    means = np.where(sure, keypoint_scores, 0).sum(axis=1) / np.maximum(sure.sum(axis=1), 1)
    return box_scores * means
