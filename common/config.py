"""Experiments: small YAML files over shared bases, checked key by key.

A file holds only the lines that differ from its `base:` (a path relative to the file, or a list of them, later ones
winning). `load` merges them, applies `--set a.b=c` and checks every key against `SCHEMA`.
"""
import difflib
import math
import os
from pathlib import Path

import yaml
from easydict import EasyDict

from common import files, grid
from common.errors import InputError
from common.guard.checks import is_name

MOST_BYTES = 1 << 16                          # of a file
JOINTS = {'mpii': 16, 'coco': 17}             # of a person, by data.set


class Rule:
    """What a key may hold: `check(value)` returns the value to use or raises ValueError; `text` says what is right."""

    def __init__(self, text, check):
        self.text, self.check = text, check


def number(low, high=math.inf, above=False):
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


def integer(low, high=math.inf):
    """A whole number in [low, high]."""
    def check(value):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value
    return Rule(f'a whole number of at least {low}' + ('' if high == math.inf else f' and at most {high}'), check)


def one_of(*choices):
    """One of the strings given."""
    def check(value):
        if value not in choices:
            raise ValueError
        return value
    return Rule('one of ' + ', '.join(choices), check)


def boolean():
    """true or false."""
    def check(value):
        if not isinstance(value, bool):
            raise ValueError
        return value
    return Rule('true or false', check)


def text(may_be_empty=False):
    """A string."""
    def check(value):
        value = '' if value is None and may_be_empty else value        # as '--set key=' and 'key:' mean it
        if not isinstance(value, str) or not value.isprintable() or not (value or may_be_empty):
            raise ValueError
        return value
    return Rule('a text' + (', or empty' if may_be_empty else ''), check)


def relative_path():
    """What becomes a path below a folder."""
    def check(value):
        if not is_name(value):
            raise ValueError
        return value
    return Rule('a name such as mpii/table2/i1', check)


def list_of(rule, length=None, at_least=0):
    """A list whose members follow `rule`."""
    def check(value):
        if not isinstance(value, (list, tuple)) or len(value) < at_least or length not in (None, len(value)):
            raise ValueError
        return [rule.check(member) for member in value]
    many = f'{length} members' if length else f'{at_least} or more members' if at_least else 'any number of members'
    return Rule(f'a list of {many}, each {rule.text}', check)


SCHEMA = {
    'data': {
        'set': one_of(*JOINTS),
        'train': relative_path(),             # the split trained on
        'valid': relative_path(),             # the split that decides when the rate drops and which epoch is best
    },
    'input': {
        'size': list_of(integer(32, 4096), length=2),         # width, height
    },
    'augment': {
        'rotation': number(0, 180),           # degrees, uniform in +-
        'scale': number(0, 0.9),              # factor, uniform in 1 +-
        'flip': boolean(),
    },
    'network': {
        'backbone': one_of('resnet18', 'resnet50', 'resnet101'),
        'pretrained': text(may_be_empty=True),                # 'imagenet', or a .params file; empty: random weights
        'head': one_of('heatmap', 'regression'),
        'deconvolutions': integer(1, 4),
        'stages': integer(1, 8),
        'beta': number(0, above=True),        # the integral's softmax is taken of beta * heat map
        'debiased': boolean(),                # and of its weights those of a map of 0 are subtracted (`nets.integral`)
    },
    'loss': {
        'heatmap': one_of('mse', 'softmax', 'binary', 'none'),                 # H1, H2, H3, and I* or R1
        'joint': one_of('l1', 'l2', 'none'),
        'heatmap_weight': number(0, above=True),
        'joint_weight': number(0, above=True),
        'window': integer(0, 64),             # the joint loss's integral: cells to each side of the maximum; 0: all
        'sigma': number(0, above=True),       # H1: the Gaussian's standard deviation in cells
        'radius': number(0, above=True),      # H3: positives lie within this many pixels, for an input 256 wide
        'negatives': number(0, above=True),   # H3: random negatives for each positive
    },
    'train': {
        'start_from': text(may_be_empty=True),                # the experiment whose best network starts: h1, ../b/h1
        'batch_size': integer(1),             # over all devices
        'rates': list_of(number(0, above=True), at_least=1),
        'patience': integer(1),               # epochs without a better score: validation has saturated
        'drops': list_of(integer(1)),         # if given, the epochs after which the rate drops; patience is unused
        'epochs': integer(1),                 # at most
        'freeze_bn': boolean(),               # batch normalisation by its running statistics
        'dtype': one_of('float32', 'bfloat16'),               # convolutions compute in (`bfloat16`)
        'seed': integer(0, 2 ** 32 - 1),      # what NumPy takes
    },
    'test': {
        'decode': one_of('argmax', 'quarter', 'integral', 'local', 'regression'),
        'window': integer(1, 64),             # local integral: cells to each side of the maximum
        'stage': integer(0),                  # the stage whose output counts; 0: the last
        'flip': boolean(),
        'batch_size': integer(1),
    },
}

# Keys younger than configurations that were saved, and what these meant.
BEFORE = {'train.dtype': 'float32', 'test.stage': 0, 'loss.window': 0, 'network.debiased': False}


def load(path, overrides=()):
    """The experiment in `path` as an EasyDict of every key in `SCHEMA`, plus `name` and `path`.

    overrides: strings 'section.key=value', the value in YAML. The name is what `save` wrote or else the path below
    `experiments`, without its suffix ('mpii/table2/i1'). InputError names the file or option and the key, and says
    what would be right.
    """
    path = Path(os.path.realpath(path))
    values = _read(path, (), {})
    for override in overrides:
        key, equals, value = override.partition('=')
        if not equals:
            raise InputError(f'--set {override}: expected section.key=value')
        if key.strip() == 'name':
            raise InputError(f'--set {override}: unknown key name; a file may hold it')
        values[key.strip()] = (_parse(value, f'--set {override}'), f'--set {override}')
    name = _check('name', *values.pop('name', (_name(path), path)), relative_path())
    known = [f'{section}.{key}' for section, rules in SCHEMA.items() for key in rules]
    values = {**{key: (value, path) for key, value in BEFORE.items()}, **values}
    for key, (_, source) in values.items():
        if key not in known:
            raise InputError(f'{source}: unknown key {key}{_nearest(key, known)}')
    cfg = EasyDict(name=name, path=str(path), **{section: {} for section in SCHEMA})
    for section, rules in SCHEMA.items():
        for key, rule in rules.items():
            if f'{section}.{key}' not in values:
                raise InputError(f'{path}: no value for {section}.{key}; expected {rule.text}')
            cfg[section][key] = _check(f'{section}.{key}', *values[f'{section}.{key}'], rule)
    _check_together(cfg)
    return cfg


def save(cfg, path):
    """Write the resolved configuration, one that `load` reads again (but what it starts from lies elsewhere)."""
    files.write_text(path, yaml.safe_dump({'name': cfg.name, **sections(cfg)}, sort_keys=False))


def sections(cfg):
    """The configuration as plain dicts: {section: {key: value}}."""
    return {section: {key: cfg[section][key] for key in rules} for section, rules in SCHEMA.items()}


def differences(one, other):
    """The keys ('section.key') in which two configurations differ, and both values: {key: (value, value)}."""
    return {f'{section}.{key}': (one[section][key], other[section][key]) for section, rules in SCHEMA.items()
            for key in rules if one[section][key] != other[section][key]}


def _read(path, seen, known):
    """{'section.key': (value, file it stands in)} of a file over its bases.

    seen: the files whose base this is; known: the result for every base read before.
    """
    if path in seen:
        raise InputError(f'{path}: is its own base')
    if path in known:
        return known[path]
    tree = _parse(_content(path), path)
    tree = {} if tree is None else tree
    if not isinstance(tree, dict):
        raise InputError(f'{path}: expected sections ({", ".join(SCHEMA)})')
    bases = tree.pop('base', [])
    values = {}
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str) or not base.isprintable():
            raise InputError(f'{path}: base is {_shown(base)}; expected a file, or a list of files')
        values.update(_read(Path(os.path.realpath(path.parent / base)), seen + (path,), known))
    name = tree.pop('name', None)
    if name is not None and not seen:         # a base's name is not ours
        values['name'] = name, str(path)
    for section, keys in tree.items():
        if section in SCHEMA and not isinstance(keys, dict):
            raise InputError(f'{path}: {section} is a section; expected keys in it ({", ".join(SCHEMA[section])})')
        if section not in SCHEMA:
            raise InputError(f'{path}: unknown key {_plain(section)}{_nearest(_plain(section), SCHEMA)}')
        values.update({f'{section}.{_plain(key)}': (value, str(path)) for key, value in keys.items()})
    known[path] = values
    return values


def _content(path):
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


def _parse(content, source):
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
            raise yaml.MarkedYAMLError(problem=f'a second {_plain(key.value)}', problem_mark=key.start_mark)
        seen.add(str(key.value))
        _check_unique(value)


def _check(key, value, source, rule):
    try:
        return rule.check(value)
    except (ValueError, TypeError, OverflowError):
        raise InputError(f'{source}: {key} is {_shown(value)}; expected {rule.text}') from None


def _shown(value):
    """A value as messages show it, in one line that is not too long."""
    try:
        text = repr(value)
    except ValueError:                        # of thousands of digits, which Python refuses to print
        return 'a huge number'
    return text if len(text) <= 80 else text[:77] + '...'


def _plain(key):
    """A key as it stands, or as `_shown` if it is not one that can be printed."""
    text = str(key) if isinstance(key, str) else _shown(key)
    return text if len(text) <= 80 and text.isprintable() else _shown(key)


def _nearest(key, known):
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f'; did you mean {close[0]}?' if close else f'; the sections are {", ".join(SCHEMA)}'


def _name(path):
    parts = path.with_suffix('').parts
    below = len(parts) - parts[::-1].index('experiments') if 'experiments' in parts else -1
    return '/'.join(parts[below:])


def _check_together(cfg):
    """What no single key can say."""
    regression = cfg.network.head == 'regression'
    # half a cell's diagonal, as `loss.radius` counts it
    nearest = grid.stride(cfg.network.deconvolutions) / 2 ** 0.5 * 256 / cfg.input.size[0]
    least = math.ceil(nearest * 100) / 100
    problems = {
        f'input.size {cfg.input.size}: both must be multiples of 32': any(n % 32 for n in cfg.input.size),
        'loss.heatmap and loss.joint are both none: there is nothing to learn':
            cfg.loss.heatmap == cfg.loss.joint == 'none',
        'network.head is regression: loss.heatmap must be none': regression and cfg.loss.heatmap != 'none',
        'network.head is regression: loss.window must be 0': regression and cfg.loss.window > 0,
        'network.debiased: loss.window must be 0': cfg.network.debiased and cfg.loss.window > 0,
        'network.head is regression: test.decode must be regression': regression and cfg.test.decode != 'regression',
        'network.head is heatmap: test.decode cannot be regression':
            not regression and cfg.test.decode == 'regression',
        'network.stages > 1: needs network.head heatmap and network.deconvolutions 2 (conv3 and the heat maps, which '
        'are concatenated, have the same size then)':
            cfg.network.stages > 1 and (regression or cfg.network.deconvolutions != 2),
        f'loss.radius {cfg.loss.radius:g}: a joint may be farther from every cell\'s centre; with this input.size and '
        f'network.deconvolutions at least {least:g}': cfg.loss.heatmap == 'binary' and cfg.loss.radius < nearest,
        f'test.stage {cfg.test.stage}: network.stages is {cfg.network.stages}': cfg.test.stage > cfg.network.stages,
        'train.drops: must increase, and be one fewer than train.rates':
            bool(cfg.train.drops) and (sorted(set(cfg.train.drops)) != cfg.train.drops
                                       or len(cfg.train.drops) != len(cfg.train.rates) - 1),
    }
    for problem, present in problems.items():
        if present:
            raise InputError(f'{cfg.path}: {problem}')
