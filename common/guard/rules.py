"""What values of a configuration may be: each rule says what is right, and checks it."""
import math

from common.guard.checks import is_name


class Wrong(ValueError):
    """What is wrong with a value, where that says more than what is right."""


class Rule:
    """What a key may hold: `check(value)` returns the value to use or raises ValueError; `text` says what is right."""

    def __init__(self, text, check):
        self.text, self.check = text, check


def number(low, high=math.inf, above=False) -> Rule:
    """A finite number in [low, high], or (low, high] with `above`."""
    def check(value):
        value = float(value) if isinstance(value, str) else value      # YAML 1.1 reads 1e-3 as a string
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError
        if not low <= value <= high or (above and value == low):
            raise ValueError
        return float(value)
    bound = f'above {low:g}' if above else f'of at least {low:g}'
    return Rule(f'a number {bound}' + ('' if high == math.inf else f' and at most {high:g}'), check)


def integer(low, high=math.inf) -> Rule:
    """A whole number in [low, high]."""
    def check(value):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value
    return Rule(f'a whole number of at least {low}' + ('' if high == math.inf else f' and at most {high}'), check)


def one_of(*choices) -> Rule:
    """One of the strings given."""
    def check(value):
        if value not in choices:
            raise ValueError
        return value
    return Rule('one of ' + ', '.join(choices), check)


def boolean() -> Rule:
    """true or false."""
    def check(value):
        if not isinstance(value, bool):
            raise ValueError
        return value
    return Rule('true or false', check)


def text(may_be_empty=False) -> Rule:
    """A string."""
    def check(value):
        value = '' if value is None and may_be_empty else value        # as '--set key=' and 'key:' mean it
        if not isinstance(value, str) or not value.isprintable() or not (value or may_be_empty):
            raise ValueError
        return value
    return Rule('a text' + (', or empty' if may_be_empty else ''), check)


def relative_path() -> Rule:
    """What becomes a path below a folder."""
    def check(value):
        if not is_name(value):
            raise ValueError
        return value
    return Rule('a name such as mpii/table2/i1', check)


def list_of(rule, length=None, at_least=0) -> Rule:
    """A list whose members follow `rule`."""
    def check(value):
        if not isinstance(value, (list, tuple)) or len(value) < at_least or length not in (None, len(value)):
            raise ValueError
        return [rule.check(member) for member in value]
    many = f'{length} members' if length else f'{at_least} or more members' if at_least else 'any number of members'
    return Rule(f'a list of {many}, each {rule.text}', check)
