"""What all data sets share; it names none of them."""
from common import cuda
from common.runtime import use_available_cores

use_available_cores()                         # before anything imports MXNet, which reads it once
cuda.prepare()                                # what MXNet then finds loaded
