"""The scheduler or a server of MXNet's distributed kvstore, as DMLC_ROLE says, that runs nobody's code.

`import mxnet` alone does the same under these roles, but a server then unpickles whatever a message calls an
optimizer, which can be any code of whoever reaches its port. Here servers add up gradients (`update_on_kvstore=False`)
and are never sent an optimizer.
"""
import os
import sys

if not __package__:                           # run as a file: its folder holds no modules for others
    del sys.path[0]
role = os.environ.pop('DMLC_ROLE')            # without it the import does not serve yet
import mxnet as mx
from mxnet.kvstore import kvstore_server


class Server(kvstore_server.KVStoreServer):
    """MXNet's, but for what it makes of messages for Python."""

    def _controller(self):
        return refuse


def refuse(command, content, _):
    """What a server does with a message for Python."""
    print('a server has refused a message that this project does not send: is somebody else on its network?',
          file=sys.stderr, flush=True)


if __name__ == '__main__':
    os.environ['DMLC_ROLE'] = role
    Server(mx.kv.create('dist')).run()
