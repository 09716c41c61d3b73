"""Several worker processes on MXNet's own distributed kvstore, as scripts/train_dist.py starts them."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from refused import fails

from common import runtime
from common.errors import InputError
from common.weights import checkpoint
from scripts import train_dist

SETS = ('input.size=[64, 64]', 'network.deconvolutions=3', 'train.freeze_bn=true', 'train.drops=[1]',
        'train.rates=[1e-6, 1e-7]')           # Adam turns rounding of a gradient near 0 into a step of this size
RUN = 'cpu/mpii/table2/h1'
STARTED = []


@pytest.fixture(autouse=True)
def nothing_left():
    """A test that fails leaves no processes behind: the launcher, told to end, ends those that it has started."""
    yield
    for process in STARTED:
        process.terminate()
        process.communicate(timeout=30)
    STARTED.clear()


def start(root, program, data, out, batch_size, epochs, *more, path=None, before=(sys.executable,)):
    """Start a training, by a program and its first options; path: another PATH, before: how the program is run."""
    sets = [option for value in (*SETS, f'train.batch_size={batch_size}', f'train.epochs={epochs}')
            for option in ('--set', value)]
    command = [*before, *map(str, program), '--cfg', str(root / f'experiments/{RUN}.yaml'), '--data', str(data),
               '--out', str(out), *sets, *more]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', **({'PATH': path} if path else {})}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's jobs in the background, and theirs, ignore it
    STARTED.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    return STARTED[-1]


def finish(process):
    error = process.communicate(timeout=300)[1]
    assert process.returncode == 0, error


@pytest.fixture
def ssh(tmp_path):
    """A PATH whose ssh runs the command here, as HOST.sed has changed it, and writes down what it was given."""
    program = tmp_path / 'bin' / 'ssh'
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1" = -G ] && exit\necho "$*" >>{tmp_path}/ssh.log\n'
                       f'for command; do :; done\nscript={tmp_path}/${{10}}.sed\n'
                       '[ -e "$script" ] && command=$(echo "$command" | sed -f "$script")\nexec sh -c "$command"\n')
    program.chmod(0o755)
    return f'{program.parent}:{os.environ["PATH"]}'


def distance(ours, theirs):
    """Relative, of whole arrays: single values jump where rounding takes a ReLU over its corner."""
    return np.linalg.norm(ours - theirs) / max(np.linalg.norm(theirs), 1e-30)


def assert_same_training(ours, theirs):
    """The checkpoints in two folders agree, but for rounding."""
    one, two = (checkpoint.read_arrays(folder / 'last.state') for folder in (theirs, ours))
    assert one.keys() == two.keys()
    for kind in ('parameter', 'mean', 'variance', 'devices'):
        pairs = [(two[name].asnumpy().ravel(), one[name].asnumpy().ravel()) for name in one if name.startswith(kind)]
        assert distance(*map(np.concatenate, zip(*pairs))) <= 1e-4, kind
        assert max(distance(*pair) for pair in pairs) <= 1e-2, kind            # those that began with 0, too


@pytest.mark.parametrize('kvstore, devices', [
    ('dist_sync', '1'), pytest.param('dist_device_sync', '2', marks=pytest.mark.long)])
def test_two_workers_train_as_one_with_twice_the_batch(root, tiny_data, tmp_path, ssh, kvstore, devices):
    """16 samples: 2 workers x 2 steps of 4 equal 2 steps of 8, BN frozen. Only the first worker writes."""
    hosts = tmp_path / 'hosts.txt'
    hosts.write_text('# two\n127.0.0.1\n\nlocalhost  # the second\n')
    finish(start(root, [root / 'scripts/train_dist.py', hosts], tiny_data, tmp_path / 'two', 4, 2,
                 '--cpus', devices, '--kvstore', kvstore, path=ssh))
    finish(start(root, [root / 'pose_mpii/train.py'], tiny_data, tmp_path / 'one', 8, 2, '--cpus', devices))
    assert_same_training(tmp_path / 'two' / RUN, tmp_path / 'one' / RUN)
    two, one = ([json.loads(line) for line in (tmp_path / out / RUN / 'log.jsonl').read_text().splitlines()]
                for out in ('two', 'one'))
    for ours, theirs in zip(two, one):        # of both workers' samples, not of the first one's
        assert ours['heatmap_loss'] == pytest.approx(theirs['heatmap_loss'], rel=1e-3)
    result = json.loads((tmp_path / 'two' / RUN / 'result.json').read_text())
    assert (result['workers'], result['kvstore']) == (2, kvstore)
    commands = (tmp_path / 'ssh.log').read_text().splitlines()
    assert sorted(line.split()[9] for line in commands) == ['127.0.0.1', '127.0.0.1', 'localhost', 'localhost']


def test_a_host_with_other_images_ends_the_training(root, tiny_data, tmp_path, ssh):
    """At once: its process does not wait for the other one, which waits for its gradients."""
    (tmp_path / 'hosts.txt').write_text('127.0.0.1\nlocalhost\n')
    other = shutil.copytree(tiny_data, tmp_path / 'other' / tiny_data.name)
    next((other / 'images').glob('train_*.jpg')).unlink()
    (tmp_path / 'localhost.sed').write_text(f's|{tiny_data}|{other}|\n')
    process = start(root, [root / 'scripts/train_dist.py', tmp_path / 'hosts.txt'], tiny_data, tmp_path / 'out', 4, 1,
                    path=ssh)
    error = process.communicate(timeout=300)[1]
    assert process.returncode == 2
    assert re.search(r'\(rank [01]\): has 1[56] people .*; all hosts need the same data\n', error)
    assert re.search(r'error: worker [01] on \S+ ended \(exit code 2\); all are stopped', error.splitlines()[-1])


def launched(root, workers, path, *options, **environment):
    """The processes that a launcher on a machine of 8 cores would start: {name: its command and its variables}."""
    code = ('import json, sys; sys.path.insert(0, sys.argv[1])\n'
            'from scripts import train_dist\n'
            'train_dist.wait = lambda parts, seconds: None\n'
            'train_dist.start = lambda name, host, command, environment, **pipes: started.update(\n'
            '    {name: [command, dict(environment)]})\n'
            'train_dist.stop = lambda parts: None\n'
            'train_dist.available_cores = lambda: 8\n'
            'started = {}\n'
            'train_dist.main(sys.argv[2:])\n'
            'print(json.dumps(started))\n')
    inherited = {key: value for key, value in os.environ.items() if key != 'OMP_NUM_THREADS'}
    command = [sys.executable, '-c', code, root, workers, '--cfg', root / f'experiments/{RUN}.yaml', *options]
    return json.loads(subprocess.check_output([*map(str, command)], env={**inherited, 'PATH': path, **environment}))


@pytest.mark.parametrize('chosen', [None, '3'])
def test_threads_are_shared_among_the_workers_unless_the_user_chose(root, tmp_path, ssh, chosen):
    """On this machine the cores are; what the user chose of OpenMP's holds here and on hosts."""
    (tmp_path / 'hosts').write_text('127.0.0.1\n')
    choice = {'OMP_NUM_THREADS': chosen} if chosen else {}
    for workers, threads, cores in (('2', chosen or '4', '4'), (tmp_path / 'hosts', chosen, None)):
        _, variables = launched(root, workers, ssh, **choice)['worker 0']
        assert (variables.get('OMP_NUM_THREADS'), variables.get(runtime.CORES)) == (threads, cores)


def test_hosts_are_given_the_variables_of_mxnet_and_the_kvstore(root, tmp_path, ssh):
    (tmp_path / 'hosts').write_text('127.0.0.1\n')
    given = {'MXNET_ENGINE_TYPE': 'NaiveEngine', 'PS_RESEND': '1', 'CUDA_DEVICE_ORDER': 'PCI_BUS_ID'}
    started = launched(root, tmp_path / 'hosts', ssh, '--kvstore', 'dist_device_sync', **given,
                       CUDA_VISIBLE_DEVICES='1')
    for name in 'server 0', 'worker 0':
        variables = started[name][1]
        assert variables.items() >= given.items() and 'CUDA_VISIBLE_DEVICES' not in variables
    assert started['worker 0'][0][-2:] == ['--kvstore', 'dist_device_sync']
    assert launched(root, '1', ssh)['worker 0'][0][-2:] == ['--kvstore', 'dist_sync']


def children(process):
    """{role: process id} of the processes that train_dist.py has started; the workers in their order."""
    found = {}
    for line in subprocess.check_output(['ps', '-o', 'pid=', '--ppid', str(process.pid)], text=True).split():
        with open(f'/proc/{line}/environ') as file:
            variables = dict(item.partition('=')[::2] for item in file.read().split('\0'))
        found.setdefault(variables.get('DMLC_ROLE'), []).append(int(line))
    return found


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('victim', ['worker', pytest.param('server', marks=pytest.mark.long)])
def test_when_one_process_dies_all_stop_and_the_run_goes_on(root, tiny_data, tmp_path, victim):
    launcher = root / 'scripts/train_dist.py', '2'
    process = start(root, launcher, tiny_data, tmp_path, 4, 1000)
    while not (tmp_path / RUN / 'last.state').exists():
        assert process.poll() is None
        time.sleep(0.05)
    parts = [number for numbers in children(process).values() for number in numbers]
    os.kill(children(process)[victim][1], signal.SIGKILL)
    assert process.wait(timeout=30) == 2
    error = process.stderr.read().splitlines()[-1]
    assert f'error: {victim} 1 ended (SIGKILL)' in error and '--resume' in error
    assert not any(os.path.exists(f'/proc/{number}') for number in parts)
    done = len((tmp_path / RUN / 'log.jsonl').read_text().splitlines())
    finish(start(root, launcher, tiny_data, tmp_path, 4, done + 1, '--resume'))
    assert len((tmp_path / RUN / 'log.jsonl').read_text().splitlines()) == done + 1


@pytest.mark.skipif(sys.platform != 'linux', reason='the kernel ends the workers there')
@pytest.mark.parametrize('number', [signal.SIGKILL, *(pytest.param(number, marks=pytest.mark.long)
                                                       for number in (signal.SIGTERM, signal.SIGINT))])
def test_no_worker_outlives_its_launcher(root, tiny_data, tmp_path, number):
    process = start(root, (root / 'scripts/train_dist.py', '2'), tiny_data, tmp_path, 4, 1000)
    while not (tmp_path / RUN / 'run.json').exists():
        assert process.poll() is None
        time.sleep(0.05)
    parts = [number for numbers in children(process).values() for number in numbers]
    assert len(parts) == 5
    process.send_signal(number)
    process.wait(timeout=30)
    deadline = time.time() + 10
    while any(running(part) for part in parts):
        assert time.time() < deadline
        time.sleep(0.05)


def running(number):
    try:
        with open(f'/proc/{number}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'            # a zombie has ended
    except OSError:
        return False


def test_joining_has_a_time_limit(root, tiny_data, tmp_path):
    process = start(root, (root / 'scripts/train_dist.py', '2', '--join', '0.2'), tiny_data, tmp_path, 4, 1)
    assert process.wait(timeout=30) == 2
    error = process.stderr.read()
    assert error.count('\n') == 1 and 'have not found each other in 0.2 s' in error
    assert 'this machine at 127.0.0.1' in error and 'firewall' in error


@pytest.mark.parametrize('workers, text, message', [
    ('0', None, '0: neither a number'), ('none.txt', None, 'none.txt: neither'), ('hosts', '', 'names no host'),
    ('hosts', '-oProxyCommand=x', 'is not the name'), ('hosts', 'one two', 'is not the name')])
def test_bad_hosts(root, tmp_path, monkeypatch, workers, text, message):
    if text is not None:
        (tmp_path / workers).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert message in fails(train_dist.main, [workers, '--cfg', str(root / f'experiments/{RUN}.yaml')])


def test_without_a_scheduler_it_says_what_is_lacking(monkeypatch):
    for name in [name for name in os.environ if name.startswith('DMLC_')]:
        monkeypatch.delenv(name)
    with pytest.raises(InputError, match='DMLC_PS_ROOT_URI'):
        runtime.kvstore('dist_sync')


# --- servers --------------------------------------------------------------------------------------------------------

WORKER = """
import pickle, sys
import mxnet as mx

class Code:
    def __reduce__(self):
        return open, (sys.argv[1], 'w')

store = mx.kv.create('dist_sync')
store._send_command_to_servers(0, pickle.dumps(Code(), 0).decode())
store.init(1, mx.nd.zeros(2))
total = mx.nd.ones(2)
store.pushpull(1, total, out=total)
print(total.asnumpy().tolist())
"""


@pytest.mark.parametrize('command, runs', [(['common/train/server.py'], False),
                                           pytest.param(['-c', 'import mxnet'], True, marks=pytest.mark.long)])
def test_a_message_to_a_server_runs_no_code(root, tmp_path, command, runs):
    """What MXNet's own server does with it shows that the message would."""
    environment = {**os.environ, 'DMLC_PS_ROOT_URI': '127.0.0.1', 'DMLC_PS_ROOT_PORT': str(train_dist.free_port()),
                   'DMLC_NODE_HOST': '127.0.0.1', 'DMLC_NUM_WORKER': '1', 'DMLC_NUM_SERVER': '1'}
    for role, program in ('scheduler', command), ('server', command), ('worker', ['-c', WORKER, tmp_path / 'made']):
        STARTED.append(subprocess.Popen([sys.executable, *program], cwd=root, env={**environment, 'DMLC_ROLE': role},
                                        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    worker, server = STARTED[2].communicate(timeout=60), STARTED[1].communicate(timeout=60)
    assert worker[0] == '[1.0, 1.0]\n'        # the server goes on
    assert (tmp_path / 'made').exists() == runs
    assert runs or (server[1].count('\n') == 1 and 'has refused a message' in server[1])
