"""From the network's joints of every person to COCO's result records (section 6.2: pose rescoring, OKS-NMS)."""
import numpy as np

from pose_coco.layout import PERSON
from pose_coco.oks import oks_nms, rescore
from pose_coco.skeleton import JOINTS

# The score above which a keypoint counts in its instance's, and the OKS above which two instances of an image are one:
# the paper names neither, these are of Simple Baselines.
SURE_KEYPOINT, SAME_PERSON = 0.2, 0.9


def to_records(people, joints, scores) -> list:
    """Result records (`layout.read_results`) of what a network predicts, rescored and each person once.

    people: a `dataset.People`; joints: (N, 17, 2) in 0-based source pixels; scores: (N, 17), `inference.joint_scores`.
    An instance with a value that is not finite has found nobody and is left out. Ordered by image, in it best first;
    keypoints are rounded to 0.001.
    """
    keypoints = np.concatenate([joints, scores[..., np.newaxis]], axis=2, dtype=np.float64)
    finite = np.isfinite(keypoints).all(axis=(1, 2))
    keypoints, image_ids, areas = keypoints[finite], people.image_ids[finite], people.areas[finite]
    ratings = rescore(people.box_scores[finite], keypoints[..., 2], SURE_KEYPOINT)
    kept = np.concatenate([members[oks_nms(keypoints[members], ratings[members], areas[members], SAME_PERSON)]
                           for members in by_image(image_ids)])
    rows = keypoints[kept].round(3).reshape(len(kept), 3 * len(JOINTS)).tolist()
    return [{'image_id': image_id, 'category_id': PERSON, 'keypoints': row, 'score': rating}
            for image_id, row, rating in zip(image_ids[kept].tolist(), rows, ratings[kept].tolist())]


def by_image(image_ids) -> list:
    """Indices of what belongs to each image: image ids (N,) -> a list of index arrays, by ascending id."""
    order = np.argsort(image_ids, kind='stable')
    return np.split(order, np.flatnonzero(np.diff(image_ids[order])) + 1)
