"""The one exception for everything a user can get wrong."""


class InputError(Exception):
    """What the user gave (a file, a key, an option) cannot be used.

    The message is one line: it names the file, key or value and says what would be right. Programs print it
    without a traceback and exit with code 2 (`common.cli.run`).
    """
