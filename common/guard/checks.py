"""Kinds of values that results and states of runs hold, as JSON has them."""
import math

from common.guard.rules import is_number


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
