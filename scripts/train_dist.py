"""Trains with several processes on MXNet's distributed kvstore (`scripts/train_dist.sh`)."""
import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
THREADS = os.environ.get('OMP_NUM_THREADS')   # the user's choice, before `common` makes one
if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(ROOT)

from common import config
from common.errors import InputError
from common.programs.cli import run
from common.runtime import available_cores

SSH = ('ssh', '-tt', '-o', 'BatchMode=yes', '-o', 'ServerAliveInterval=10', '-o', 'ServerAliveCountMax=3')

Part = namedtuple('Part', 'name host process')
Part.__doc__ = """One process of the training: such as 'worker 1', the host it is on (None: this machine), its Popen."""


def read_hosts(workers):
    """A number, or a file of host names -> for each worker its host, None for this machine."""
    if workers.isdigit() and int(workers) > 0:
        return [None] * int(workers)
    try:
        lines = [line.partition('#')[0].strip() for line in Path(workers).read_text(encoding='utf-8').splitlines()]
    except (OSError, UnicodeDecodeError):
        raise InputError(f'{workers}: neither a number of workers nor a file of host names') from None
    hosts = [line for line in lines if line]
    for host in hosts:
        if host.startswith('-') or len(host.split()) > 1:
            raise InputError(f'{workers}: {host!r} is not the name of a host')
    if not hosts:
        raise InputError(f'{workers}: names no host')
    return hosts


def address(host):
    """This machine's address as a host sees it, and a free port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, socket.socket() as listener:
        listener.bind(('', 0))
        if host is None:
            return '127.0.0.1', listener.getsockname()[1]
        try:
            probe.connect((host.rpartition('@')[2], 1))
        except OSError as error:
            raise InputError(f'{host}: cannot be reached ({error.strerror})') from None
        return probe.getsockname()[0], listener.getsockname()[1]


def start(name, host, command, environment):
    """Start a command with variables added to its environment, here or on a host."""
    if host is not None:
        variables = [f'{key}={value}' for key, value in environment.items()]
        command = [*SSH, host, shlex.join(['cd', str(Path.cwd())]) + ' && ' + shlex.join(['env', *variables, *command])]
        environment = {}
    return Part(name, host, subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                                             start_new_session=True, preexec_fn=_end_with_parent))


def _end_with_parent():
    """Let the kernel end this process when the launcher is killed (Linux; prctl's PR_SET_PDEATHSIG is 1)."""
    if sys.platform == 'linux':
        import ctypes
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def wait(parts):
    """Wait until all workers have finished; InputError that names the first process that failed."""
    while True:
        codes = {part: part.process.poll() for part in parts}
        for part, code in codes.items():
            if code:
                reason = signal.Signals(-code).name if code < 0 else f'exit code {code}'
                place = f' on {part.host}' if part.host else ''
                raise InputError(f'{part.name}{place} ended ({reason}); all others are stopped. With --resume the '
                                 'training goes on from its last whole epoch')
        if all(code == 0 for part, code in codes.items() if part.name.startswith('worker')):
            return
        time.sleep(0.2)


def stop(parts):
    """End all processes."""
    for part in parts:
        part.process.terminate()
    deadline = time.time() + 5
    for part in parts:
        try:
            part.process.wait(max(0, deadline - time.time()))
        except subprocess.TimeoutExpired:
            part.process.kill()
            part.process.wait()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, usage='train_dist.py WORKERS|HOSTS --cfg YAML ...')
    parser.add_argument('workers', help='how many workers on this machine, or a file of hosts')
    parser.add_argument('--cfg', required=True, metavar='YAML', help='the experiment')
    args, options = parser.parse_known_args(argv)
    hosts = read_hosts(args.workers)
    program = ROOT / f'pose_{config.load(args.cfg).data.set}' / 'train.py'
    uri, port = address(hosts[0])
    environment = {'DMLC_PS_ROOT_URI': uri, 'DMLC_PS_ROOT_PORT': port, 'DMLC_NUM_WORKER': len(hosts),
                   'DMLC_NUM_SERVER': len(hosts)}
    if hosts[0] is None:
        environment.update(DMLC_INTERFACE='lo' if sys.platform == 'linux' else 'lo0',
                           OMP_NUM_THREADS=max(1, available_cores() // len(hosts)))
    if THREADS:
        environment.update(OMP_NUM_THREADS=THREADS)
    environment = {key: str(value) for key, value in environment.items()}
    serve = [sys.executable, '-c', 'import mxnet']         # with these roles it serves until it is told to end
    train = [sys.executable, str(program), '--cfg', args.cfg, *options, '--kvstore', 'dist_sync']
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    parts = []
    try:
        parts.append(start('the scheduler', None, serve, {**environment, 'DMLC_ROLE': 'scheduler'}))
        for number, host in enumerate(hosts):
            parts.append(start(f'server {number}', host, serve, {**environment, 'DMLC_ROLE': 'server'}))
            parts.append(start(f'worker {number}', host, train, {**environment, 'DMLC_ROLE': 'worker'}))
        wait(parts)
    finally:
        stop(parts)


if __name__ == '__main__':
    run(main)
