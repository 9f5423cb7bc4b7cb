"""What can go wrong, sorted by what the user can do about it.

Each error carries the exit code the command line ends with. The message is one line: what came, what is
allowed, what to do. Patient names and identifiers never stand in a message; file names may.
"""


class ClamSegError(Exception):
    """The work failed for a reason that is neither the input's nor the user's (exit code 1)."""

    exit_code = 1


class InputError(ClamSegError):
    """Bad input or options: a file, folder, value or combination that cannot be worked on (exit code 2)."""

    exit_code = 2


class OutputError(ClamSegError):
    """The result could not be written: disk full, folder not writable (exit code 1)."""

    exit_code = 1


class OutOfMemoryError(ClamSegError):
    """Memory ran out after every fall-back, from smaller batches to the CPU (exit code 1)."""

    exit_code = 1


class EngineError(ClamSegError):
    """An engine failed while it computed; the network as trained may still do (exit code 1)."""

    exit_code = 1


class Cancelled(ClamSegError):  # noqa: N818 - being cancelled is not an error to the user
    """The user stopped the work (exit code 130)."""

    exit_code = 130
