"""Parameters and multiply-accumulates of a configured network (`common.deploy.complexity`).

    python -m common.complexity --cfg experiments/mpii/table2/i1.yaml [--json FILE]
"""
from common import files
from common.deploy.complexity import count
from common.programs import options
from common.programs.cli import run


def main(argv=None):
    parser = options.parser(__doc__)
    options.add_configuration(parser)
    parser.add_argument('--json', metavar='FILE', help='write the counts')
    args = parser.parse_args(argv)
    files.check_outputs([args.json], [args.cfg])
    cfg = options.load(args.cfg, args.overrides)
    result = count(cfg)
    print(f'{cfg.name}: {result["parameters"] / 1e6:.1f}M parameters, {result["multiply_accumulates"] / 1e9:.2f}G '
          f'multiply-accumulates an image, and {result["integral_operations"] / 1e6:.2f}M element-wise operations in '
          'the integral')
    if args.json:
        files.write_json(args.json, result)


if __name__ == '__main__':
    run(main)
