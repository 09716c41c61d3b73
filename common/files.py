"""Reading and writing files so that a crash never leaves half a file and an error names the file."""
import fcntl
import json
import math
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator, Optional

from common.errors import InputError, StorageError

TEMPORARY = re.compile(r'\..+\.\d+(\.\w+)?')


def make_folder(path) -> Path:
    """Create a folder and its parents; InputError where that is not possible. Returns a `Path`."""
    path = Path(path)
    try:
        utf8_name(os.path.realpath(path))     # MXNet takes no others
        path.mkdir(parents=True, exist_ok=True)
    except UnicodeError:
        raise InputError(f'{path}: the name of this folder is not UTF-8') from None
    except OSError as error:
        raise InputError(f'{path}: cannot create this folder ({error.strerror})') from None
    if not os.access(path, os.W_OK):
        raise InputError(f'{path}: this folder is not writable')
    return path


def utf8_name(path) -> str:
    """The name of a path for a library that takes UTF-8 in every locale; UnicodeError if it is not in UTF-8.

    In another locale than UTF-8's, Python has decoded the same bytes to other characters.
    """
    return os.fsencode(path).decode()


def check_outputs(outputs, inputs=()):
    """InputError where one of the files could not be written, or would take another's place: said before the work.

    None among them counts for none.
    """
    taken = {os.path.realpath(path): 'would overwrite what is read' for path in inputs if path is not None}
    for path in outputs:
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise InputError(f'{path}: {taken[place]}')
        taken[place] = 'given for two different outputs'
        _check_place(path)
        make_folder(os.path.dirname(place))


def _check_place(path):
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f'{path}: cannot be written (it is no file)')


def require_images(paths):
    """InputError where one of the files is missing: said at once, not after an hour."""
    paths = dict.fromkeys(paths)              # several people may be in one
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise InputError(f'{missing[0]}: missing ({len(missing)} of {len(paths)} images)')


@contextmanager
def replacing(path) -> Iterator[Path]:
    """Yield a temporary name beside `path`, renamed to `path` on success and removed on failure.

    The previous file stays whole until the new one is on the disk; a link stays one. A full disk, an unwritable folder
    or something else than a file in the place is an InputError that names `path`.
    """
    _check_place(path)
    path = Path(os.path.realpath(path))
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
def locked(place) -> Iterator[None]:
    """Keep other processes from writing to a folder, or a file, too; InputError where one is at it.

    The lock ends with the process; its empty file stays. What a process that was killed in `replacing` left in the
    folder is removed: with the lock, no other training is writing there.
    """
    place = Path(place)
    path = place / '.lock' if place.is_dir() else place.with_name(f'.{place.name}.lock')
    try:
        file = open(path, 'wb')
    except OSError as error:
        raise InputError(f'{path}: cannot be written ({error.strerror})') from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f'{place}: another process is writing there; wait for it, or use another --out') from None
        except OSError:                       # a file system without locks
            pass
        else:
            _remove_temporaries(place)
        yield


def _remove_temporaries(folder):
    """Remove files with the temporary names that `replacing` gives, `.stem.PROCESS.suffix`."""
    for path in folder.glob('.*.*') if folder.is_dir() else ():
        if TEMPORARY.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()


def write_text(path, text):
    """Write `text` to `path` (see `replacing`)."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def write_json(path, value):
    """Write `value` to `path` as JSON (see `replacing`); InputError naming a number in it that is not finite."""
    bad = not_finite(value)
    if bad is not None:
        raise InputError(f'{path}: not written, as {bad} is not a finite number')
    write_text(path, json.dumps(value, indent=1) + '\n')


def not_finite(value, name='') -> Optional[str]:
    """The name, such as 'best.AUC', of the first number in nested dicts and lists that JSON does not have; or None."""
    if isinstance(value, float):
        return None if math.isfinite(value) else name or str(value)
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    found = (not_finite(part, f'{name}.{key}' if name else str(key)) for key, part in parts)
    return next((bad for bad in found if bad is not None), None)


def read_bytes(path) -> bytes:
    """What a file holds; StorageError naming it where it cannot be read."""
    try:
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise StorageError(f'{path}: cannot be read ({error.strerror})') from None
    except UnicodeEncodeError:
        raise InputError(f'{path}: cannot be read (this locale has no such name; set LC_ALL to one of UTF-8)') from None


def read_json(path) -> Any:
    """The value in a JSON file; InputError naming the file, and the line where it is malformed."""
    content = read_bytes(path)
    try:
        return json.loads(content)            # of bytes: UTF-8 whatever the locale, UTF-16 and -32 too
    except json.JSONDecodeError as error:
        raise InputError(f'{path}: not valid JSON (line {error.lineno}: {error.msg})') from None
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: not valid JSON (byte {error.start} is not UTF-8: save it in this '
                         'encoding)') from None
    except (ValueError, RecursionError):      # a number of thousands of digits, nested too deep
        raise InputError(f'{path}: not valid JSON') from None


def read_object(path) -> dict:
    """The dict in a JSON file; InputError as `read_json`, and where it holds something else."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f'{path}: expected a JSON object')
    return value
