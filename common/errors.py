"""The exception for everything a user can get wrong, two kinds of it, and the one for being asked to end."""


class InputError(Exception):
    """What the user gave (a file, a key, an option) cannot be used.

    The message is one line: it names the file, key or value and says what would be right. Programs print it
    without a traceback and exit with code 2 (`common.programs.cli.run`).
    """


class StorageError(InputError):
    """A file cannot be read now: it is not there, or the disk or network that it is on fails."""


class AnnotationError(InputError):
    """An annotation contradicts what it is of: to go on without the image would hide that all of them do."""


class Terminated(Exception):
    """A signal ended the run; its work is saved where the one-line message says. Exit code 128 + signal."""

    def __init__(self, signal, message):
        super().__init__(message)
        self.signal = signal
