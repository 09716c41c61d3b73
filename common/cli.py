"""What every program of the project does around its `main`."""
import sys

from common.errors import InputError


def run(main):
    """Call `main()` and exit: 0 when it returns, 2 with one line for an InputError, 130 for Ctrl-C."""
    try:
        main()
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
