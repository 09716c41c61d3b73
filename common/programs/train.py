"""Training an experiment, after the ones it starts from."""
from typing import Callable

from common import config, results, runtime, skeleton
from common.data.crop import check
from common.data.loader import require_readable, training_loader
from common.dataset import People, Source
from common.errors import InputError
from common.predict import visualise
from common.predict.inference import MeanLoss
from common.programs import options
from common.programs.test import Outputs, predict_and_score, test
from common.train import phases
from common.train.resume import CONFIG
from common.train.run import BEST
from common.train.workers import leaving_the_others

PICTURED = 6                                  # people in TensorBoard's picture of an epoch


def people_to_validate(dataset, cfg, data) -> People:
    """Those of the validation split; InputError where they cannot be scored, or an image of theirs cannot be read."""
    people = dataset.people(Source(data, cfg.data.valid), cfg.input.size)
    check(people.samples, skeleton.of(cfg).joints)
    if people.truth is None:
        raise InputError(f'data.valid is {cfg.data.valid}: has no ground truth to score')
    if cfg.train.saturates == 'loss' and not any(sample.visible.any() for sample in people.samples):
        raise InputError(f'data.valid is {cfg.data.valid}: nobody in it has an annotated joint, and so no loss that '
                         'train.saturates could go by; set it to score')
    require_readable({sample.image: sample.size for sample in people.samples})
    return people


def validation(dataset, cfg, people, contexts) -> Callable:
    """A function of the network: its metrics and loss on the people given, and the 'score' that decides.

    Metrics are those of the configured decoding, and 'decided_by' names the score's; 'decodings' has those of all of
    them, lists in the metrics' order, and 'picture' shows predictions for the first people.
    """
    def validate(net):
        loss = MeanLoss(cfg, net.stride)
        joints, _, found = predict_and_score(dataset, cfg, net, people, contexts, 'validate', loss)
        chosen = found[cfg.test.decode]
        return {'score': chosen[dataset.decides], 'decided_by': dataset.decides, 'validation_loss': float(loss),
                **{key: chosen[key] for key in dataset.metrics},
                'decodings': {method: [result[key] for key in dataset.metrics] for method, result in found.items()},
                'picture': visualise.predictions(people.samples[:PICTURED], joints[cfg.test.decode], skeleton.of(cfg),
                                                 net.trained_joints())}
    return validate


def main(dataset, argv=None):
    parser = options.parser(f'Train an experiment on {dataset.name}.')
    options.add_network(parser)
    options.add_data(parser, dataset)
    parser.add_argument('--kvstore', default='device', choices=('device', 'local', *runtime.DISTRIBUTED),
                        help='how devices exchange gradients (default: device)')
    parser.add_argument('--resume', action='store_true', help='go on where an earlier run of this experiment stopped')
    parser.add_argument('--out', default='output', metavar='DIR',
                        help='results go to DIR/<experiment>, such as output/mpii/table2/i1 (default: output)')
    args = parser.parse_args(argv)
    cfg = options.checked(config.load(args.cfg, args.overrides), args.cfg, dataset)
    contexts = runtime.contexts(args.gpus, args.cpus)
    job = phases.Job(args.data, args.out, args.overrides, args.resume, runtime.devices(contexts, args.kvstore))

    def prepare(cfg, phase):
        own = dataset.with_skeleton(skeleton.of(cfg))
        train = own.samples(Source(args.data, cfg.data.train), cfg.input.size)
        valid = people_to_validate(own, cfg, args.data)
        return (training_loader(cfg, train, phase, (job.devices.rank, job.devices.workers)),
                validation(own, cfg, valid, contexts), {'train': train, 'valid': valid.samples})

    with leaving_the_others(job.devices.kvstore):
        folders = phases.train(cfg, prepare, job)
    for folder in folders:                    # the best network of each, on the split that it was chosen by
        own = config.load(folder / CONFIG)
        test(dataset, own, folder / BEST, Source(args.data, own.data.valid), contexts,
             Outputs(folder / results.TEST, folder / phases.PICTURE))
    if folders:
        print(f'best networks, logs, scores and pictures: {", ".join(map(str, folders))}')
