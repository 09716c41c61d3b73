"""Tables 2-8 and Figures 2 and 3 of the paper from results on the disk, the paper's figures beside ours.

    sh scripts/paper_tables.sh [--results DIR ...] [--out DIR] [--data DIR]

Reads every `test.json` below the folders of results and writes OUT/tables.md and OUT/figure3_*.png: sections for the
paper's settings, one for each other family of experiments (such as experiments/cpu/mpii) and data set there are results
of, and a list of all other experiments. Cells and tables that nobody has run say so. Several seeds of an experiment
become mean and standard deviation. With --data, the folder of that data set, Figure 2 is drawn from the networks of H1
and I1 where their best.params lie beside their test.json. In the same sections, OUT/decodings.md has the scores of
every decoding, and OUT/sources.md what each result is and where it is from.
"""
import sys
from pathlib import Path

if not __package__:                           # run as a file: make the project's root importable
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import pose_coco.tables
import pose_mpii.tables
from common import files, provenance, results
from common.programs import options
from common.programs.cli import run

RESULTS = provenance.ROOT / 'results'
TABLES, DECODINGS, SOURCES = 'tables.md', 'decodings.md', 'sources.md'
LEGENDS = {TABLES: '''# The paper's tables

Written by `sh scripts/paper_tables.sh`, as are [the scores of every decoding](decodings.md) and [where each result is
from](sources.md). Cells of Tables 2 to 5 are PCKh@0.5 / PCKh@0.1 / AUC in percent on the validation split, of the epoch
with the best AUC there; Table 8 has COCO's AP, of the epoch with the best AP. "local integral" is our decoding, the
others the paper's. The paper's own figures are those of MPII and COCO at the settings of experiments/mpii and
experiments/coco: other families of experiments and other data sets have them beside theirs to compare the order and the
differences, not the values. The paper's "params" fit the ResNets with their classifiers (not the 101M of Table 7); the
networks with their deconvolutions have those counted here. The paper remarks that R1 has more parameters than I*; here
it has fewer, because I*'s deconvolutions have more than R1's fully connected layer. AUC is the mean over 51 bounds from
0 to 0.5; where the bound 0 is left out, as some do, it is a fiftieth higher.
''', DECODINGS: '''# Decodings

Written by `sh scripts/paper_tables.sh`: each network of [the tables](tables.md) and of the studies, its maps read in
other ways. Figures are PCKh@0.5 / PCKh@0.1 / AUC in percent on the validation split, of the epoch with the best AUC by
the network's own decoding. Those by window, beta and modes are what `pose_mpii/decodings.py` has found of a network
with one seed.
''', SOURCES: '''# Where the results are from

Written by `sh scripts/paper_tables.sh`: for every result in [the tables](tables.md) its seed, the commit that trained
it, its file, and the values of its configuration that the experiment's YAML has no longer.
'''}


def main(argv=None):
    parser = options.parser(__doc__)
    parser.add_argument('--results', nargs='+', default=[RESULTS], metavar='DIR',
                        help='folders with results, later ones winning (default: the project\'s results/)')
    parser.add_argument('--out', type=Path, default=RESULTS, metavar='DIR',
                        help='where the pages and the figures go (default: the project\'s results/)')
    parser.add_argument('--data', metavar='DIR', help='the data set to draw Figure 2 on')
    args = parser.parse_args(argv)
    found = results.collect(args.results)
    files.make_folder(args.out)
    mpii, coco = pose_mpii.tables.sections(found), pose_coco.tables.sections(found)
    sources = [section.sources() for section in mpii + coco]
    pages = {TABLES: [pose_mpii.tables.write(mpii, args.out, args.data), pose_coco.tables.write(coco),
                      results.others(found, '\n'.join(sources))],
             DECODINGS: [pose_mpii.tables.by_other_decodings(section) for section in mpii],
             SOURCES: sources}
    for name, parts in pages.items():
        files.write_text(args.out / name, '\n'.join([LEGENDS[name], *filter(None, parts)]))
        print(args.out / name)


if __name__ == '__main__':
    run(main)
