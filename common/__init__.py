"""What both data sets share; it never imports `pose_mpii` or `pose_coco`."""
from common.runtime import hide_pytorch, use_available_cores

use_available_cores()                         # before anything imports MXNet
hide_pytorch()                                # before anything imports GluonCV or tensorboardX
