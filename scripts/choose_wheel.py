"""Which wheel of MXNet 1.9.1 this machine can use: its name on stdout, why in a line on stderr.

`setup.sh` asks with the Python that it has found, before anything is installed. mxnet-cu117 holds machine code for the
compute capabilities 5.0, 6.0, 7.0, 8.0 and 8.6 and nothing that a driver could compile for newer GPUs, so it runs on
5.0 to 8.9. It and NVIDIA's libraries of CUDA 11 need a driver from 450.80.02 on (NVIDIA's CUDA Compatibility, "minor
version compatibility", and the support matrix of cuDNN 8.9.6).
"""
import platform
import re
import subprocess
import sys

CPU, CUDA = 'mxnet==1.9.1', 'mxnet-cu117==1.9.1'
LOWEST, HIGHEST = (5, 0), (8, 9)              # compute capabilities
OLDEST = '450.80.02'                          # driver
STILL = 'The GPU can still run exported networks (common.export --onnx), by the package onnxruntime-gpu.'


def main():
    wheel, reason = choose(platform.machine(), *ask())
    print(f'{wheel}: {reason}', file=sys.stderr)
    print(wheel)


def ask():
    """(GPUs, problem) by nvidia-smi: (driver, compute capability, name) of each, as texts, or why there is none."""
    try:
        answer = query('driver_version,compute_cap,name')
        if answer.returncode and 'compute_cap' in answer.stdout + answer.stderr:      # before driver 510 or so
            answer = query('driver_version,name')
            answer.stdout = re.sub(r'^([^,]*),', r'\1, unknown,', answer.stdout, flags=re.M)
    except OSError:
        return [], 'there is no nvidia-smi, and so no NVIDIA driver'
    except subprocess.TimeoutExpired:
        return [], 'nvidia-smi does not answer'
    gpus = [tuple(part.strip() for part in line.split(',', 2)) for line in answer.stdout.splitlines()]
    if answer.returncode or not gpus or any(len(gpu) < 3 for gpu in gpus):
        said = ' '.join((answer.stdout + answer.stderr).split()) or 'nothing'
        return [], f'nvidia-smi finds no GPU that works; it says: {said}'
    return gpus, ''


def query(fields):
    return subprocess.run(['nvidia-smi', f'--query-gpu={fields}', '--format=csv,noheader'], capture_output=True,
                          text=True, timeout=60)


def choose(machine, gpus, problem):
    """(wheel, reason) for the GPUs that `ask` found on a machine of this architecture."""
    if not gpus:
        return CPU, problem
    driver = gpus[0][0]
    if machine != 'x86_64':
        return CPU, f'there is a wheel with CUDA for x86_64 alone, and this machine is {machine}'
    if numbers(driver) < numbers(OLDEST):
        return CPU, (f'driver {driver} is too old for CUDA 11, which needs {OLDEST} or newer. Update it, remove .venv, '
                     'and set up again')
    able, unable = (listed(gpu for gpu in gpus if runs(gpu) is wanted) for wanted in (True, False))
    cannot = f'has no code for {unable}, only for {text(LOWEST)} to {text(HIGHEST)}'
    if not able:
        return CPU, f'MXNet 1.9.1 {cannot}. {STILL}'
    reason = f'for {able}, driver {driver}, with 2.6 GB of CUDA libraries'
    return CUDA, reason + (f'. It {cannot}: name the others by --gpus. {STILL}' if unable else '')


def runs(gpu):
    """Whether the wheel has code for a GPU. Where nvidia-smi cannot say what it is, it is older than 8.9: likely so."""
    return not re.fullmatch(r'\d+\.\d+', gpu[1]) or LOWEST <= numbers(gpu[1]) <= HIGHEST


def numbers(version):
    """'450.80.02' as (450, 80, 2)."""
    return tuple(map(int, re.findall(r'\d+', version)))


def text(version):
    return '.'.join(map(str, version))


def listed(gpus):
    """Their names and capabilities in a line, each kind once."""
    return ', '.join(dict.fromkeys(f'{name} (compute capability {capability})' for _, capability, name in gpus))


if __name__ == '__main__':
    main()
