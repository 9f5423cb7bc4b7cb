"""What is written beside results is written whole or not at all too: on a full disk the one before stays."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from ClamSegLib.archive.case_table import write_tables
from ClamSegLib.datasets.corrections import ReviewedCase, save_corrections
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.model.licence import accept_licence
from ClamSegLib.system.errors import OutputError
from ClamSegLib.system.outcome import FAILED, Outcome


def corrections(folder: Path, time: int) -> None:
    volume = Volume(np.zeros((3, 20, 24), np.int16), (0.8, 0.8, 3.0))
    save_corrections(folder, ReviewedCase(volume, {}, slice_labels={time: "normal"}))


def tables(folder: Path, time: int) -> None:
    write_tables(folder, [Outcome(f"case {time}", FAILED, "no room")], folder.joinpath)


def settings(_folder: Path, time: int) -> None:
    accept_licence(f"CC-BY-NC-{time}.0")


@pytest.mark.parametrize("write", [corrections, tables, settings])
def test_on_a_disk_that_is_full_when_it_is_flushed_the_one_before_stays(tmp_path, monkeypatch, write):
    monkeypatch.setenv("CLAMSEG_SETTINGS", str(tmp_path / "here"))
    write(tmp_path / "here", 1)

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    before = files()
    assert before

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="No space left"):
            write(tmp_path / "here", 2)
    assert files() == before
    write(tmp_path / "here", 2)
    assert files() != before
