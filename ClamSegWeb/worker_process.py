"""The inference worker behind the page, on asyncio: the same requests and answers as behind the panel."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from typing import Any

from ClamSegWorkflow.process.command_line import extra_environment, library_words, python_program
from ClamSegWorkflow.process.kill import kill_tree
from ClamSegWorkflow.process.worker_requests import OnEvent, WorkerRequests
from ClamSegWorkflow.words import tr as _

_READ_BYTES = 1 << 16


class AsyncWorkerProcess:
    """Runs requests one after the other in one process, which is started when first needed.

    Callbacks are called on the loop. After `kill` none is called any more; a crash tells an error to all who wait.

    Args:
        on_log: is given every line the worker prints.
        after: is called after every batch of events, so that the page can be brought up to date.
    """

    def __init__(self, on_log: Callable[[str], None] | None = None, after: Callable[[], None] | None = None) -> None:
        self._requests = WorkerRequests(on_log)
        self._after = after or (lambda: None)
        self._lines: asyncio.Queue[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._asked: set[asyncio.Future[dict[str, Any]]] = set()

    @property
    def is_running(self) -> bool:
        """Whether a process is there or is being started."""
        return self._task is not None

    @property
    def pid(self) -> int:
        """Process id of the worker itself, 0 until it said so."""
        return self._requests.pid

    @property
    def log(self) -> deque[str]:
        """What the worker printed last."""
        return self._requests.log

    def request(self, command: str, on_event: OnEvent, **values: Any) -> int:
        """Sends a request; its events come later, never before this returns."""
        number, line = self._requests.add(command, on_event, values)
        if self._task is None:
            self._lines = asyncio.Queue()
            self._task = asyncio.get_running_loop().create_task(self._live(self._lines))
        assert self._lines is not None
        self._lines.put_nowait(line)
        return number

    async def ask(self, command: str, **values: Any) -> dict[str, Any]:
        """Sends a request and waits for what ends it: `done` or `error`, which a killed worker is as well."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def answered(event: dict[str, Any]) -> None:
            if event["event"] in ("done", "error") and not answer.done():
                answer.set_result(event)

        self._asked.add(answer)
        try:
            self.request(command, answered, **values)
            return await answer
        finally:
            self._asked.discard(answer)

    def kill(self) -> None:
        """Ends the worker and its children at once; pending requests are forgotten, those of `ask` fail."""
        for answer in self._asked:
            if not answer.done():
                words = _("The worker was stopped before it had answered; try again.")
                answer.set_result({"event": "error", "message": words, "code": 1})
        process, task, pid = self._process, self._task, self._requests.pid
        self._process, self._task, self._lines = None, None, None
        self._requests.forget()
        if process is not None and process.returncode is None:
            if pid and pid != process.pid:  # a launcher stands between (Windows)
                kill_tree(pid, leads_group=True)
            # Not process.kill(): it looks after the dead child, and asyncio, which waits for it, would find none.
            kill_tree(process.pid, leads_group=True)
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()

    async def gone(self) -> None:
        """Comes back when every killed process is gone and its pipes are closed."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _live(self, lines: asyncio.Queue[bytes]) -> None:
        """One process from its start to its end."""
        try:
            process = await asyncio.create_subprocess_exec(
                python_program(),
                *library_words("worker", "--parent", str(os.getpid())),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **extra_environment()},
            )
        except OSError as error:
            words = _("The worker could not be started ({error}); install ClamSeg again.")
            self._end(words.format(error=error.strerror or error))
            return
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        writer = asyncio.create_task(self._write(process.stdin, lines))
        try:
            await asyncio.gather(self._read(process.stdout, self._requests.feed),
                                 self._read(process.stderr, self._requests.feed_log))  # fmt: skip
            code = await process.wait()
        finally:
            writer.cancel()
            if process.returncode is None:
                kill_tree(process.pid, leads_group=False)
            # Its pipes are closed while the loop still runs, also where this task was cancelled.
            await process.wait()
        if self._process is process:
            self._end(self._requests.words_of_end(code, crashed=code < 0))

    def _end(self, message: str) -> None:
        self._process, self._task, self._lines = None, None, None
        self._requests.fail(message)
        self._after()

    async def _write(self, stream: asyncio.StreamWriter, lines: asyncio.Queue[bytes]) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                stream.write(await lines.get())
                await stream.drain()

    async def _read(self, stream: asyncio.StreamReader, feed: Callable[[bytes], None]) -> None:
        while data := await stream.read(_READ_BYTES):
            feed(data)
            self._after()
