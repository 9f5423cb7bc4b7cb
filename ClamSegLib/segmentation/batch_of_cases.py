"""Many cases without waiting: the next one is read while the network works on this one and the last one is written; the
first one, and its organ looked for, while torch and the model are loaded.

At most three cases are in memory, one at each step; where three of the present size would not fit, one is. Results do
not depend on the overlap: what computes with torch's threads stays in the calling thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ClamSegLib.imaging.reader_process import read_volume, reading_apart
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.segmentation.case_work import CaseWork
from ClamSegLib.segmentation.drawing_process import begin_drawing, drawing_apart
from ClamSegLib.segmentation.inspection import Inspection, inspect, organ_needs_network
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.report import CASE, write_case
from ClamSegLib.segmentation.segment_volume import CaseResult, segment_volume
from ClamSegLib.system.atomic_output import refuse_existing
from ClamSegLib.system.errors import Cancelled, ClamSegError, InputError
from ClamSegLib.system.installation import drawing_problem
from ClamSegLib.system.memory import cpu_memory_mb
from ClamSegLib.system.progress import Reporter

if TYPE_CHECKING:
    from ClamSegLib.model.checkpoint import LoadedModel
    from ClamSegLib.model.described_model import DescribedModel

# The volume, its maps, labels and components, and their temporary copies.
_BYTES_PER_VOXEL = 40


@dataclass(frozen=True)
class PipelineOptions:
    """What holds for all cases; see the command line."""

    segment: SegmentOptions
    series: str | None = None
    dicom_seg: bool = False
    dicom_sr: bool = False
    overwrite: bool = False


@dataclass
class Shares:
    """Where the time of a batch went: seconds of the network, and of everything from start to end."""

    network_s: float = 0.0
    wall_s: float = 0.0


@dataclass(frozen=True)
class _Read:
    volume: Volume
    inspection: Inspection | None
    seconds: float
    options: SegmentOptions


class CasePipeline:
    """Segments cases one after the other with reading and writing beside the network.

    Args:
        model: of all cases, as its folder tells of it or loaded.
        load: gives it loaded; called once, in the calling thread, while the first case is read.
        options: of all cases.
        finished: called in the calling thread with the case and its result when it stands on disk.
        failed: called likewise with the case and what stopped it.
    """

    def __init__(
        self,
        model: LoadedModel | DescribedModel,
        load: Callable[[], LoadedModel],
        options: PipelineOptions,
        finished: Callable[[CaseWork, CaseResult], None],
        failed: Callable[[CaseWork, ClamSegError], None],
        reporter: Reporter,
    ) -> None:
        self.model, self.load, self.options, self.reporter = model, load, options, reporter
        self.finished, self.failed = finished, failed
        self.shares = Shares()
        self._writing: tuple[CaseWork, CaseResult, Future[Path]] | None = None
        self._ended = threading.Event()  # early: who reads ahead goes no further

    def run(self, cases: Sequence[CaseWork]) -> Shares:
        """Does all cases; a bad one stops no other.

        Raises:
            ClamSegError: the model could not be loaded.
        """
        started = time.perf_counter()
        if drawing_problem():
            self.reporter.note(drawing_problem())
        # A file that ends or stops its reader costs one case, and is told.
        with _background() as reader, _background() as writer, reading_apart(), drawing_apart(), self._told_to_reader():
            ahead: Future[_Read] | None = reader.submit(self._read, cases[0]) if cases else None
            model = self.load()
            for number, case in enumerate(cases):
                if len(cases) > 1:
                    self.reporter.note(f"case {number + 1} of {len(cases)}: {case.path.name}")
                pending, ahead = ahead, None
                try:
                    read = self._read(case) if pending is None else pending.result()
                    overlaps = number + 1 < len(cases) and _room_for_three(read.volume)
                    if overlaps:
                        ahead = reader.submit(self._read, cases[number + 1])
                    result = self._segment(read, model)
                    del read
                    self._finish_writing()
                    if overlaps:
                        self._writing = (case, result, writer.submit(self._write, result, case))
                    else:
                        self._end(case, result, partial(self._write, result, case))
                except ClamSegError as error:
                    self._finish_writing()
                    self.failed(case, error)
            self._finish_writing()
        self.shares.wall_s = time.perf_counter() - started
        return self.shares

    def _read(self, case: CaseWork) -> _Read:
        """Volume and, where it needs no network, the organ; the warnings wait in the inspection."""
        started = time.perf_counter()
        refuse_existing(case.folder, self.options.overwrite or case.overwrite, CASE)
        if case.prepare is not None:
            case.prepare()
        self._require_running()
        volume = read_volume(case.path, series=self.options.series)
        self._require_running()
        begin_drawing()  # not before: while the scan is read and torch loaded, two processors are busy
        seconds = time.perf_counter() - started
        if self.options.dicom_seg and not volume.slice_files:
            raise InputError(f"--dicom-seg needs a DICOM series, but {case.path.name} is none; leave the option out.")
        if self.options.dicom_sr and not volume.slice_files:
            raise InputError(f"--dicom-sr needs a DICOM series, but {case.path.name} is none; leave the option out.")
        segment = self.options.segment
        segment = replace(segment, organ=case.organ) if case.organ else segment
        by_network = organ_needs_network(self.model.config, segment)
        inspection = None if by_network else inspect(volume, self.model, segment)
        return _Read(volume, inspection, seconds, segment)

    @contextmanager
    def _told_to_reader(self) -> Iterator[None]:
        """Where the block ends early, the thread that reads is told before its process is stopped, so that it starts no other."""
        try:
            yield
        except BaseException:
            self._ended.set()
            raise

    def _require_running(self) -> None:
        if self._ended.is_set():
            raise Cancelled("The run has ended.")

    def _segment(self, read: _Read, model: LoadedModel) -> CaseResult:
        for message in read.inspection.warnings if read.inspection else ():
            self.reporter.warning(message)
        result = segment_volume(read.volume, model, read.options, self.reporter, read.inspection)
        result.seconds["read"] = read.seconds
        self.shares.network_s += result.seconds["network"]
        return result

    def _write(self, result: CaseResult, case: CaseWork) -> Path:
        return write_case(
            result,
            case.folder,
            dicom_seg=self.options.dicom_seg,
            dicom_sr=self.options.dicom_sr,
            overwrite=self.options.overwrite or case.overwrite,
            finish=case.finish,
        )

    def _finish_writing(self) -> None:
        """Waits for the case being written and tells of it."""
        if self._writing is None:
            return
        case, result, future = self._writing
        self._writing = None
        self._end(case, result, future.result)

    def _end(self, case: CaseWork, result: CaseResult, written: Callable[[], Path]) -> None:
        try:
            written()
        except ClamSegError as error:
            self.failed(case, error)
            return
        self.finished(case, result)


@contextmanager
def _background() -> Iterator[ThreadPoolExecutor]:
    """One thread; when the block ends early, what has not begun is dropped and what runs comes to its end."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _room_for_three(volume: Volume) -> bool:
    """Whether three cases of this size fit into half of the machine's memory."""
    _, total_mb = cpu_memory_mb()
    return 3 * volume.array.size * _BYTES_PER_VOXEL < (total_mb or 8192) * 2**20 / 2
