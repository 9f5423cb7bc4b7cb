"""The page's server as a person starts it: a process of its own that prints its address."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

REPOSITORY = Path(__file__).resolve().parents[2]


class PageServer:
    """`python -m ClamSegWeb` on a free port, with folders of its own for models, corrections and temporary files.

    Args:
        folder: for all of these.
        words: more words of the command line.
        ignores_ctrl_c: started as a shell script starts it with `&`.
        variables: more environment variables.

    Attributes:
        address: what it printed, with the key.
        models, corrections, temporary: its folders.
    """

    def __init__(self, folder: Path, *words: str, ignores_ctrl_c: bool = False, **variables: str) -> None:
        self.models, self.corrections = folder / "models", folder / "corrections"
        self.temporary, self._errors = folder / "temporary", folder / "errors.txt"
        self.temporary.mkdir(parents=True)
        environment = {
            **os.environ, "CLAMSEG_MODELS": str(self.models), "CLAMSEG_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(self.temporary), "HOME": str(folder), **variables,
        }  # fmt: skip
        command = [sys.executable, "-m", "ClamSegWeb", "--no-browser", f"--corrections={self.corrections}", *words]
        # What is ignored when a process starts is ignored by its children.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if ignores_ctrl_c else signal.getsignal(signal.SIGINT)
        try:
            with self._errors.open("wb") as errors:
                self.process = subprocess.Popen(
                    command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
                )
        finally:
            signal.signal(signal.SIGINT, before)
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if found := re.search(r"http://\S+", line):
                self.address = found[0]
                return
        raise AssertionError("".join(said) + self.errors())

    @property
    def key(self) -> str:
        """The key in the address."""
        return parse_qs(urlsplit(self.address).query)["secret"][0]

    @property
    def host(self) -> str:
        """Name and port."""
        return urlsplit(self.address).netloc

    def errors(self) -> str:
        """What it wrote to its error stream."""
        return self._errors.read_text(encoding="utf-8", errors="replace")

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Ends it; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def worker_pid(self) -> int:
        """The inference worker below it, 0 where there is none."""
        own = self.process.pid
        return next((pid for pid, parent, words in processes() if parent == own and " worker" in words), 0)


def processes() -> list[tuple[int, int, str]]:
    """Process id, parent's id and words of all that runs here; a bare Debian has no `ps`."""
    if not Path("/proc/self/stat").is_file():
        told = subprocess.run(["ps", "axww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
        parts = (line.split(None, 2) for line in told.stdout.splitlines())
        return [(int(pid), int(parent), "".join(words)) for pid, parent, *words in parts]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            words = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            found.append((int(folder.name), int(parent), words))
    return found
