"""The worker behind the page, on asyncio: asked, killed, crashed, and started again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asyncio_apart import run_apart

from ClamSegLib.imaging.read_write import write_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.process import is_alive
from ClamSegWeb import worker_process
from ClamSegWeb.worker_process import AsyncWorkerProcess

LIMIT_S = 120


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    array = np.arange(3 * 20 * 24, dtype=np.int16).reshape(3, 20, 24)
    write_volume(array, Volume(array), tmp_path / "scan.nrrd")
    return tmp_path / "scan.nrrd"


class Asker:
    """Asks the worker and waits for its answers."""

    def __init__(self) -> None:
        self.flushed = 0
        self.worker = AsyncWorkerProcess(after=self._after)

    def _after(self) -> None:
        self.flushed += 1

    def ask(self, command: str, **values: Any) -> asyncio.Future[dict[str, Any]]:
        """The last event of a request, when it comes."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def answered(event: dict[str, Any]) -> None:
            if event["event"] in ("done", "error") and not answer.done():
                answer.set_result(event)

        self.worker.request(command, answered, **values)
        return answer


def talk(dialogue: Callable[[Asker], Awaitable[None]]) -> None:
    async def run() -> None:
        asker = Asker()
        try:
            await asyncio.wait_for(dialogue(asker), LIMIT_S)
        finally:
            asker.worker.kill()
            await asyncio.sleep(0)

    run_apart(run())


def test_a_scan_is_read_by_the_worker_and_a_damaged_one_ends_nothing(scan: Path, tmp_path: Path) -> None:
    (tmp_path / "damaged.nrrd").write_bytes(scan.read_bytes()[:150])

    async def dialogue(asker: Asker) -> None:
        damaged = asker.ask("read", input=str(tmp_path / "damaged.nrrd"), output=str(tmp_path / "a"))
        whole = asker.ask("read", input=str(scan), output=str(tmp_path / "b"))
        assert (await damaged)["event"] == "error"
        answer = await whole
        assert answer["event"] == "done"
        assert np.load(tmp_path / "b" / "voxels.npy").shape == (3, 20, 24)
        assert asker.flushed > 0
        assert asker.worker.is_running

    talk(dialogue)


def test_after_a_kill_no_callback_is_called_and_the_next_request_starts_another_worker(
    scan: Path, tmp_path: Path
) -> None:
    async def dialogue(asker: Asker) -> None:
        assert (await asker.ask("read", input=str(scan), output=str(tmp_path / "a")))["event"] == "done"
        first = asker.worker.pid
        forgotten = asker.ask("read", input=str(scan), output=str(tmp_path / "b"))
        asker.worker.kill()
        assert not asker.worker.is_running
        while is_alive(first):
            await asyncio.sleep(0.01)
        assert (await asker.ask("read", input=str(scan), output=str(tmp_path / "c")))["event"] == "done"
        assert asker.worker.pid not in (0, first)
        assert not forgotten.done()

    talk(dialogue)


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_a_crash_is_told_to_all_who_wait_and_ends_nothing_else(scan: Path, tmp_path: Path) -> None:
    async def dialogue(asker: Asker) -> None:
        assert (await asker.ask("read", input=str(scan), output=str(tmp_path / "a")))["event"] == "done"
        os.kill(asker.worker.pid, signal.SIGSTOP)  # so that both requests wait when it is killed
        waiting = [asker.ask("read", input=str(scan), output=str(tmp_path / name)) for name in ("b", "c")]
        os.kill(asker.worker.pid, signal.SIGKILL)
        for answer in await asyncio.gather(*waiting):
            assert answer["event"] == "error"
            assert "was killed, perhaps because memory ran out" in answer["message"]
        assert not asker.worker.is_running
        assert (await asker.ask("read", input=str(scan), output=str(tmp_path / "d")))["event"] == "done"

    talk(dialogue)


def test_an_answer_that_cannot_be_taken_stops_no_other_one(scan: Path, tmp_path: Path) -> None:
    async def dialogue(asker: Asker) -> None:
        def cannot(event: dict[str, Any]) -> None:
            raise EOFError(event["event"])

        asker.worker.request("read", cannot, input=str(scan), output=str(tmp_path / "a"))
        assert (await asker.ask("read", input=str(scan), output=str(tmp_path / "b")))["event"] == "done"

    talk(dialogue)


def test_who_waits_for_a_worker_that_is_stopped_is_told(scan: Path, tmp_path: Path) -> None:
    async def dialogue(asker: Asker) -> None:
        waiting = asyncio.ensure_future(asker.worker.ask("read", input=str(scan), output=str(tmp_path / "a")))
        await asyncio.sleep(0)
        asker.worker.kill()
        answer = await waiting
        assert answer["event"] == "error"
        assert "try again" in answer["message"]

    talk(dialogue)


def test_a_worker_that_cannot_be_started_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "python_program", lambda: str(tmp_path / "no-python"))

    async def dialogue(asker: Asker) -> None:
        answer = await asker.ask("hello")
        assert answer["event"] == "error"
        assert "could not be started" in answer["message"]
        assert not asker.worker.is_running

    talk(dialogue)
