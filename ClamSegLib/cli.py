"""The command line: one verb, one exit code, one clear line for every mistake.

Exit codes: 0 done, 2 bad input or options, 1 failed for another reason, 130 cancelled.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ClamSegLib import RESEARCH_ONLY, __version__
from ClamSegLib.system.disk import words_of_the_machine
from ClamSegLib.system.errors import Cancelled, ClamSegError, InputError
from ClamSegLib.system.progress import Reporter, make_reporter
from ClamSegLib.system.silence_c_output import claim_stdout

VERBS = ("segment", "train", "evaluate", "check", "models", "export", "compare", "demo", "web", "worker")
# For developers; Slicer's folder is installed without their room.
DEVELOPERS_VERBS = ("study", "benchmark")

_CANCELLED = "cancelled; nothing half-written was left"


def make_parser(only: str = "") -> argparse.ArgumentParser:
    """The parser; verb files import nothing heavy before they run.

    Args:
        only: the verb that it is for, of those that there are; '' for all.
    """
    parser = argparse.ArgumentParser(
        prog="clamseg", description=f"Organ and lesions over medical images. {RESEARCH_ONLY}"
    )
    parser.add_argument("--version", action="version", version=f"clamseg {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module in _modules().items():
        if only not in ("", name):
            continue
        verb = importlib.import_module(module)
        own = verbs.add_parser(
            name, help=verb.HELP, description=f"{verb.HELP[0].upper()}{verb.HELP[1:]}. {RESEARCH_ONLY}"
        )
        own.add_argument("--progress", choices=("bar", "json", "none"), default="bar", help="how progress is shown")
        verb.add_arguments(own)
        own.set_defaults(run=verb.run)
    return parser


def _modules() -> dict[str, str]:
    """Verb to its file, for the verbs whose room is installed."""
    found = {name: f"ClamSegLib.commands.{name}" for name in VERBS}
    if (Path(__file__).parent / "experiments").is_dir():
        found |= {name: f"ClamSegLib.experiments.{name}_verb" for name in DEVELOPERS_VERBS}
    return found


class _Stop:
    """Whether somebody asked this process to end: what was being imported then may fail in ways of its own."""

    asked = False


def _on_stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    _Stop.asked = True
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb.

    Args:
        arguments: words after the program's name; None takes the process's.

    Returns:
        The exit code.
    """
    if arguments is None:
        claim_stdout()
    parsed = _parsed(arguments)
    if isinstance(parsed, int):
        return parsed
    if arguments is None:
        signal.signal(signal.SIGTERM, _on_stop)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # in the background Ctrl-C may be ignored
            signal.signal(signal.SIGINT, _on_stop)
    reporter = make_reporter(parsed.progress)
    try:
        _check_threads(getattr(parsed, "threads", 0))
        code = int(parsed.run(parsed, reporter))
        sys.stdout.flush()
        return code
    except (KeyboardInterrupt, Cancelled):
        return _ended(reporter, _CANCELLED, 130)
    except ClamSegError as error:
        return _ended(reporter, str(error), error.exit_code)
    except BrokenPipeError:
        _drop_stdout()
        return 1
    except PermissionError as error:
        return _ended(reporter, f"{error.filename or error} may not be read or written; you lack the permission.", 2)
    except Exception as error:
        if _Stop.asked:
            return _ended(reporter, _CANCELLED, 130)
        words = _words_of_the_machine(error)
        if words:
            return _ended(reporter, words, 1)
        if os.environ.get("CLAMSEG_DEBUG") == "1":
            traceback.print_exc()
        words = " ".join(str(error).split())[:300]
        return _ended(
            reporter,
            f"Internal error ({type(error).__name__}: {words}); please report it. CLAMSEG_DEBUG=1 shows more.",
            1,
        )


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace | int:
    """What was asked for, or the exit code where that is not known."""
    try:
        words = sys.argv[1:] if arguments is None else list(arguments)
        return make_parser(words[0] if words and words[0] in _modules() else "").parse_args(words)
    except SystemExit as stop:  # argparse printed the reason
        return int(stop.code or 0)
    except (MemoryError, OSError, ImportError) as error:  # of this machine, while the verbs were loaded
        lacking = f"A part of the program could not be loaded ({error}); install ClamSeg again, or close other programs where memory is short."
        return _ended(make_reporter("none"), _words_of_the_machine(error) or lacking, 1)


def _check_threads(count: int) -> None:
    """What `--threads` of a verb asks for; the verb takes them when it loads torch."""
    if count < 0:
        raise InputError(f"--threads {count} must be 0 (all cores) or larger.")


def _words_of_the_machine(error: Exception) -> str:
    """One sentence where disk, limits or memory gave out; '' for any other error."""
    words = words_of_the_machine(error)
    if words and isinstance(error, OSError) and error.filename is None:
        _drop_stdout()
    return words


def _drop_stdout() -> None:
    """What could not be printed is not tried again at the end, with noise: the reader went away, or the disk is full."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ended(reporter: Reporter, message: str, code: int) -> int:
    reporter.error(message)
    return code
