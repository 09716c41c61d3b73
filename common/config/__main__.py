"""Print every key of an experiment, its value, the file it comes from and what it means.

    python -m common.config --cfg experiments/mpii/table2/i1.yaml [--set train.epochs=6]
"""
import os
from typing import Iterator

import yaml

from common import config
from common.config.schema import schema
from common.programs import options
from common.programs.cli import run


def lines(path, overrides=()) -> Iterator[str]:
    """The text, a line each for the name, the sections and the keys of the experiment in `path`."""
    options.load(path, overrides)             # its keys together, too
    name, values = config.resolve(path, overrides)
    yield f'name: {name}'
    for section, keys in schema().items():
        yield f'{section}:'
        for key, (_, meaning) in keys.items():
            if f'{section}.{key}' in values:
                value, source = values[f'{section}.{key}']
                yield f'  {key}: {_in_a_line(value)}'
                yield f'      {meaning} [{_shown(source)}]'


def _in_a_line(value):
    text = yaml.safe_dump(value, default_flow_style=True, width=10 ** 6).splitlines()[0]
    return text if len(text) <= 100 else f'{text[:97]}...'


def _shown(source):
    return os.path.relpath(source) if os.path.exists(source) else source


def main(argv=None):
    parser = options.parser(__doc__)
    options.add_configuration(parser)
    args = parser.parse_args(argv)
    print('\n'.join(lines(args.cfg, args.overrides)))


if __name__ == '__main__':
    run(main)
