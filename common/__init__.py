"""What all data sets share; it names none of them."""
from importlib import metadata

from common import cuda
from common.runtime import use_available_cores

use_available_cores()                         # before anything imports MXNet, which reads it once
if any(metadata.distributions(name=cuda.WHEEL)):
    cuda.prepare()                            # what MXNet then finds loaded
