"""A copy of what git has of the project, to be set up and used as a user would."""
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(('PYTHON', 'PYTEST', 'VIRTUAL'))}


def copy(folder):
    """Make the copy; returns its folder."""
    names = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def run(folder, *command, **environment):
    """A command that ran there, with what it printed (`subprocess.CompletedProcess`), with more in its environment."""
    return subprocess.run(command, cwd=folder, env={**ENVIRONMENT, **environment}, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)


def output(folder, *command, **environment):
    """What a command prints that has to succeed."""
    process = run(folder, *command, **environment)
    assert process.returncode == 0, process.stderr[-2000:]
    return process.stdout
