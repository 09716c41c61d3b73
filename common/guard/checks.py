"""Checks of what JSON files hold: kinds of values, and records field by field."""
import math
from pathlib import PurePosixPath

from common.errors import InputError


def is_name(value) -> bool:
    """A relative path that stays below its folder, of at most 1000 characters."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > 1000:
        return False
    path = PurePosixPath(value)
    return path.name != '' and not path.is_absolute() and '..' not in path.parts


def is_number(value) -> bool:
    """An int or a float, neither NaN nor infinite nor beyond any image."""
    return type(value) in (int, float) and abs(value) < 1e9


def is_number_or_null(value) -> bool:
    """As `is_number`, or None: of nobody."""
    return value is None or is_number(value)


def is_count(value) -> bool:
    """A whole number, from 0 to beyond what anything here is counted to."""
    return type(value) is int and 0 <= value < 1e9


def is_finite(value) -> bool:
    """A float of any size, as sums are, neither NaN nor infinite."""
    return type(value) is float and math.isfinite(value)


def is_text(value) -> bool:
    return isinstance(value, str)


def is_list(value, is_good=is_number, length=None) -> bool:
    """A list of good values, and of this many."""
    return isinstance(value, list) and all(map(is_good, value)) and length in (None, len(value))


def is_object(value, keys=(), is_good=is_number) -> bool:
    """A dict with a good value under each of the keys."""
    return isinstance(value, dict) and all(key in value and is_good(value[key]) for key in keys)


def check_records(path, kind, records, fields, optional=()):
    """`check_record` of each in a list; they are called by their `kind` and their index."""
    for index, record in enumerate(records):
        check_record(path, f'{kind} {index}', record, fields, optional)


def check_record(path, name, record, fields, optional=()):
    """InputError if a record of the file `path` lacks a field, or has a bad one.

    fields: {field: (function that says whether a value is good, what is right)}; others pass unchecked. optional: those
    that may be absent.
    """
    if not isinstance(record, dict):
        raise InputError(f'{path}: {name} should be an object with {", ".join(f for f in fields if f not in optional)}')
    for field, (is_good, right) in fields.items():
        if field not in record:
            if field not in optional:
                raise InputError(f'{path}: {name} has no "{field}"')
        elif not is_good(record[field]):
            raise InputError(f'{path}: {name} has a bad "{field}": it should be {right}')
