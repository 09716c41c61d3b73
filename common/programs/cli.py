"""What every program of the project does around its `main`."""
import os
import signal
import sys

from common.errors import InputError, Terminated


def run(main):
    """Call `main()` and exit: 0 when it returns, 2 with one line for an InputError, 128 + its number for a signal."""
    try:
        main()
        sys.stdout.flush()                    # while a broken pipe can be told
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
    except Terminated as error:
        print(f'ended by {signal.Signals(error.signal).name}: {error}', file=sys.stderr)
        sys.exit(128 + error.signal)
    except BrokenPipeError:                   # whoever reads the output has enough of it, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())         # or Python complains at its end
        sys.exit(1)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
