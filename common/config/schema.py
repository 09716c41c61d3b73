"""Every key of an experiment: what it may be, and what it means. Nothing else explains them."""
from typing import NamedTuple

from common import grid, skeleton
from common.errors import InputError
from common.guard.rules import Rule, boolean, integer, list_of, number, one_of, relative_path, text
from common.nets import cell_losses, losses  # noqa: F401  whose losses have their names in YAML


class Key(NamedTuple):
    """A key of the schema."""

    rule: Rule
    meaning: str


def schema() -> dict:
    """{section: {key: `Key`}}; the section `loss` holds the keys of every heat-map loss that is defined."""
    return {
        'data': {
            'set': Key(relative_path('mpii'), 'the data set: its programs are in the package pose_SET'),
            'skeleton': Key(Rule('a skeleton: the path of its file from this one, such as '
                                 '../../pose_mpii/skeleton.yaml', bool, skeleton.check),
                            'the joints of a person (`common.skeleton`)'),
            'train': Key(relative_path('train'), 'the split trained on'),
            'valid': Key(relative_path('valid'), 'the split that decides when the rate drops and which epoch is best'),
        },
        'input': {
            'size': Key(list_of(integer(32, 4096), length=2), 'width and height of the input in pixels'),
            'mean': Key(list_of(number(0, 1), length=3), 'of red, green and blue in 0..1, taken off each pixel first'),
            'std': Key(list_of(number(0, above=True), length=3), 'by which it is then divided'),
        },
        'augment': {
            'rotation': Key(number(0, 180), 'degrees, uniform in +-'),
            'scale': Key(number(0, 0.9), 'factor, uniform in 1 +-'),
            'flip': Key(boolean(), 'mirror half of the crops'),
        },
        'network': {
            'backbone': Key(one_of('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'), 'the ResNet'),
            'pretrained': Key(text(), 'imagenet, a folder that holds its file, or a .params file; empty: random '
                                      'weights'),
            'head': Key(one_of('heatmap', 'regression'), 'N_H of Eq. 2 or N_J of Eq. 3'),
            'deconvolutions': Key(integer(1, 4), 'each doubles the heat maps; a cell is 32 / 2^n pixels wide'),
            'grid': Key(one_of(*grid.KINDS), 'centre: cell i covers the pixels from i*s to (i+1)*s of a stride s; '
                                             'corner: its centre is at i*s, as in networks trained elsewhere '
                                             '(`common.grid`)'),
            'stages': Key(integer(1, 8), 'of Figure 1'),
            'beta': Key(number(0, above=True), "the integral's softmax is taken of beta * heat map; of H1 and I1 it is "
                                               '7.5 log2(n) for n x n cells, another one for other heat maps'),
            'debiased': Key(boolean(), "take the background's weights off those of the softmax (`nets.integral`)"),
        },
        'loss': _with_own_keys({
            'heatmap': Key(one_of(*sorted(losses.KINDS)), 'mse is H1, softmax H2, binary H3; none for I* and R1'),
            'joint': Key(one_of('l1', 'l2', 'none'), 'of the joints, in widths of the input'),
            'heatmap_weight': Key(number(0, above=True), 'of the heat-map loss'),
            'joint_weight': Key(number(0, above=True), 'of the joint loss'),
            'window': Key(integer(0, 64), "the joint loss's integral: cells to each side of the maximum; 0: all"),
        }),
        'train': {
            'start_from': Key(text(), 'the experiment whose best network starts, from the folder of the file that '
                                      'says so: h1, ../b/h1'),
            'batch_size': Key(integer(1), 'over all devices (of each worker, with several machines)'),
            'rates': Key(list_of(number(0, above=True), at_least=1), 'the next one when validation saturates; '
                                                                     'saturated again, the run ends'),
            'saturates': Key(one_of('loss', 'score'), 'what says that validation has saturated: its loss, as in the '
                                                      'paper, or its score'),
            'patience': Key(integer(1), 'epochs without a better one: validation has saturated'),
            'drops': Key(list_of(integer(1)), 'if given, the epochs after which the rate drops; patience is unused'),
            'epochs': Key(integer(1), 'at most'),
            'freeze_bn': Key(boolean(), 'batch normalisation by its running statistics'),
            'dtype': Key(one_of('float32', 'bfloat16'), 'what convolutions compute in (`nets.bfloat16`)'),
            'seed': Key(integer(0, 2 ** 32 - 1), 'of all that is random'),
        },
        'test': {
            'decode': Key(one_of('argmax', 'quarter', 'integral', 'local', 'regression'), 'heat maps to joints'),
            'window': Key(integer(1, 64), 'local integral: cells to each side of the maximum'),
            'stage': Key(integer(0), 'the stage whose output counts; 0: the last'),
            'flip': Key(boolean(), 'average with the mirrored image'),
            'batch_size': Key(integer(1), 'images at a time'),
        },
    }


def _with_own_keys(shared):
    """The section `loss`: the keys that all heat-map losses share, and those of each of them."""
    keys, owners = dict(shared), dict.fromkeys(shared, 'every loss')
    for kind in losses.KINDS.values():
        for key, values in kind.keys.items():
            one, other = Key(*values), keys.setdefault(key, Key(*values))
            owner = owners.setdefault(key, kind.__name__)
            if (one.rule.text, one.meaning) != (other.rule.text, other.meaning):
                raise InputError(f'loss.{key}: means one thing to {owner} and another to {kind.__name__}; rename one')
    return keys


def optional(cfg_loss) -> set:
    """Keys of `loss` that a configuration may lack: those of other heat-map losses than its own."""
    own = losses.KINDS[cfg_loss].keys if isinstance(cfg_loss, str) and cfg_loss in losses.KINDS else {}
    return {key for kind in losses.KINDS.values() for key in kind.keys if key not in own}


def idle_keys(cfg, scored) -> set:
    """The keys that change nothing in a network, because what they are of is not used.

    scored: nor in its scores, which are those of every decoding.
    """
    joint, maps, waits = cfg.loss.joint != 'none', cfg.network.head != 'regression', not cfg.train.drops
    used = {'train.patience': waits, 'train.saturates': waits,
            'network.beta': maps and (joint or scored), 'network.debiased': maps and (joint or scored),
            'test.window': maps and scored, 'loss.joint_weight': joint, 'loss.window': maps and joint,
            'loss.heatmap_weight': cfg.loss.heatmap != 'none'}
    return {key for key, is_used in used.items() if not is_used} | {f'loss.{key}' for key in optional(cfg.loss.heatmap)}


# Keys younger than configurations that were saved, and what these meant.
BEFORE = {'train.dtype': 'float32', 'test.stage': 0, 'loss.window': 0, 'network.debiased': False,
          'train.saturates': 'score', 'network.grid': 'centre', 'input.mean': [0.485, 0.456, 0.406],
          'input.std': [0.229, 0.224, 0.225]}


def problems(cfg) -> list:
    """What is wrong with values together, which no single key can say: a list of texts."""
    network, loss, train = cfg.network, cfg.loss, cfg.train
    regression = network.head == 'regression'
    found = {
        f'input.size {cfg.input.size}: both must be multiples of 32': any(n % 32 for n in cfg.input.size),
        'loss.heatmap and loss.joint are both none: there is nothing to learn': loss.heatmap == loss.joint == 'none',
        'network.head is regression: loss.heatmap must be none': regression and loss.heatmap != 'none',
        'network.head is regression: loss.window must be 0': regression and loss.window > 0,
        'network.debiased: loss.window must be 0': network.debiased and loss.window > 0,
        'network.head is regression: test.decode must be regression': regression and cfg.test.decode != 'regression',
        'network.head is heatmap: test.decode cannot be regression':
            not regression and cfg.test.decode == 'regression',
        'network.stages > 1: needs network.head heatmap and network.deconvolutions 2 (conv3 and the heat maps, which '
        'are concatenated, have the same size then)':
            network.stages > 1 and (regression or network.deconvolutions != 2),
        f'test.stage {cfg.test.stage}: network.stages is {network.stages}': cfg.test.stage > network.stages,
        'train.drops: must increase, and be one fewer than train.rates':
            bool(train.drops) and (sorted(set(train.drops)) != train.drops or len(train.drops) != len(train.rates) - 1),
        losses.KINDS[loss.heatmap].problem(cfg): True,
    }
    return [problem for problem, present in found.items() if present and problem]
