"""torch for the worker: loaded in a thread of its own, so that what needs no network is answered meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ClamSegLib.system.device import take_threads
from ClamSegLib.system.installation import InstallationError, torch_problem


class TorchBeside:
    """torch, loaded from `begin` on beside what the calling thread does.

    Args:
        threads: of the processor for torch; 0 leaves them as they are.
        loaded: called in the loading thread when it is through.
    """

    def __init__(self, threads: int, loaded: Callable[[], None]) -> None:
        self._threads, self._loaded = threads, loaded
        self._is_through = threading.Event()
        self._problem = ""
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Starts to load, without waiting for it; where no thread can be started, it is loaded when it is needed."""
        thread = threading.Thread(
            target=self._load, name="torch", daemon=True
        )  # a worker that is told to end does not wait
        try:
            thread.start()
        except RuntimeError:
            self._is_through.set()
        else:
            self._thread = thread

    @property
    def is_through(self) -> bool:
        """Whether it has loaded, or could not."""
        return self._is_through.is_set()

    def wait(self) -> None:
        """Comes back when it has loaded, or could not."""
        self._is_through.wait()

    def problem(self) -> str:
        """Waits until it is through; why networks cannot run then, '' where they can."""
        self.wait()
        # It may have been installed since. Of what is damaged only the first try tells the cause.
        self._problem = (torch_problem() and self._problem) if self._problem else torch_problem()
        return self._problem

    def require(self) -> None:
        """Waits until it is through.

        Raises:
            InstallationError: torch is missing or damaged.
        """
        problem = self.problem()
        if problem:
            raise InstallationError(problem)
        take_threads(self._threads)

    def end(self) -> None:
        """Waits for the thread; not while it may wait for the caller."""
        if self._thread is not None:
            self._thread.join()

    def _load(self) -> None:
        try:
            self._problem = torch_problem()
        finally:  # whatever ends this thread, who waits is told
            self._is_through.set()
            self._loaded()
