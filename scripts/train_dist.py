"""Trains with several processes on MXNet's distributed kvstore (`scripts/train_dist.sh`)."""
import argparse
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Optional

ROOT = Path(__file__).resolve().parents[1]
THREADS = os.environ.get('OMP_NUM_THREADS')   # the user's choice, before `common` makes one
if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(ROOT)

from common import config
from common.errors import InputError
from common.programs.cli import run
from common.runtime import CORES, DISTRIBUTED, available_cores
from common.train import supervisor

SSH = ('ssh', '-T', '-o', 'BatchMode=yes', '-o', 'ConnectTimeout=10', '-o', 'ServerAliveInterval=5',
       '-o', 'ServerAliveCountMax=3')
FORWARDED = re.compile('MXNET_.*|PS_.*|CUDA_DEVICE_ORDER')        # variables that hosts are given, too
SILENCE = 30                                  # seconds after which a host that hears nothing from here ends its part

RESUME = 'With --resume the training goes on from its last whole epoch'
CHECK = ('They look for {places}: are these the addresses that the names should lead to, and does no firewall close '
         'ports between them?')


class Part(NamedTuple):
    """One process of the training."""

    name: str                                 # such as 'worker 1'
    host: Optional[str]                       # None for this machine
    process: subprocess.Popen                 # its own, or that of the ssh which runs it


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


def addresses(hosts):
    """The address for the scheduler, on this machine, and for each host the one that others reach it by.

    They are those by which this machine and the host reach each other: the host's first interface may be another one.
    A loopback address, such as Debian gives a machine's own name, is of no use to other hosts: it stands for this
    machine.
    """
    ours, theirs = zip(*(_addresses(host) for host in hosts))
    root = next((address for address in ours if not _loopback(address)), '127.0.0.1')
    return root, [root if _loopback(address) else address for address in theirs]


def _addresses(host):
    """This machine's address as a host sees it, and the host's as this machine does."""
    if host is None:
        return '127.0.0.1', '127.0.0.1'
    try:
        settings = subprocess.run(['ssh', '-G', host], capture_output=True, text=True).stdout
    except OSError:
        raise InputError('ssh: needed for a file of hosts, and not installed') from None
    settings = dict(line.partition(' ')[::2] for line in settings.splitlines())
    name = settings.get('hostname', host.rpartition('@')[2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:     # nothing is sent
        try:
            probe.connect((name, 1))
        except OSError as error:
            raise InputError(f'{host}: cannot be reached ({error.strerror})') from None
        return probe.getsockname()[0], probe.getpeername()[0]


def _loopback(address):
    return address.startswith('127.')


def free_port():
    with socket.socket() as listener:
        listener.bind(('', 0))
        return listener.getsockname()[1]


def start(name, host, command, environment, **pipes):
    """Start a command with variables added to its environment: here, or on a host that ends it when we are silent."""
    if host is not None:
        variables = [f'{key}={value}' for key, value in environment.items()]
        command = ['env', *variables, sys.executable, supervisor.__file__, str(SILENCE), *command]
        command = [*SSH, host, shlex.join(['cd', str(Path.cwd())]) + ' && exec ' + shlex.join(command)]
        environment, pipes = {}, {'stdin': subprocess.PIPE}
    return Part(name, host, subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True,
                                             preexec_fn=supervisor.end_with_parent,
                                             **{'stdin': subprocess.DEVNULL, **pipes}))


def note_joining(log, count, joined):
    """Set the event when all `count` processes have joined: of MXNet, its scheduler's log (PS_VERBOSE=1) alone says so.

    They have when they are at the first barrier, which is that of group 7. What else the log holds is passed on.
    """
    for line in log:
        if f'Barrier count for 7 : {count}' in line:
            joined.set()
        elif 'ps-lite/src' not in line or 'Check failed' in line:
            sys.stderr.write(line)


def wait(parts, seconds):
    """Wait until all workers have finished. Returns None, or what went wrong and what to do about it.

    The first of the parts is the scheduler; the others have so many seconds to join it.
    """
    joined, limit = threading.Event(), time.monotonic() + seconds
    threading.Thread(target=note_joining, args=(parts[0].process.stderr, len(parts), joined), daemon=True).start()
    while True:
        codes = {part: part.process.poll() for part in parts}
        for part, code in codes.items():
            if code:
                return f'{part.name} {_ending(part, code)}', '' if code == 2 else RESUME
        if all(code == 0 for part, code in codes.items() if part.name.startswith('worker')):
            return None
        if time.monotonic() > limit and not joined.is_set():
            return f'all processes have not found each other in {seconds:g} s (--join SECONDS)', CHECK
        for part in parts:
            give_sign_of_life(part)
        time.sleep(0.2)


def _ending(part, code):
    if part.host is None:
        return f'ended ({signal.Signals(-code).name if code < 0 else f"exit code {code}"})'
    if _unanswered(code):
        return f'on {part.host} is lost (its ssh failed)'
    killed = code - 128 in set(signal.Signals)
    return f'on {part.host} ended ({signal.Signals(code - 128).name if killed else f"exit code {code}"})'


def _unanswered(code):
    """Whether ssh has ended without the exit code of what it ran."""
    return code == 255 or code < 0


def give_sign_of_life(part):
    """Let a host know that this launcher is there; see `supervisor`."""
    if part.host is not None:
        with suppress(BrokenPipeError):
            os.write(part.process.stdin.fileno(), b'.')


def stop(parts):
    """End all processes. Returns the hosts that have not answered: what runs there may go on until SILENCE is over."""
    for part in parts:
        if part.host is None:
            part.process.terminate()
        else:
            part.process.stdin.close()        # its supervisor ends it and answers with an exit code
    deadline, silent = time.monotonic() + supervisor.GRACE + 2, set()
    for part in parts:
        try:
            part.process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            part.process.kill()
            part.process.wait()
        if part.host is not None and _unanswered(part.process.returncode):
            silent.add(part.host)
    return sorted(silent)


def _outcome(silent):
    if not silent:
        return 'all are stopped'
    return (f'all are stopped but for what runs on {" and ".join(silent)}, which ends by itself after {SILENCE} s '
            'without a word from here')


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, usage='train_dist.py WORKERS|HOSTS --cfg YAML ...')
    parser.add_argument('workers', help='how many workers on this machine, or a file of hosts')
    parser.add_argument('--cfg', required=True, metavar='YAML', help='the experiment')
    parser.add_argument('--join', type=float, default=120, metavar='SECONDS',
                        help='in which all find each other, and in which they exchange the first parameters')
    parser.add_argument('--kvstore', default=DISTRIBUTED[0], choices=DISTRIBUTED,
                        help=f'sums up a host\'s gradients on its CPU, or on its devices (default: {DISTRIBUTED[0]})')
    args, options = parser.parse_known_args(argv)
    hosts = read_hosts(args.workers)
    program = ROOT / f'pose_{config.load(args.cfg).data.set}' / 'train.py'
    root, nodes = addresses(hosts)
    environment = {**{key: value for key, value in os.environ.items() if FORWARDED.fullmatch(key)},
                   'DMLC_PS_ROOT_URI': root, 'DMLC_PS_ROOT_PORT': free_port(), 'DMLC_NUM_WORKER': len(hosts),
                   'DMLC_NUM_SERVER': len(hosts), 'POSE_JOIN_SECONDS': args.join}
    if hosts[0] is None:
        cores = max(1, available_cores() // len(hosts))
        environment.update({CORES: cores, 'OMP_NUM_THREADS': cores})
    if THREADS:
        environment.update(OMP_NUM_THREADS=THREADS)
    environment = {key: str(value) for key, value in environment.items()}
    serve = [sys.executable, str(ROOT / 'common/train/server.py')]
    train = [sys.executable, str(program), '--cfg', args.cfg, *options, '--kvstore', args.kvstore]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    parts, failure = [], None
    try:
        parts.append(start('the scheduler', None, serve, {**environment, 'DMLC_ROLE': 'scheduler', 'PS_VERBOSE': '1'},
                           stderr=subprocess.PIPE, text=True))
        for number, (host, node) in enumerate(zip(hosts, nodes)):
            environment['DMLC_NODE_HOST'] = node
            parts.append(start(f'server {number}', host, serve, {**environment, 'DMLC_ROLE': 'server'}))
            parts.append(start(f'worker {number}', host, train, {**environment, 'DMLC_ROLE': 'worker'}))
        failure = wait(parts, args.join)
    finally:
        silent = stop(parts)
    if failure:
        what, advice = failure
        if advice != CHECK:
            print(file=sys.stderr)            # ends the line of a progress bar
        places = dict(zip(['this machine', *hosts], [root, *nodes]))
        places = ', '.join(f'{host} at {node}' for host, node in places.items() if host)
        raise InputError(f'{what}; {_outcome(silent)}. {advice.format(places=places)}'.rstrip())


if __name__ == '__main__':
    run(main)
