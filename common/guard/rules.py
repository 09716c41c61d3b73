"""What values may be, in configurations and in records of JSON files: each rule says what is right, and checks it."""
import math
from pathlib import PurePosixPath

from common.errors import InputError


class Wrong(ValueError):
    """What is wrong with a value, where that says more than what is right."""


class Rule:
    """What a key may hold: `check(value)` returns the value to use or raises ValueError; `text` says what is right."""

    def __init__(self, text, is_good, convert=lambda value: value):
        self.text, self._is_good, self._convert = text, is_good, convert

    def check(self, value):
        value = self._convert(value)
        if not self._is_good(value):
            raise ValueError
        return value


def number(low, high=math.inf, above=False) -> Rule:
    """A finite number in [low, high], or (low, high] with `above`."""
    bound = f'above {low:g}' if above else f'of at least {low:g}'
    return Rule(f'a number {bound}' + ('' if high == math.inf else f' and at most {high:g}'),
                lambda value: type(value) is float and math.isfinite(value) and low <= value <= high
                and not (above and value == low),
                lambda value: value if isinstance(value, bool) else float(value))        # YAML 1.1 reads 1e-3 as a text


def integer(low, high=math.inf) -> Rule:
    """A whole number in [low, high]."""
    return Rule(f'a whole number of at least {low}' + ('' if high == math.inf else f' and at most {high}'),
                lambda value: type(value) is int and low <= value <= high)


def one_of(*choices) -> Rule:
    """One of the strings given."""
    return Rule('one of ' + ', '.join(choices), lambda value: value in choices)


def boolean() -> Rule:
    """true or false."""
    return Rule('true or false', lambda value: isinstance(value, bool))


def text() -> Rule:
    """A string, which may be empty."""
    return Rule('a text, or empty', lambda value: isinstance(value, str) and value.isprintable(),
                lambda value: '' if value is None else value)          # as '--set key=' and 'key:' mean it


def relative_path(such='mpii/table2/i1') -> Rule:
    """What becomes a path below a folder, such as an example."""
    return Rule(f'a name such as {such}', is_name)


def list_of(rule, length=None, at_least=0) -> Rule:
    """A list whose members follow `rule`."""
    many = f'{length} members' if length else f'{at_least} or more members' if at_least else 'any number of members'
    return Rule(f'a list of {many}, each {rule.text}',
                lambda value: isinstance(value, list) and len(value) >= at_least and length in (None, len(value)),
                lambda value: [rule.check(member) for member in value] if isinstance(value, (list, tuple)) else value)


def is_name(value) -> bool:
    """A relative path that stays below its folder, of at most 1000 characters."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > 1000:
        return False
    path = PurePosixPath(value)
    return path.name != '' and not path.is_absolute() and '..' not in path.parts


def is_number(value) -> bool:
    """An int or a float, neither NaN nor infinite nor beyond any image."""
    return type(value) in (int, float) and abs(value) < 1e9


def is_list(value, is_good=is_number, length=None) -> bool:
    """A list of good values, and of this many."""
    return isinstance(value, list) and all(map(is_good, value)) and length in (None, len(value))


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
