"""Disks that fill up, are read-only, or fail: a small file system of its own where root can mount one."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from command import Harm, run
from materials import VERBS, copy_of, essence, finished, hidden, home, result_folder
from trial import Skipped, Trial

_FULL = {"segment": 12, "train": 14, "evaluate": 6, "study": 6, "export": 4}
_MOST_BYTES = {"segment": 120_000, "train": 600_000, "evaluate": 150_000, "study": 800_000, "export": 100_000}


def trials(seed: int) -> list[Trial]:
    """Every verb with some room left, read-only, and with a full cache or folder for temporary files."""
    rng = random.Random(f"disk {seed}")
    found = []
    for verb, count in _FULL.items():
        for _ in range(count):
            room, again = rng.randrange(0, _MOST_BYTES[verb], 4096), bool(rng.random() < 0.4)
            name = f"{verb}{' --overwrite' if again else ''} with {room // 1024} kB left"
            found.append(Trial("disk full or read-only", name, _full(verb, room, again)))
        found.append(Trial("disk full or read-only", f"{verb} onto a read-only disk", _read_only(verb)))
    for variable, verbs in (("CLAMSEG_CACHE", ("train", "evaluate")), ("TMPDIR", ("segment", "train"))):
        for verb in verbs:
            name = f"{verb} with {variable} on a full disk"
            found.append(Trial("disk full or read-only", name, _full_beside(verb, variable)))
    found.append(Trial("disk full or read-only", "what is printed goes to a full disk", _full_output))
    return found


@contextmanager
def small_disk(folder: Path, size_kb: int) -> Iterator[Path]:
    """A file system of its own in memory.

    Raises:
        Skipped: this user cannot mount one.
    """
    disk = folder / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(disk)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode:
        raise Skipped("only root can mount a small file system")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], capture_output=True, check=False)


def remount(disk: Path, options: str) -> None:
    """Changes its size or rights."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True, capture_output=True)


def fill(disk: Path, room: int) -> None:
    """Leaves `room` bytes."""
    status = os.statvfs(disk)
    with (disk / "filling").open("wb") as file:
        file.truncate(0)
        os.posix_fallocate(file.fileno(), 0, max(4096, status.f_bavail * status.f_frsize - room))


def _full(verb: str, room: int, again: bool) -> Callable[[Path], str]:
    def attempt(folder: Path) -> str:
        expected = essence(verb, finished(verb)[0])
        with small_disk(folder, 16_384) as disk:
            if again:
                copy_of(verb, disk)
            fill(disk, room)
            output = disk / "out"
            words = VERBS[verb]
            ended = run(words(output, *(("--overwrite",) if again else ())), home() / "printed")
            problem = ended.complaint(0, 1)
            if problem:
                return problem
            if ended.code and not any(word in ended.err for word in ("No space left", "Cannot write")):
                return f"does not say that the disk is full: {ended.err[-200:]}"
            if again and essence(verb, output) != expected:
                return "the old result is gone"
            if hidden(disk):
                return f"left behind: {hidden(disk)}"
            remount(disk, "size=256m")
            begun = verb == "train" and (output / "state" / "state.safetensors").is_file()
            options = ("--resume",) if begun else ("--overwrite",) if result_folder(verb, output).exists() else ()
            second = run(words(output, *options), home() / "printed")
            if second.complaint(0):
                return f"could not go on with room: {second.complaint(0)}"
            return "" if essence(verb, output) == expected else "with room the result is another one"

    return attempt


def _read_only(verb: str) -> Callable[[Path], str]:
    def attempt(folder: Path) -> str:
        with small_disk(folder, 16_384) as disk:
            copy_of(verb, disk)
            remount(disk, "ro")
            ended = run(VERBS[verb](disk / "out", "--overwrite"), home() / "printed")
            return ended.complaint(1, 2)

    return attempt


def _full_beside(verb: str, variable: str) -> Callable[[Path], str]:
    def attempt(folder: Path) -> str:
        with small_disk(folder, 1024) as disk:
            fill(disk, 0)
            harm = Harm(environment={variable: str(disk)})
            ended = run(VERBS[verb](folder / "out"), home() / "printed", harm)
            left = hidden(folder)
            return ended.complaint(0, 1) or (f"left behind: {left}" if left else "")

    return attempt


def _full_output(folder: Path) -> str:
    if not Path("/dev/full").exists():
        raise Skipped("no /dev/full")
    ended = run(["models"], home() / "printed", Harm(stdout="/dev/full"))
    return ended.complaint(1)
