"""Experiments: small YAML files over shared bases, checked key by key.

A file holds only the lines that differ from its `base:` (a path relative to the file, or a list of them, later ones
winning). `load` merges them, applies `--set a.b=c` and checks every key against `schema`.
"""
import difflib
import os
import re
from pathlib import Path
from typing import Tuple

import yaml
from easydict import EasyDict

from common import files
from common.config.schema import BEFORE, optional, problems, schema
from common.errors import InputError
from common.guard import yaml_text
from common.guard.rules import Wrong, is_name, relative_path

ROOT = Path(__file__).resolve().parents[2]
SET, SKELETON, HEATMAP, START = 'data.set', 'data.skeleton', 'loss.heatmap', 'train.start_from'


def load(path, overrides=(), content=None) -> EasyDict:
    """The experiment in `path` as an EasyDict of every key in `schema`, plus `name`, `path` and `start`.

    overrides: strings 'section.key=value', the value in YAML, or 'NAME:section.key=value' for the experiment of that
    name alone ('i1' is enough for 'mpii/table2/i1'). content: the experiment's YAML, as `text` has it, where it stands
    in a file of another kind; it may refer to no other files. The name is what `save` wrote or else the path below
    `experiments`, without its suffix ('mpii/table2/i1'). `start` is the file of the experiment that `train.start_from`
    names from the folder of the file in which it stands, '' where there is none. InputError names the file or option
    and the key, and says what would be right.
    """
    path = Path(os.path.realpath(path))
    name, values = resolve(path, overrides, content)
    cfg = EasyDict(name=name, path=str(path), start=_start(path, *values[START]),
                   **{section: {} for section in schema()})
    for key, (value, _) in values.items():
        section, _, own = key.partition('.')
        cfg[section][own] = value
    for problem in problems(cfg):
        named = [str(values[key][1]) for key in re.findall(r'[a-z]+\.[a-z_]+', problem) if key in values]
        raise InputError(f'{next((source for source in named if source.startswith("--set")), path)}: {problem}')
    return cfg


def resolve(path, overrides=(), content=None) -> Tuple[str, dict]:
    """The name of the experiment in `path`, and {'section.key': (checked value, file or option it stands in)}.

    content: as of `load`.
    """
    path = Path(os.path.realpath(path))
    values = _read(path, (), {}) if content is None else _alone(path, content)
    name = _check('name', *values.pop('name', (_name(path), path)), relative_path())
    others = {}                               # of other experiments than this one
    for override in overrides:
        key, equals, value = override.partition('=')
        whose, colon, key = key.strip().rpartition(':')
        if not (equals and key) or colon and not whose:
            raise InputError(f'--set {override}: expected section.key=value, or NAME:section.key=value')
        if key == 'name':
            raise InputError(f'--set {override}: unknown key name; a file may hold it')
        (values if _is_named(name, whose) else others)[key] = (yaml_text.parse(value, f'--set {override}'),
                                                              f'--set {override}')
    rules = {f'{section}.{key}': rule for section, keys in schema().items() for key, (rule, _) in keys.items()}
    values = {**{key: (value, path) for key, value in BEFORE.items()}, **values}
    if HEATMAP in values:                     # first, as its loss may be the one whose keys are not known
        _check(HEATMAP, *values[HEATMAP], rules[HEATMAP])
    for key, (_, source) in [*values.items(), *others.items()]:
        if key not in rules:
            section = schema().get(key)
            raise InputError(f'{source}: {key} is a section; expected {key}.KEY ({", ".join(section)})' if section else
                             f'{source}: unknown key {key}{_nearest(key, rules)}')
    named, source = values.get(SKELETON) or _own_skeleton(*values.get(SET, (None, None)))
    if isinstance(named, str) and named.isprintable():
        values[SKELETON] = _read_skeleton(named, source)
    lacking = {f'loss.{key}' for key in optional(values.get(HEATMAP, (None,))[0])}
    for key, rule in rules.items():
        if key not in values and key not in lacking:
            raise InputError(f'{path}: no value for {key}; expected {rule.text}')
    for key, (value, source) in others.items():
        if key == SKELETON and isinstance(value, str):
            value, source = _read_skeleton(value, source)
        _check(key, value, source, rules[key])
    return name, {key: (_check(key, *values[key], rule), values[key][1]) for key, rule in rules.items()
                  if key in values}


def _is_named(name, whose) -> bool:
    """Whether an override that begins 'WHOSE:' is of the experiment of this name; one without is of all."""
    return f'/{name}'.endswith(f'/{whose}') if whose else True


def check_named(overrides, names):
    """InputError for an override 'NAME:section.key=value' of no experiment in `names`."""
    for override in overrides:
        if ':' in override.partition('=')[0] and not any(_is_named(name, override.partition(':')[0].strip())
                                                         for name in names):
            raise InputError(f'--set {override}: no experiment here has that name; there are {", ".join(names)}')


def save(cfg, path):
    """Write the resolved configuration, one that `load` reads again (but what it starts from lies elsewhere)."""
    files.write_text(path, text(cfg))


def text(cfg) -> str:
    """The resolved configuration as YAML."""
    return yaml.safe_dump({'name': cfg.name, **sections(cfg)}, sort_keys=False)


def sections(cfg) -> dict:
    """The configuration as plain dicts: {section: {key: value}}."""
    return {section: {key: dict(value) if isinstance(value, dict) else value for key, value in cfg[section].items()}
            for section in schema()}


def differences(one, other) -> dict:
    """The keys ('section.key') in which two configurations differ, and both values: {key: (value, value)}."""
    pairs = {f'{section}.{key}': (one[section].get(key), other[section].get(key)) for section, keys in schema().items()
             for key in keys}
    return {key: (mine, theirs) for key, (mine, theirs) in pairs.items() if mine != theirs}


def _start(path, named, source):
    """The file that `train.start_from` names, '' for none; of an option: from the experiment's own folder."""
    folder = (Path(source) if os.path.exists(source) else path).parent
    return os.path.realpath(folder / f'{named}.yaml') if named else ''


def _own_skeleton(name, source):
    """The file of a data set's own skeleton, for a configuration from before the key; None where there is none."""
    path = ROOT / f'pose_{name}' / 'skeleton.yaml' if is_name(name) else None
    return str(path) if path and path.exists() else None, source


def _read_skeleton(name, source):
    """The content of the file that `data.skeleton` names, from the folder of the file it stands in, and its path."""
    folder = Path(source).parent if os.path.exists(source) else Path()         # of an option: where the user is
    path = Path(os.path.realpath(folder / name))
    return yaml_text.read(path), str(path)


def _read(path, seen, known):
    """{'section.key': (value, file it stands in)} of a file over its bases.

    seen: the files whose base this is; known: the result for every base read before.
    """
    if path in seen:
        raise InputError(f'{path}: is its own base')
    if path in known:
        return known[path]
    tree = _tree(path, yaml_text.read(path))
    bases = tree.pop('base', [])
    values = {}
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str) or not base.isprintable():
            raise InputError(f'{path}: base is {yaml_text.shown(base)}; expected a file, or a list of files')
        values.update(_read(Path(os.path.realpath(path.parent / base)), seen + (path,), known))
    if seen:                                  # a base's name is not ours
        tree.pop('name', None)
    known[path] = {**values, **_values(path, tree)}
    return known[path]


def _alone(path, content):
    """As `_read`, of an experiment that stands in another file than a YAML of its own, and may not name any."""
    values = _values(path, _tree(path, yaml_text.parse(content, path)))
    if isinstance(values.get(SKELETON, ({},))[0], str):
        raise InputError(f'{path}: {SKELETON} names a file; expected the skeleton itself')
    return values


def _tree(path, tree):
    """The sections of a file's YAML; InputError where it is something else."""
    if not isinstance(tree, (dict, type(None))):
        raise InputError(f'{path}: expected sections ({", ".join(schema())})')
    return tree or {}


def _values(path, tree):
    """{'section.key': (value, file it stands in)} of the sections of one file, and its 'name' where it has one."""
    name = tree.pop('name', None)
    values, known_sections = {} if name is None else {'name': (name, str(path))}, schema()
    for section, keys in tree.items():
        if section in known_sections and not isinstance(keys, dict):
            raise InputError(f'{path}: {section} is a section; expected keys in it '
                             f'({", ".join(known_sections[section])})')
        if section not in known_sections:
            section = yaml_text.plain(section)
            raise InputError(f'{path}: unknown key {section}{_nearest(section, known_sections)}')
        values.update({f'{section}.{yaml_text.plain(key)}': (value, str(path)) for key, value in keys.items()})
    return values


def _check(key, value, source, rule):
    try:
        return rule.check(value)
    except Wrong as error:
        raise InputError(f'{source}: {key}: {error}') from None
    except (ValueError, TypeError, OverflowError):
        raise InputError(f'{source}: {key} is {yaml_text.shown(value)}; expected {rule.text}') from None


def _nearest(key, known):
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f'; did you mean {close[0]}?' if close else f'; the sections are {", ".join(schema())}'


def _name(path):
    parts = path.with_suffix('').parts
    below = len(parts) - parts[::-1].index('experiments') if 'experiments' in parts else -1
    return '/'.join(parts[below:])
