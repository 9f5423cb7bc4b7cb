"""Outputs that are somebody's: files, pipes, devices, links and folders of others, with and without --overwrite."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from command import run
from materials import VERBS, home, result_folder, tree
from trial import Skipped, Trial


def _stranger(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("years of work")
    (path / "config.json").write_text('{"theirs": true}')
    (path / "report.json").write_text('{"theirs": true}')
    (path / "metrics.json").write_text('{"theirs": true}')
    (path / "model.json").write_text('{"theirs": true}')


def _link(path: Path) -> None:
    _stranger(path.with_name("elsewhere"))
    path.symlink_to("elsewhere", target_is_directory=True)


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError as error:
        raise Skipped("only root makes devices") from error


_TARGETS: dict[str, Callable[[Path], object]] = {
    "a file": lambda path: path.write_text("a letter"),
    "a pipe": os.mkfifo,
    "a device": _device,
    "a link to a folder": _link,
    "a link that leads nowhere": lambda path: path.symlink_to("nowhere"),
    "a folder of somebody else": _stranger,
}
_NAMES = {"a name of 300 letters": "x" * 300, "a path below a file": "file/below"}


def trials(seed: int) -> list[Trial]:
    """Every verb on every such target; the seed changes nothing."""
    found = []
    for verb in ("segment", "train", "evaluate", "export"):
        for shown, make in _TARGETS.items():
            found.append(Trial("outputs that are somebody's", f"{verb} onto {shown}", _attempt(verb, make)))
        for shown, name in _NAMES.items():
            found.append(Trial("outputs that are somebody's", f"{verb} onto {shown}", _attempt_name(verb, name)))
    return found


def _state(folder: Path) -> list[tuple[str, int, bytes]]:
    found = []
    for name in tree(folder):
        status = (folder / name).lstat()
        data = (folder / name).read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found.append((name, stat.S_IFMT(status.st_mode), data))
    return found


def _attempt(verb: str, make: Callable[[Path], object]) -> Callable[[Path], str]:
    def attempt(folder: Path) -> str:
        output = folder / "out"
        target = result_folder(verb, output)
        target.parent.mkdir(parents=True, exist_ok=True)
        make(target)
        before = _state(folder)
        for options in ((), ("--overwrite",)):
            ended = run(VERBS[verb](output, *options), home() / "printed")
            if ended.complaint(2):
                return ended.complaint(2)
            if _state(folder) != before:
                return f"changed what was there: {sorted(set(tree(folder)) ^ {name for name, _, _ in before})}"
        return ""

    return attempt


def _attempt_name(verb: str, name: str) -> Callable[[Path], str]:
    def attempt(folder: Path) -> str:
        (folder / "file").write_text("a file")
        ended = run(VERBS[verb](folder / name), home() / "printed")
        return ended.complaint(1, 2) or ("" if tree(folder) == ["file"] else f"left behind: {tree(folder)}")

    return attempt
