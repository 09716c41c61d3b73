"""A training on several hosts: what runs there, what it is told, and what becomes of it when hosts are cut off."""
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest
from hosts import HOSTS, LAUNCHER, OWN, Cluster, lacking
from test_distributed import RUN, STARTED, assert_same_training, finish, running, start
from test_distributed import nothing_left  # noqa: F401 (a fixture)

from common.train import supervisor
from scripts import train_dist

SLEEPER = ('import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); '
           'sys.stdout.write("up\\n"); sys.stdout.flush(); '       # at once, for two of them share the pipe
           'time.sleep(1000)')                # does not end when it is asked


def until(condition, seconds):
    """Wait for it."""
    start_time = time.time()
    while not condition():
        assert time.time() - start_time < seconds
        time.sleep(0.1)


# --- the supervisor -------------------------------------------------------------------------------------------------

def supervise(*command, silence=30):
    return subprocess.Popen([sys.executable, supervisor.__file__, str(silence), *command], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize('script, code', [('exit 0', 0), ('exit 3', 3), ('kill -9 $$', 128 + 9)])
def test_the_supervisor_ends_as_its_command_does(script, code):
    with supervise('sh', '-c', script) as process:
        assert process.wait(timeout=10) == code


@pytest.mark.parametrize('how, silence', [('silence', 1.5), ('end', 1000)])
def test_the_supervisor_ends_what_nobody_is_heard_of(how, silence):
    """A command that is deaf to SIGTERM, and its child, are gone some seconds after the last sign of life."""
    child = f'{sys.executable} -c \'{SLEEPER}\''
    with supervise('sh', '-c', f'{child} & echo $!; exec {child}', silence=silence) as process:
        number = int(process.stdout.readline())
        assert [process.stdout.readline() for _ in range(2)] == ['up\n'] * 2
        for _ in range(12 if how == 'silence' else 1):                         # 2.4 s, in which it hears something
            process.stdin.write('.')
            process.stdin.flush()
            time.sleep(0.2)
        assert process.poll() is None
        heard = time.time()
        if how == 'end':
            process.stdin.close()
        assert process.wait(timeout=20) == 128 + signal.SIGKILL
        assert time.time() - heard < 1.5 + supervisor.GRACE + 2
        until(lambda: not running(number), 5)


# --- what takes too long --------------------------------------------------------------------------------------------

LIMITED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from common.train.workers import time_limit
with time_limit(float(sys.argv[2]), 'too long'):
    time.sleep(1)
time.sleep(1)                                 # beyond the limit, but not within it any more
"""


@pytest.mark.parametrize('limit, code, said', [('0.2', 2, 'error: too long\n'), ('1.5', 0, '')])
def test_a_time_limit_ends_the_process(root, limit, code, said):
    process = subprocess.run([sys.executable, '-c', LIMITED, root, limit], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (code, said)


# --- addresses ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('pairs, root, nodes', [
    ([('127.0.0.1', '127.0.0.1')] * 2, '127.0.0.1', ['127.0.0.1'] * 2),                   # this machine alone
    ([('127.0.0.1', '127.0.1.1'), ('10.0.0.1', '10.0.0.2')], '10.0.0.1', ['10.0.0.1', '10.0.0.2']),
    ([('10.0.0.1', '10.0.0.2'), ('10.1.0.1', '10.1.0.3')], '10.0.0.1', ['10.0.0.2', '10.1.0.3'])])
def test_a_loopback_address_is_not_told_to_other_hosts(monkeypatch, pairs, root, nodes):
    found = iter(pairs)
    monkeypatch.setattr(train_dist, '_addresses', lambda host: next(found))
    assert train_dist.addresses(['a', 'b']) == (root, nodes)


# --- a cluster ------------------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    missing = lacking()
    if missing:
        pytest.skip(f'needs {missing}')
    with Cluster(tmp_path_factory.mktemp('cluster')) as network:
        yield network


@pytest.fixture
def launch(root, tiny_data, tmp_path, cluster):
    """Starts a training on node1 and node2, or other hosts."""
    def run(epochs, *more, hosts=HOSTS):
        file = tmp_path / 'hosts.txt'
        file.write_text('\n'.join(hosts))
        return start(root, [root / 'scripts/train_dist.sh', file], tiny_data, tmp_path / 'two', 4, epochs, *more,
                     path=cluster.path, before=[*cluster.inside('launcher'), 'sh'])

    yield run
    for host in HOSTS:
        cluster.kill(host, only='python')


def worker_of(cluster, host):
    """The id of the one worker's process on a host."""
    return next(number for number, line in cluster.training(host).items()
                if 'train.py' in line and 'supervisor.py' not in line)


def last_line(process):
    return process.stderr.read().splitlines()[-1]


# A launcher whose scheduler, servers and workers are IDLE: what becomes of processes does not take a training.
IDLE = """
import os, sys, time
if os.environ['DMLC_ROLE'] == 'scheduler':
    print('[00:00:00] ps-lite/src: Barrier count for 7 : 5', file=sys.stderr, flush=True)
time.sleep(1000)
"""
LAUNCH = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from scripts import train_dist
train_dist.ROOT = Path(sys.argv[2])
train_dist.run(lambda: train_dist.main(sys.argv[3:]))
"""


@pytest.fixture
def idle(root, tmp_path, cluster):
    """A launcher on node1 and node2 that has just started its idle processes."""
    (tmp_path / 'hosts.txt').write_text('\n'.join(HOSTS))
    for name in ('common/train/server.py', 'pose_mpii/train.py'):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(IDLE)
    command = [*cluster.inside('launcher'), sys.executable, '-c', LAUNCH, root, tmp_path, tmp_path / 'hosts.txt',
               '--cfg', root / f'experiments/{RUN}.yaml']
    STARTED.append(subprocess.Popen(command, env={**os.environ, 'PATH': cluster.path}, text=True,
                                    stderr=subprocess.PIPE))
    until(lambda: all(sum('supervisor' not in line for line in cluster.training(host).values()) == 2
                      for host in HOSTS), 100)
    yield STARTED[-1]
    for host in HOSTS:
        cluster.kill(host, only='python')


@pytest.mark.long
@pytest.mark.parametrize('lost, seconds, said', [
    ('node2', 25, 'is lost (its ssh failed); all are stopped but for what runs on node2,'),
    ('launcher', 25, 'is lost (its ssh failed); all are stopped but for what runs on node1 and node2,'),
    ('sshd', 8, 'is lost (its ssh failed); all are stopped but for what runs on node2,'),
    ('worker', 8, 'worker 1 on node2 ended (SIGKILL); all are stopped. With --resume')],
    ids=['node2', 'launcher', 'sshd', 'worker'])
def test_when_something_is_lost_all_ends(cluster, idle, lost, seconds, said):
    """The launcher after some seconds, and what runs on hosts that it cannot tell as soon as they miss it."""
    ways = {'sshd': lambda: cluster.without_sshd('node2'),
            'worker': lambda: nullcontext(os.kill(worker_of(cluster, 'node2'), signal.SIGKILL))}
    start_time = time.time()
    with ways.get(lost, lambda: cluster.cut(lost))():
        assert idle.wait(timeout=60) == 2
        launcher_took = time.time() - start_time
        until(lambda: not any(cluster.training(host) for host in HOSTS), 60)
        hosts_took = time.time() - start_time
    line = last_line(idle)
    print(f'{lost}: after {launcher_took:.1f} s the launcher ended, after {hosts_took:.1f} s the last host: {line}')
    assert line.startswith('error: ') and said in line
    assert launcher_took < seconds and hosts_took < train_dist.SILENCE + supervisor.GRACE + 3


@pytest.mark.long
def test_two_hosts_train_as_one_with_twice_the_batch(root, tiny_data, tmp_path, launch):
    """They have another first interface, docker0, with one address for both, and names that only ssh knows."""
    finish(launch(2))
    finish(start(root, [root / 'pose_mpii/train.py'], tiny_data, tmp_path / 'one', 8, 2))
    assert_same_training(tmp_path / 'two' / RUN, tmp_path / 'one' / RUN)


@pytest.mark.long
def test_the_run_goes_on_when_a_host_was_cut_off(tmp_path, cluster, launch):
    """Within a minute: nothing holds the folder any more."""
    process, folder = launch(1000), tmp_path / 'two' / RUN
    until((folder / 'last.state').exists, 240)
    with cluster.cut('node2'):
        assert process.wait(timeout=60) == 2
        until(lambda: not any(cluster.training(host) for host in HOSTS), 60)
    done = len((folder / 'log.jsonl').read_text().splitlines())
    finish(launch(done + 1, '--resume'))
    assert len((folder / 'log.jsonl').read_text().splitlines()) == done + 1


@pytest.mark.long
def test_a_host_may_be_the_launcher_itself_by_a_loopback_address(tmp_path, launch):
    finish(launch(1, hosts=(OWN, 'node2')))
    assert (tmp_path / 'two' / RUN / 'result.json').exists()


@pytest.mark.long
def test_closed_ports_are_said_in_time(cluster, launch):
    with cluster.closed('node2'):
        process = launch(1, '--join', '20')
        assert process.wait(timeout=60) == 2
    line = last_line(process)
    assert 'in 20 s' in line and 'firewall' in line
    assert all(f'{host} at {address}' in line for host, address in HOSTS.items()) and LAUNCHER in line
    assert not any(cluster.training(host) for host in HOSTS)


@pytest.mark.long
def test_ports_closed_between_two_hosts_are_said_in_time(cluster, launch):
    """Both have found the scheduler, and would wait for each other without end."""
    with cluster.closed('node2', to=HOSTS['node1']):
        process = launch(1, '--join', '40')
        assert process.wait(timeout=120) == 2
    said = process.stderr.read()
    assert 'first exchange is not over after 40 s' in said and 'firewall' in said
    assert not any(cluster.training(host) for host in HOSTS)
