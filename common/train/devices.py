"""The devices that train, and what exchanges gradients between them."""
from typing import Any, NamedTuple

from common import runtime


class Devices(NamedTuple):
    """Where a network is trained."""

    contexts: list                            # MXNet's, of this process
    kvstore: Any = 'device'                   # of `runtime.kvstore`: a name, or a store that other processes share

    @property
    def shard(self):
        """(rank, count) of this process among the workers that share the kvstore."""
        return runtime.shard(self.kvstore)

    @property
    def first(self) -> bool:
        """Whether this process is the worker that validates and writes."""
        return self.shard[0] == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other worker."""
        return self.shard[1] == 1

    @property
    def store_name(self) -> str:
        """What --kvstore calls it."""
        return self.kvstore if isinstance(self.kvstore, str) else self.kvstore.type
