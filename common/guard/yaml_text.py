"""Reads YAML that strangers wrote: no tags, no aliases, no key twice, nothing large."""
from typing import Any

import yaml

from common.errors import InputError

MOST_BYTES = 1 << 16                          # of a file


def read(path) -> Any:
    """The value in a YAML file; InputError as `content` and `parse`."""
    return parse(content(path), path)


def content(path) -> str:
    """The text of a file; InputError where it is none, or far larger than an experiment."""
    try:
        if path.exists() and not path.is_file():
            raise InputError(f'{path}: cannot be read (not a file)')
        with open(path, 'rb') as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise InputError(f'{path}: more than {MOST_BYTES} bytes; expected an experiment')
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'{path}: cannot be read ({getattr(error, "strerror", error)})') from None


def parse(content, source) -> Any:
    """The value that a text of YAML stands for; InputError naming the source, and the line, where it is none."""
    try:
        for event in yaml.parse(content, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):             # through which a few lines stand for gigabytes
                raise yaml.MarkedYAMLError(problem='an alias', problem_mark=event.start_mark)
        _check_unique(yaml.compose(content, yaml.SafeLoader))
        return yaml.safe_load(content)
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError) as error:    # '!!bool x' and such
        line = getattr(error, 'problem_mark', None)
        where = f' (line {line.line + 1}: {error.problem})' if line else ''
        raise InputError(f'{source}: not valid YAML{where}') from None


def _check_unique(node):
    """yaml.MarkedYAMLError where a mapping holds a key twice, of which YAML would keep the last."""
    seen = set()
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if str(key.value) in seen:
            raise yaml.MarkedYAMLError(problem=f'a second {plain(key.value)}', problem_mark=key.start_mark)
        seen.add(str(key.value))
        _check_unique(value)


def shown(value) -> str:
    """A value as messages show it, in one line that is not too long."""
    try:
        text = repr(value)
    except ValueError:                        # of thousands of digits, which Python refuses to print
        return 'a huge number'
    return text if len(text) <= 80 else text[:77] + '...'


def plain(key) -> str:
    """A key as it stands, or as `shown` if it is not one that can be printed."""
    text = str(key) if isinstance(key, str) else shown(key)
    return text if len(text) <= 80 and text.isprintable() else shown(key)
