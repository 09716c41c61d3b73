"""The drawn people as photographs of one's own: in COCO's format, with other names."""
import json

import cv2
import numpy as np

from pose_mpii import prepare
from pose_mpii.layout import read_split

ORDER = (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 8, 9)                       # LSP's joints among MPII's
NAMES = ['R_Ankle', 'R_Knee', 'R_Hip', 'L_Hip', 'L_Knee', 'L_Ankle', 'R_Wrist', 'R_Elbow', 'R_Shoulder', 'L_Shoulder',
         'L_Elbow', 'L_Wrist', 'Neck', 'Head_Top']
LIMBS = [[1, 2], [2, 3], [3, 4], [4, 5], [5, 6], [7, 8], [8, 9], [9, 13], [10, 13], [10, 11], [11, 12], [13, 14]]


def as_coco(data, splits=('train', 'valid'), names=NAMES):
    """The drawn people of splits in COCO's format, without area and num_keypoints; a dog is in every picture."""
    images, annotations = [], []
    for number, record in enumerate(record for split in splits for record in read_split(data, split)):
        height, width = cv2.imread(str(data / 'images' / record['image'])).shape[:2]
        images.append({'id': number, 'file_name': record['image'], 'width': width, 'height': height})
        visible = np.array(record['joints_vis'])[list(ORDER)]
        points = (np.array(record['joints'])[list(ORDER)] - 1) * visible[:, None]
        low, high = points[visible > 0].min(axis=0), points[visible > 0].max(axis=0)
        annotations += [{'image_id': number, 'category_id': 1},
                        {'image_id': number, 'category_id': 3, 'bbox': [*low, *(high - low)],
                         'keypoints': np.column_stack([points, 2 * visible]).ravel().tolist()}]
    return {'images': images, 'annotations': annotations,
            'categories': [{'id': 1, 'name': 'dog'},
                           {'id': 3, 'name': 'Person', 'keypoints': names, 'skeleton': LIMBS}]}


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def prepared(tiny_data, folder):
    """What `prepare.py --coco` makes of one file, in a folder."""
    source = write(folder / 'people.json', as_coco(tiny_data))
    prepare.main(['--coco', str(source), '--images', str(tiny_data / 'images'), '--out', str(folder / 'data')])
    return folder / 'data'
