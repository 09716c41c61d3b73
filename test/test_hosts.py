"""A training on several hosts: what runs there, and what it is told."""
import signal
import subprocess
import sys
import time

import pytest
from test_distributed import running

from common.train import supervisor
from scripts import train_dist

SLEEPER = ('import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print("up", flush=True); '
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


@pytest.mark.parametrize('how', ['silence', 'end'])
def test_the_supervisor_ends_what_nobody_is_heard_of(how):
    """A command that is deaf to SIGTERM, and its child, are gone some seconds after the last sign of life."""
    child = f'{sys.executable} -c \'{SLEEPER}\''
    with supervise('sh', '-c', f'{child} & echo $!; exec {child}', silence=1.5) as process:
        number = int(process.stdout.readline())
        assert [process.stdout.readline() for _ in range(2)] == ['up\n'] * 2
        for _ in range(12):                   # 2.4 s, in which it hears something
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


# --- addresses ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('pairs, root, nodes', [
    ([('127.0.0.1', '127.0.0.1')] * 2, '127.0.0.1', ['127.0.0.1'] * 2),                   # this machine alone
    ([('127.0.0.1', '127.0.1.1'), ('10.0.0.1', '10.0.0.2')], '10.0.0.1', ['10.0.0.1', '10.0.0.2']),
    ([('10.0.0.1', '10.0.0.2'), ('10.1.0.1', '10.1.0.3')], '10.0.0.1', ['10.0.0.2', '10.1.0.3'])])
def test_a_loopback_address_is_not_told_to_other_hosts(monkeypatch, pairs, root, nodes):
    found = iter(pairs)
    monkeypatch.setattr(train_dist, '_addresses', lambda host: next(found))
    assert train_dist.addresses(['a', 'b']) == (root, nodes)
