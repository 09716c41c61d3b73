"""Test a trained network on COCO, by every decoding.

    python pose_coco/test.py --cfg experiments/coco/table8/i1.yaml --params output/coco/table8/i1/best.params \\
        --boxes person_detections_val2017.json --flip-test --save results

Prints AP, AP50, AP75, APM and APL of every decoding, and the configured one's row beside the paper's. People are where
the annotations have them, or with --boxes where a detector does. A split without annotations (test-dev2017) is
predicted for --save alone: the file that COCO's server scores.
"""
import sys
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import experiment, files, results, runtime
from common.errors import InputError
from common.predict import visualise
from common.predict.inference import predict
from common.programs import options
from common.programs.cli import run
from pose_coco import paper
from pose_coco.ap import COLUMNS, average_precision, format_table
from pose_coco.dataset import load_people
from pose_coco.layout import annotation_files, has_annotations, read_split, results_file, write_results
from pose_coco.results import to_records
from pose_coco.skeleton import FLIP_PAIRS, JOINTS, LIMBS, SIDES

ANNOTATED = 'annotated boxes'


def score(cfg, net, loader, people, truth, contexts, title):
    """Predict a loader's samples, those of people (`dataset.People`), and score every decoding.

    truth: `layout.read_split`, or None. Returns {decoding: joints (N, 17, 2)} in 0-based source pixels, their
    scores (N, 17) (`inference.joint_scores`), and {decoding: result of `ap.average_precision`}, None without truth.
    """
    joints, confidences = predict(cfg, net, loader, contexts, FLIP_PAIRS, title, scored=True)
    return joints, confidences, truth and {method: average_precision(truth, to_records(people, found, confidences))
                                      for method, found in joints.items()}


def test(cfg, params, data, split, contexts, json=None, picture=None, save=None, boxes=None, score_threshold=0.0,
         iou_threshold=1.0):
    """Predict a split with the parameters of a file and, where it is annotated, print the scores.

    boxes: a detector's file, and the thresholds of `load_people`; without, the annotated boxes. Files to write, if
    given: `json` with the result of the configured decoding (`ap.average_precision`), those of all decodings under
    'decodings', the 'boxes' and where it is from (`experiment.provenance`); `picture` and `save` with the configured
    decoding's predictions (`layout.write_results`). InputError where there is nothing to score and nothing to save.
    """
    truth = read_split(data, split) if has_annotations(data, split) else None
    if truth is None and (json or not (save or picture)):
        raise InputError(f'--split {split}: has no annotations to score; --save writes what COCO\'s server scores')
    people = load_people(data, split, cfg.input.size, boxes, score_threshold, iou_threshold)
    loader = experiment.ordered_loader(cfg, people.samples)
    net = experiment.load_network(cfg, len(JOINTS), params, contexts)
    joints, confidences, scores = score(cfg, net, loader, people, truth, contexts, 'test')
    chosen = joints[cfg.test.decode]
    source = ANNOTATED
    if boxes:
        source = Path(boxes).name + (f', score >= {score_threshold:g}' * (score_threshold > 0)
                                     + f', IoU <= {iou_threshold:g}' * (iou_threshold < 1))
    if scores:
        print(f'\n{cfg.name} by {cfg.test.decode} on {data}, {split}, {source}; the paper: ResNet-101 at 256 x 256 on '
              'test-dev')
        print(format_table(scores[cfg.test.decode], paper.TABLE8.get(results.cell(cfg.name), ())[1:]))
        print(results.by_decoding(scores, COLUMNS))
    if save:
        records = to_records(people, chosen, confidences)
        write_results(save, records)
        print(f'{len(records)} poses in {save}')
    if scores and json:
        files.write_json(json, {**scores[cfg.test.decode], 'decodings': scores, 'boxes': source,
                                **experiment.provenance(cfg, data, split)})
    if picture:
        visualise.save(picture, visualise.predictions(people.samples, chosen, LIMBS, SIDES))


def main(argv=None):
    parser = options.parser(__doc__)
    options.add_test(parser)
    parser.add_argument('--data', default='data/coco', help='folder in COCO\'s layout (default: data/coco)')
    parser.add_argument('--split', default='val2017', help='val2017 (default), test-dev2017, ...')
    parser.add_argument('--boxes', metavar='FILE', help='a detector\'s boxes in COCO\'s result format')
    parser.add_argument('--box-score', type=float, default=0.0, metavar='S',
                        help='use the boxes of at least this score (default: 0)')
    parser.add_argument('--box-iou', type=float, default=1.0, metavar='IOU',
                        help='of two boxes that overlap more than this, use the better one (default: 1, use both)')
    parser.add_argument('--save', metavar='RESULTS', help='write poses in COCO\'s result format to a .json, or into a '
                                                          'folder under the name that COCO\'s server wants')
    args = parser.parse_args(argv)
    cfg = options.configuration(args, 'coco', ['test.flip=true'] * args.flip_test)
    if args.save and Path(args.save).suffix != '.json':
        args.save = results_file(args.save, args.split, cfg.name)
    for name, value, default in (('--box-score', args.box_score, 0), ('--box-iou', args.box_iou, 1)):
        if not 0 <= value <= 1:
            raise InputError(f'{name} {value:g}: expected a number from 0 to 1')
        if value != default and not args.boxes:
            raise InputError(f'{name} {value:g}: is of the boxes that --boxes names')
    options.check_outputs(args, args.boxes, *annotation_files(args.data, args.split))
    test(cfg, args.params, args.data, args.split, runtime.contexts(args.gpus, args.cpus), args.json, args.picture,
         args.save, args.boxes, score_threshold=args.box_score, iou_threshold=args.box_iou)


if __name__ == '__main__':
    run(main)
