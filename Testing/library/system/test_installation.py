"""What Setup tells of this computer."""

from pathlib import Path

import pytest

from ClamSegLib.system import installation, memory


def test_free_memory_counts_what_linux_would_give_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal:       24641536 kB\nMemFree:         2831155 kB\nMemAvailable:   17825792 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", told)
    free, total = memory.cpu_memory_mb()
    assert free == 17408
    assert total is not None


def test_where_the_system_tells_no_available_memory_its_free_memory_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    free, total = memory.cpu_memory_mb()
    assert free is not None
    assert 0 < free <= total


def test_what_cannot_be_drawn_is_said_only_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    assert installation.drawing_problem() == ""
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: None)
    assert "Matplotlib is not installed" in installation.drawing_problem()
