"""What both data sets share; it never imports `pose_mpii` or `pose_coco`."""
from common.runtime import use_available_cores

use_available_cores()                         # before anything imports MXNet
