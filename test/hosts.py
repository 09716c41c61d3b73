"""Two hosts and a launcher in network namespaces of this machine, each host with an sshd: for tests by root.

Nothing of it is on the machine's own network, and all of it ends with the test.
"""
import getpass
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

LAUNCHER = '10.77.0.1'
HOSTS = {'node1': '10.77.0.11', 'node2': '10.77.0.12'}
OWN = 'node0'                                 # the launcher's name for itself


def lacking():
    """What is not here and needed, None if nothing is."""
    if os.geteuid():
        return 'root, for network namespaces'
    for program in ('ip', 'ssh', 'ssh-keygen', sshd()):
        if not shutil.which(program):
            return program
    probe = f'probe{os.getpid()}'
    if subprocess.run(['ip', 'netns', 'add', probe], capture_output=True).returncode:
        return 'the right to make network namespaces'
    ip('netns', 'del', probe)


def sshd():
    return shutil.which('sshd') or '/usr/sbin/sshd'      # it wants to be started by its whole path


def ip(*arguments, inside=()):
    return subprocess.run(['ip', *inside, *arguments], check=True, capture_output=True, text=True).stdout


class Cluster:
    """A context: the launcher's namespace has a bridge to which the hosts node1 and node2 are plugged.

    Both hosts have docker0 as their first interface, with one and the same address. Their names are known to ssh alone,
    as is node0, the launcher's own, which leads to 127.0.1.1.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self._prefix = f'p{os.getpid()}'
        self.path = f'{self.folder}/bin:{os.environ["PATH"]}'   # with an ssh that knows the hosts

    def namespace(self, name):
        return f'{self._prefix}-{name}'

    def inside(self, name):
        """The beginning of a command that runs on a host, or as 'launcher' where it is."""
        return ['ip', 'netns', 'exec', self.namespace(name)]

    def __enter__(self):
        try:
            self._plug()
            self._make_keys()
            for name in ('launcher', *HOSTS):
                self.start_sshd(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in ('launcher', *HOSTS):
            if self.namespace(name) in ip('netns', 'list').split():
                self.kill(name)
                ip('netns', 'del', self.namespace(name))

    def _plug(self):
        for name in ('launcher', *HOSTS):
            ip('netns', 'add', self.namespace(name))
            self.run(name, 'link', 'set', 'lo', 'up')
            if name != 'launcher':
                self._add_bridge(name, 'docker0', '172.17.0.1/16')
        self._add_bridge('launcher', 'plug', f'{LAUNCHER}/24')
        for host, address in HOSTS.items():
            self.run('launcher', 'link', 'add', host, 'type', 'veth',
                     'peer', 'name', 'eth0', 'netns', self.namespace(host))
            self.run('launcher', 'link', 'set', host, 'master', 'plug', 'up')
            self.run(host, 'address', 'add', f'{address}/24', 'dev', 'eth0')
            self.run(host, 'link', 'set', 'eth0', 'up')

    def _add_bridge(self, name, bridge, address):
        self.run(name, 'link', 'add', bridge, 'type', 'bridge')
        self.run(name, 'address', 'add', address, 'dev', bridge)
        self.run(name, 'link', 'set', bridge, 'up')

    def run(self, name, *arguments):
        """`ip` in a namespace."""
        return ip(*arguments, inside=('-n', self.namespace(name)))

    def _make_keys(self):
        for name in ('host', 'user'):
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', self.folder / name], check=True)
        lines = [f'Host {host}\n  HostName {address}' for host, address in {**HOSTS, OWN: '127.0.1.1'}.items()]
        (self.folder / 'config').write_text('\n'.join(lines) + f"""
Host *
  User {getpass.getuser()}
  IdentityFile {self.folder}/user
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
""")
        program = self.folder / 'bin' / 'ssh'
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.folder}/config "$@"\n')
        program.chmod(0o755)

    def start_sshd(self, host):
        """Start a host's sshd, and wait until it takes connections."""
        Path('/run/sshd').mkdir(exist_ok=True)
        (self.folder / 'sshd').write_text(f'HostKey {self.folder}/host\nAuthorizedKeysFile {self.folder}/user.pub\n'
                                          'StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n'
                                          'SetEnv SHLVL=2\n')      # lets bash leave out the user's .bashrc
        log = self.folder / f'{host}.log'
        log.unlink(missing_ok=True)
        subprocess.run([*self.inside(host), sshd(), '-f', self.folder / 'sshd', '-E', log], check=True)
        deadline = time.time() + 10
        while not log.exists() or 'listening on 0.0.0.0' not in log.read_text():
            assert time.time() < deadline, log.read_text()
            time.sleep(0.1)

    def processes(self, name):
        """{process id: its command line} of what runs on a host."""
        found = {}
        for number in ip('netns', 'pids', self.namespace(name)).split():
            try:
                found[int(number)] = Path(f'/proc/{number}/cmdline').read_text().replace('\0', ' ')
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def training(self, host):
        """The processes of a training on a host, not its sshd's."""
        return {number: line for number, line in self.processes(host).items() if 'python' in line}

    def kill(self, name, only=''):
        """Kill what runs on a host, at once; only: what is in the command lines."""
        for number, line in self.processes(name).items():
            if only in line:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)

    @contextmanager
    def cut(self, name):
        """A host is off the network; without the launcher, the hosts still have each other. Nobody is told."""
        if name == 'launcher':
            ways = [('address', way, f'{LAUNCHER}/24', 'dev', 'plug') for way in ('del', 'add')]
        else:
            ways = [('link', 'set', name, way) for way in ('down', 'up')]
        self.run('launcher', *ways[0])
        try:
            yield
        finally:
            self.run('launcher', *ways[1])

    @contextmanager
    def without_sshd(self, host):
        """A host's sshd has died, and with it its connections."""
        self.kill(host, only='sshd:')
        try:
            yield
        finally:
            self.start_sshd(host)

    @contextmanager
    def closed(self, host, to='0.0.0.0/0'):
        """A host's ports are, but for that of ssh: no route is for what leaves from another one (to some addresses)."""
        self.run(host, 'rule', 'add', 'to', to, 'ipproto', 'tcp', 'sport', '1024-65534', 'blackhole', 'preference', '1')
        try:
            yield
        finally:
            self.run(host, 'rule', 'del', 'preference', '1')
