"""Reading and writing files so that a crash never leaves half a file and an error names the file."""
import fcntl
import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path

from common.errors import InputError


def make_folder(path):
    """Create a folder and its parents; InputError where that is not possible. Returns a `Path`."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f'{path}: cannot create this folder ({error.strerror})') from None
    if not os.access(path, os.W_OK):
        raise InputError(f'{path}: this folder is not writable')
    return path


def check_output(path):
    """InputError where `path` could not be written: said before hours of work, not after."""
    path = Path(path)
    if os.path.isdir(path):
        raise InputError(f'{path}: is a folder; expected the name of a file to write')
    make_folder(path.resolve().parent)


@contextmanager
def replacing(path):
    """Yield a temporary name beside `path`, renamed to `path` on success and removed on failure.

    The previous file stays whole until the new one is on the disk; a link stays one. A full disk, an unwritable folder
    or something else than a file in the place is an InputError that names `path`.
    """
    path = Path(os.path.realpath(path))
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f'{path}: cannot be written (it is no file)')
    make_folder(path.parent)
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}{path.suffix}')
    try:
        yield temporary
        with open(temporary, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f'{path}: cannot be written ({error.strerror}); any earlier version is unchanged') from None
    finally:
        with suppress(OSError):               # it may be renamed by now, or never have come to be
            temporary.unlink()


@contextmanager
def locked(folder):
    """Keep other processes from doing the same in a folder; InputError where one is at it. Ends with the process."""
    path = Path(folder) / '.lock'
    try:
        file = open(path, 'w')
    except OSError as error:
        raise InputError(f'{path}: cannot be written ({error.strerror})') from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f'{folder}: another process is writing there; wait for it, or choose another folder') \
                from None
        except OSError:                       # a file system without locks
            pass
        yield


def write_text(path, text):
    """Write `text` to `path` (see `replacing`)."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_json(path, value):
    """Write `value` to `path` as JSON (see `replacing`)."""
    write_text(path, json.dumps(value, indent=1) + '\n')


def read_bytes(path):
    """What a file holds; InputError naming it where it cannot be read."""
    try:
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror})') from None


def read_json(path):
    """The value in a JSON file; InputError naming the file, and the line where it is malformed."""
    content = read_bytes(path)
    try:
        return json.loads(content)            # of bytes: UTF-8 whatever the locale, UTF-16 and -32 too
    except json.JSONDecodeError as error:
        raise InputError(f'{path}: not valid JSON (line {error.lineno}: {error.msg})') from None
    except (ValueError, RecursionError):      # of another encoding, a number of thousands of digits, nested too deep
        raise InputError(f'{path}: not valid JSON') from None
