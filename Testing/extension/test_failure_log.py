"""What reaches the log of an error that nobody foresaw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ClamSegWorkflow.process.worker_requests import WorkerRequests


def test_the_log_says_kind_and_place_of_an_error_and_no_path_of_its_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def read_missing(_event: dict[str, Any]) -> None:
        try:
            (tmp_path / "Doe^Jane" / "scan.nii").read_bytes()
        except OSError as error:
            raise RuntimeError(f"unreadable: {error}") from error

    heard: list[str] = []
    requests = WorkerRequests()
    requests.add("read", read_missing, {})
    requests.add("read", lambda event: heard.append(event["event"]), {})
    requests.feed(b'{"id": 1, "event": "done"}\n{"id": 2, "event": "done"}\n')
    assert heard == ["done"], "who else waits is answered"
    assert "RuntimeError" in caplog.text
    assert "FileNotFoundError" in caplog.text
    assert "test_failure_log.py:" in caplog.text
    assert "read_missing" in caplog.text
    assert "Doe" not in caplog.text
    assert "scan.nii" not in caplog.text
