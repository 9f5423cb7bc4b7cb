"""What a disk is asked for and may answer: flushing, taking files along, and in words what it and memory refuse."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from ClamSegLib.system.errors import ClamSegError, InputError, OutputError

_FLUSHED_AT_ONCE = 8
# Not every file system can flush a folder, and not every one says so in the same words.
_NO_SUPPORT = getattr(errno, "ENOTSUP", errno.EOPNOTSUPP)  # Windows has one name only
_CANNOT_FLUSH = (errno.EINVAL, _NO_SUPPORT, errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR)
_ADVICE = {
    errno.ENOSPC: ("No space left while writing {path}", "free some space and run again"),
    errno.EDQUOT: ("No space left (your quota) while writing {path}", "free some space and run again"),
    errno.EFBIG: (
        "{path} would grow larger than a file may here",
        "raise the limit (ulimit -f) or write to another disk",
    ),
    errno.EROFS: ("Cannot write {path}: the file system is read-only", "choose another output"),
    errno.EMFILE: ("Too many files are open while writing {path}", "raise the limit (ulimit -n) and run again"),
    errno.ENFILE: ("Too many files are open on this machine while writing {path}", "close programs and run again"),
    errno.ENAMETOOLONG: ("{path} is longer than this disk allows", "choose a shorter name"),
    errno.EIO: ("The disk failed while writing {path}", "look after the disk, or write to another one"),
}

# What numpy says of a write that the system cut short; the reason is lost there.
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")


def output_error(path: Path, error: OSError) -> OutputError:
    """What went wrong, where, and what to do, in one sentence."""
    if error.errno in _ADVICE:
        what, advice = _ADVICE[error.errno]
        return OutputError(f"{what.format(path=path)}; {advice}. Nothing half-written was left.")
    words = error.strerror or str(error)
    if error.errno is None and _SHORT_WRITE.search(words):
        return OutputError(
            f"No space left while writing {path}, or a limit on the size of files was reached; free some space and run again. "
            "Nothing half-written was left."
        )
    elsewhere = error.filename if isinstance(error.filename, str) and Path(error.filename).name not in str(path) else ""
    where = f" ({Path(elsewhere).name})" if elsewhere and ".clamseg-" not in elsewhere else ""
    return OutputError(f"Cannot write {path}: {words}{where}. Choose a folder you may write to.")


# How libraries say that memory ran out: torch, oneDNN (which computes its convolutions on the CPU), the system's loader,
# threads, C++, ITK.
OUT_OF_MEMORY = (
    "can't allocate memory", "could not create a primitive", "Cannot allocate memory", "Failed to allocate memory",
    "failed to map segment", "can't start new thread", "bad_alloc",
)  # fmt: skip


def words_of_the_machine(error: BaseException) -> str:
    """One sentence where an error, or what it was raised from, is the machine's: disk, limits or memory gave out; '' for any other."""
    if isinstance(error, ClamSegError):  # it says already what and where
        return ""
    if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
        return "Memory ran out; close other programs, raise the limit (ulimit -v), or use a smaller --batch-size."
    if isinstance(error, OSError) and error.errno in _ADVICE:
        return str(output_error(Path(str(error.filename or "the output")), error))
    return words_of_the_machine(error.__cause__) if error.__cause__ is not None else ""


def exists(path: Path) -> bool:
    """Whether anything is there, a link that leads nowhere included.

    Raises:
        InputError: a name that the disk does not take.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        shown = path if len(str(path)) < 200 else f"{str(path)[:120]}..."
        raise InputError(f"{shown} cannot be used as an output ({words}); choose another one.") from error
    return True


def private(path: Path) -> None:
    """Makes an empty file that only this user can read, where there is none."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def flush(path: Path, deep: bool = True) -> None:
    """Waits until a file, or a folder with all in it, lies on the disk.

    All are asked for at once: a disk that is busy answers several in hardly more time than one.

    Raises:
        OSError: it does not, e.g. because the disk is full.
    """
    paths = [path]
    if deep and path.is_dir():
        for folder, names, files in os.walk(path):
            paths += [Path(folder, name) for name in (*names, *files) if not Path(folder, name).is_symlink()]
    if len(paths) == 1:
        _flush(path)
        return
    try:
        asked = [_flushers().submit(_flush, each) for each in paths]
    except RuntimeError:  # no further thread can be started, or Python ends
        for each in paths:
            _flush(each)
        return
    wait(asked)
    for flushed in asked:
        flushed.result()


@cache
def _flushers() -> ThreadPoolExecutor:
    """Threads that stay: on a busy machine a thread is started more slowly than a file is flushed."""
    return ThreadPoolExecutor(_FLUSHED_AT_ONCE, "flush")


if hasattr(os, "register_at_fork"):  # threads do not go with a fork
    os.register_at_fork(after_in_child=_flushers.cache_clear)


def _flush(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # folders cannot be opened there
        return
    try:
        opened = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    except OSError as error:
        if error.errno in _CANNOT_FLUSH:
            return
        raise
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(opened)


def take_along(old: Path, new: Path, but: Sequence[str]) -> None:
    """Puts into `new` what `old` holds and `new` does not, without the names of these patterns; `old` stays as it is.

    Files are linked, or copied where the disk has no links.
    """
    if not exists(old):
        return
    for entry in sorted(old.iterdir()):
        if not any(fnmatchcase(entry.name, pattern) for pattern in but) and not exists(new / entry.name):
            _put_too(entry, new / entry.name)


def _put_too(source: Path, target: Path) -> None:
    mode = source.lstat().st_mode
    if stat.S_ISDIR(mode):
        target.mkdir()
        for entry in sorted(source.iterdir()):
            _put_too(entry, target / entry.name)
        shutil.copystat(source, target)
        return
    if stat.S_ISLNK(mode):
        target.symlink_to(source.readlink())
        return
    try:
        os.link(source, target)
    except OSError:
        if not stat.S_ISREG(mode):
            raise
        shutil.copy2(source, target)
