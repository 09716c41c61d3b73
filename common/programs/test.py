"""Testing a trained network by every decoding."""
import sys
from pathlib import Path
from typing import NamedTuple, Optional, Tuple

import numpy as np

from common import files, provenance, results, skeleton
from common.data.loader import ordered_loader
from common.dataset import Source
from common.errors import InputError
from common.predict import inference, visualise
from common.programs import options
from common.train.resume import ABOUT


class Outputs(NamedTuple):
    """Files to write, None for those that are not wanted."""

    json: Optional[str] = None                # the result of the configured decoding, and those of all decodings
    picture: Optional[str] = None             # predictions for the first people
    save: Optional[str] = None                # all predictions, as the data set's evaluation reads them


def predict_and_score(dataset, cfg, net, people, contexts, title,
                      loss=None) -> Tuple[dict, Optional[np.ndarray], Optional[dict]]:
    """What a network finds of people, by every decoding; loss: as of `inference.predict`.

    Returns {decoding: joints (N, K, 2)} in 0-based source pixels, their scores (N, K) or None (`Dataset.scored`), and
    {decoding: result of `Dataset.score`}, None without ground truth.
    """
    loader = ordered_loader(cfg, people.samples)
    joints, scores = inference.predict(cfg, net, loader, contexts, title, scored=dataset.scored, loss=loss)
    if people.truth is None:
        return joints, scores, None
    return joints, scores, {method: score(dataset, people, points, scores) for method, points in joints.items()}


def score(dataset, people, joints, scores):
    """`Dataset.score`, whose numbers are Python's and not NumPy's, as JSON needs them; InputError without a metric."""
    result = dataset.score(people, joints, scores)
    missing = {*dataset.metrics, dataset.decides} - {*result}
    if missing:
        raise InputError(f'{type(dataset).__name__}.score: returns {", ".join(result) or "nothing"}, and no '
                         f'{", ".join(sorted(missing))}, which is among its `metrics` or `decides`')
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in result.items()}


def test(dataset, cfg, params, source, contexts, outputs=Outputs()):
    """Predict a split with the parameters of a file, print the scores where there is ground truth, and write outputs.

    InputError where there is nothing to score and no file to write.
    """
    dataset = dataset.with_skeleton(skeleton.of(cfg))
    people = dataset.people(source, cfg.input.size)
    if people.truth is None and (outputs.json or not (outputs.save or outputs.picture)):
        raise InputError(f'--split {source.split}: has no ground truth to score; --save writes the predictions')
    digest = provenance.digest(people.samples)
    if any(sample.visible.any() for sample in people.samples):               # a detector's boxes are no annotations
        warn_of_other_people(params, source, digest)
    net = inference.load_network(cfg, params, contexts)
    joints, scores, found = predict_and_score(dataset, cfg, net, people, contexts, 'test')
    chosen = joints[cfg.test.decode]
    if outputs.save:
        dataset.save(outputs.save, people, chosen, scores)
    if found:
        places = ', '.join([str(source.data), source.split, *people.about.values()])
        printed = dataset.paper.get(results.entry(cfg.name))
        print(f'\n{cfg.name} by {cfg.test.decode} on {places}' + f'; the paper: {dataset.reference}' * bool(printed))
        print(dataset.table(found[cfg.test.decode], printed))
        print(results.by_decoding(found, dataset.metrics))
    if found and outputs.json:
        files.write_json(outputs.json, {**found[cfg.test.decode], 'decodings': found, 'annotations': digest,
                                        **people.about,
                                        **provenance.of_test(cfg, source.data, source.split)})
    if outputs.picture:
        visualise.save(outputs.picture,
                       visualise.predictions(people.samples, chosen, skeleton.of(cfg), net.trained_joints()))


def warn_of_other_people(params, source, digest):
    """A warning where the network was chosen by another split of this name than the one that is tested now."""
    try:
        run = files.read_object(Path(params).with_name(ABOUT))
    except InputError:                        # none is there, or not one of ours
        return
    chosen_by = run.get('annotations')
    if isinstance(chosen_by, dict) and run.get('data') == provenance.data_name(source.data) and \
            source.split == run.get('valid') and chosen_by.get('valid') != digest:
        print(f'warning: {source.data}: its {source.split} holds other annotations than when {params} was trained',
              file=sys.stderr)


def main(dataset, argv=None):
    parser = options.parser(f'Test a trained network on {dataset.name}, by every decoding.')
    options.add_network(parser, required=False)
    parser.add_argument('--params', required=True, metavar='FILE', help='its .params, or an exported .onnx')
    options.add_source(parser, dataset)
    parser.add_argument('--flip-test', action='store_true', help='average with the mirrored image')
    parser.add_argument('--json', metavar='FILE', help='write the scores')
    parser.add_argument('--picture', metavar='PNG',
                        help=f'draw the predictions for the first {visualise.PEOPLE} people, over the truth in white')
    parser.add_argument('--save', metavar='FILE', help=f'write the predictions: {dataset.saved_as}')
    args = parser.parse_args(argv)
    cfg = options.configuration(args, dataset, ['test.flip=true'] * args.flip_test)
    source = Source(args.data, args.split or cfg.data.valid, dataset.source_options(args))
    outputs = Outputs(args.json, args.picture, args.save and dataset.save_path(args.save, source, cfg.name))
    if outputs.picture:
        visualise.check_suffix(outputs.picture)
    files.check_outputs(outputs, (args.cfg, args.params, *dataset.files(source)))     # now, not after an hour
    test(dataset, cfg, args.params, source, options.contexts(args), outputs)
