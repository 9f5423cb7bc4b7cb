"""What run.py asks of the machine: commands, and packages of the system."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent


def say(line: str) -> None:
    """Tells the user what happens now."""
    print(f"[clamseg] {line}", flush=True)


def call(command: list[str], **more: object) -> int:
    """Runs a command in the checkout and returns its exit code."""
    return subprocess.run(command, cwd=HOME, check=False, **more).returncode  # type: ignore[call-overload]


def get_system_packages(packages: tuple[str, ...], need: str) -> str:
    """Installs packages of Debian or Ubuntu as root; for anyone else names the one line that does it.

    Args:
        packages: their names.
        need: what they are for, the beginning of a sentence.

    Returns:
        '' where they were installed, else a sentence on what to do.
    """
    line = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        return f"{need}, on Debian named {' '.join(packages)}; install them with your package manager and run again."
    if os.geteuid() != 0:
        return f"{need}; run 'sudo {line}' and then this command again."
    say(f"{need}, running: {line}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if call(line.split(), env=environment) and (call(["apt-get", "update"]) or call(line.split(), env=environment)):
        return f"'{line}' failed; install these packages by hand and run again."
    return ""
