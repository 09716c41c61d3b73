"""A network's parameters from the arrays of any `.params` file: which array belongs where, and what does not fit.

The names that files give their arrays become the structural names of our networks ('trunks.0.layer3.0.conv1.weight'):

- Gluon's `save_parameters` writes the structural names themselves;
- `HybridBlock.export` and the Module API write 'arg:' or 'aux:' and the names in the graph, which our networks fix
  ('arg:stage0_layers3_conv0_weight', see `nets/pose_net.py`);
- GluonCV's ImageNet ResNets (`resnet50_v1b`) hold the layers of our backbone: 'layer3.0.conv1.weight';
- GluonCV's SimplePose (`simple_pose_resnet50_v1b`) is our network with three deconvolutions and 17 joints:
  'resnet.6.0.conv1.weight', 'deconv_layers.0.weight', 'final_layer.weight'.
"""
import re
from typing import NamedTuple

from common.errors import InputError

# How GluonCV's names begin, and how ours do: saved ones (ImageNet's | SimplePose's), then those of exported graphs.
GLUONCV = ((r'(conv1|resnet\.0)\.', 'stem.conv1.'),
           (r'(bn1|resnet\.1)\.', 'stem.bn1.'),
           (r'(layer1|resnet\.4)\.', 'stem.layer1.'),
           (r'(layer2|resnet\.5)\.', 'stem.layer2.'),
           (r'(layer3|resnet\.6)\.', 'trunks.0.layer3.'),
           (r'(layer4|resnet\.7)\.', 'trunks.0.layer4.'),
           (r'deconv_layers\.', 'heads.0.deconvolutions.'),
           (r'final_layer\.', 'heads.0.final.'),
           (r'resnetv1b_(?=(layers|down)[34]_)', 'stage0_'),
           (r'resnetv1b_(?!dense)', 'stem_'))
# The first stage, by structural names or, where the network has no such parameter, by those of the graph.
BACKBONE = re.compile(r'(stem|trunks\.0|stage0)[._]')
DECONVOLUTIONS = re.compile(r'heads\.0\.deconvolutions\.|head0_(conv|batchnorm)')
# Arrays that change no output: a classifier's, and PyTorch's counters.
IDLE = re.compile(r'fc\.|resnetv1b_dense|.*num_batches_tracked$')


class Match(NamedTuple):
    """What a file had for a network."""

    matched: dict                             # structural name in the network: name in the file
    missing: list                             # structural names in the network
    left_over: list                           # names in the file

    def __str__(self):
        parts = [f'{len(self.matched)} parameters matched']
        for names, what in ((self.missing, 'missing'), (self.left_over, 'left over')):
            some = ', '.join(names[:3]) + ', ...' * (len(names) > 3)
            parts.append(f'{len(names)} {what}' + (f' ({some})' if names else ''))
        return ', '.join(parts)


def load(own, arrays, path, contexts, partly=False) -> Match:
    """Set the parameters `own` {structural name: Parameter} to `arrays` {name in the file: NDArray}; returns a `Match`.

    Any type of number becomes the parameter's. InputError naming `path`, the parameter and both shapes where an
    array does not fit; and where parameters are missing, or arrays are left over that are no classifier's.

    partly: for a start of training, from which a network may differ in head and stages, not in its ResNet. Parameters
    of the head may be missing and keep their values, arrays of another head or of more stages may be left over. The
    last layer counts as missing where the file's is for other joints or follows another number of deconvolutions. A
    stage that the file lacks takes what the file has for its last one; where its conv4 also takes the heat maps of the
    stage before, the filters for those keep their values.
    """
    matched = (_part if partly else _whole)(own, arrays, path)
    for name, source in matched.items():
        parameter, array = own[name], arrays[source]
        if not _fits(array.shape, parameter.shape):
            features = _in_first_stage(own, name).shape[1]
            value = parameter.data(contexts[0]).copy()
            value[:, :features] = array[:, :features].astype(value.dtype).as_in_context(value.context)
            array = value
        parameter._load_init(array, contexts, cast_dtype=True, dtype_source='current')
    used = set(matched.values())
    return Match(matched, [name for name in own if name not in matched], [name for name in arrays if name not in used])


def is_simple_pose(names) -> bool:
    """Whether they are the names in a file of GluonCV's SimplePose, saved or exported."""
    return any(re.match(r'(arg:)?(deconv_layers\.|conv\d+_weight)', name) for name in names)


def _whole(own, arrays, path):
    """{structural name: name in the file} of every parameter; InputError unless the file is of the same network."""
    places = _places(own, arrays)
    files = {place: name for name, place in places.items()}
    for name in own:
        if name not in files:
            raise InputError(f'{path}: has no {name}; it was saved from another network (backbone, head or stages)')
    for name, place in places.items():
        if place not in own and not IDLE.match(place):
            raise InputError(f'{path}: has {name}, which this network lacks; it was saved from another network')
    matched = {name: files[name] for name in own}
    for name, source in matched.items():
        if not _fits(arrays[source].shape, own[name].shape):
            raise _misfit(path, source, arrays[source], name, own[name])
    return matched


def _part(own, arrays, path):
    """{structural name: name in the file} of the parameters that a start of training takes from the file (`load`)."""
    files = {_one_trunk_a_stage(place): name for name, place in _places(own, arrays).items()}
    stages = [int(stage) for stage in re.findall(r'^trunks\.(\d+)\.', '\n'.join(files), re.MULTILINE)]
    wanted = {name: _up_to_stage(max(stages, default=0), _one_trunk_a_stage(name)) for name in own}
    places = set(wanted.values())
    for name, place in wanted.items():
        if place not in files and place.startswith(('stem.', 'trunks.')):
            raise InputError(f'{path}: has no {name}; expected parameters of the same ResNet')
    for place, name in files.items():
        if BACKBONE.match(place) and place not in places and not IDLE.match(place):
            raise InputError(f'{path}: has {name}, which this network lacks; expected parameters of the same ResNet')
    same_head = set(filter(DECONVOLUTIONS.match, files)) == set(filter(DECONVOLUTIONS.match, own))
    matched = {}
    for name, place in wanted.items():
        if place not in files:
            continue
        array = arrays[files[place]]
        fits = _fits(array.shape, own[name].shape)
        if '.final.' in name and not (same_head and fits):
            continue
        if not fits and not _fits_features(array.shape, own, name):
            raise _misfit(path, files[place], array, name, own[name])
        matched[name] = files[place]
    return matched


def _places(own, names):
    """{name in the file: structural name}; a name that is in no network we know stays what it is."""
    graph = {parameter.name: name for name, parameter in own.items()}
    plain = {name: re.sub(r'^(arg|aux):', '', name).replace('batchnormcudnnoff', 'batchnorm') for name in names}
    table = (*GLUONCV, *_exported_head(plain.values()))
    places = {}
    for name, place in plain.items():
        for theirs, ours in table:
            begin = re.match(theirs, place)
            if begin:
                place = ours + place[begin.end():]
                break
        places[name] = graph.get(place, place)
    return places


def _exported_head(names):
    """Rows for `GLUONCV`: an exported SimplePose counts the layers of its head from any number ('conv14_weight')."""
    rows = []
    for kind in ('conv', 'batchnorm'):
        numbers = sorted({int(name[len(kind):].partition('_')[0]) for name in names if re.match(rf'{kind}\d+_', name)})
        rows += [(f'{kind}{number}_', f'head0_{kind}{i}_') for i, number in enumerate(numbers)]
        if kind == 'conv' and rows:
            rows[-1] = rows[-1][0], 'head0_final_'
    return rows


def _one_trunk_a_stage(place):
    """R1's 'trunk.' as the one-stage heat-map network calls it: 'trunks.0.'."""
    return re.sub(r'^trunk\.', 'trunks.0.', place)


def _up_to_stage(last, place):
    """The place, or the same one in stage `last` if that comes before."""
    return re.sub(r'^(trunks|heads)\.(\d+)', lambda part: f'{part[1]}.{min(int(part[2]), last)}', place)


def _in_first_stage(own, name):
    """The parameter, or the first stage's counterpart of a later stage's."""
    return own[_up_to_stage(0, name)]


def _fits(given, needed):
    """Whether a shape fits a parameter's, in which 0 stands for a number not yet known."""
    return len(given) == len(needed) and all(n in (0, m) for m, n in zip(given, needed))


def _fits_features(given, own, name):
    """Whether a conv4 without, or with other, heat maps fits that of a later stage, but for the filters for these."""
    first = _in_first_stage(own, name).shape
    return first != own[name].shape and given[:1] + given[2:] == first[:1] + first[2:] and given[1] >= first[1]


def _misfit(path, source, array, name, parameter):
    ours = 'the network' if source == name else f'the network\'s {name}'
    return InputError(f'{path}: {source} has shape {array.shape}, {ours} needs {parameter.shape}')
