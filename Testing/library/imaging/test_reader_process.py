"""Files are read in a process of its own: what is read is the same, and a reader that dies, hangs or swells costs one file."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ClamSegLib.imaging import reader_process
from ClamSegLib.imaging.read_write import read_volume, write_volume
from ClamSegLib.imaging.reader_process import ScanReader, reading_apart
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import Cancelled, InputError

# A reader that does what outside software has done with damaged files, told by the file's name.
UNRELIABLE = """
import os, sys, time
from ClamSegLib.imaging import reader_child
whole = reader_child.read_volume
def read_volume(path, **options):
    if path.name.startswith("dies"):
        os.abort()
    if path.name.startswith("hangs"):
        time.sleep(600)
    if path.name.startswith("swells"):
        bytearray(1 << 36)
    return whole(path, **options)
reader_child.read_volume = read_volume
sys.exit(reader_child.main(sys.argv[1:]))
"""
PROGRAM = (sys.executable, "-P", "-c", UNRELIABLE)


@pytest.fixture
def reader():
    made = ScanReader(PROGRAM, seconds=4.0)
    yield made
    made.stop()


def scan(path: Path, seed: int = 0) -> Path:
    array = np.random.default_rng(seed).integers(-99, 99, (3, 30, 40)).astype(np.int16)
    write_volume(array, Volume(array, (0.5, 0.6, 2.0), (1.0, 2.0, 3.0)), path)
    return path


def test_a_volume_read_apart_is_the_one_read_here(tmp_path: Path, reader: ScanReader) -> None:
    for name, seed in (("a.nii.gz", 0), ("b.mha", 1)):
        here, apart = read_volume(scan(tmp_path / name, seed)), reader.read(tmp_path / name)
        assert np.array_equal(here.array, apart.array)
        assert apart.array.flags.writeable
        assert here.with_array(apart.array) == apart.with_array(apart.array)


def test_a_reader_that_dies_or_swells_costs_one_file(tmp_path: Path, reader: ScanReader) -> None:
    for word, reason in (("dies", "ended the process"), ("swells", "memory")):
        with pytest.raises(InputError, match=f"{word}.nrrd .*{reason}"):
            reader.read(scan(tmp_path / f"{word}.nrrd"))
        assert reader.read(scan(tmp_path / "whole.nrrd")).array.shape == (3, 30, 40)


def test_a_reader_that_hangs_is_ended_after_its_time(tmp_path: Path, reader: ScanReader) -> None:
    reader.read(scan(tmp_path / "whole.nrrd"))
    started = time.monotonic()
    with pytest.raises(InputError, match=r"hangs\.nrrd could not be read within 4 seconds"):
        reader.read(scan(tmp_path / "hangs.nrrd"))
    assert time.monotonic() - started < 60
    assert reader.read(tmp_path / "whole.nrrd").array.shape == (3, 30, 40)


def test_a_file_has_two_minutes_and_more_by_its_size_or_slices_and_the_reader_four_fifths_of_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "large.nrrd").open("wb") as file:
        file.truncate(30 << 20)
    (tmp_path / "slices").mkdir()
    for number in range(40):
        (tmp_path / "slices" / str(number)).touch()
    said = f"import sys; from pathlib import Path; Path({str(tmp_path / 'limit')!r}).write_text(sys.argv[-1])"
    monkeypatch.setattr(reader_process, "cpu_memory_mb", lambda: (500, 1000))
    ended = ScanReader((sys.executable, "-c", said))
    ended.start()
    assert ended._process.wait(timeout=60) == 0
    ended.stop()
    assert (tmp_path / "limit").read_text() == "800"
    for path, seconds in ((tmp_path / "large.nrrd", 150), (tmp_path / "slices", 160)):
        assert ended._seconds + reader_process._slowness(path) == seconds


def test_a_bad_file_is_refused_in_the_words_of_the_reader(tmp_path: Path, reader: ScanReader) -> None:
    (tmp_path / "bad.nrrd").write_bytes(b"NRRD0004\nthis is none\n")
    with pytest.raises(InputError) as here:
        read_volume(tmp_path / "bad.nrrd")
    with pytest.raises(InputError) as apart:
        reader.read(tmp_path / "bad.nrrd")
    assert str(apart.value) == str(here.value)


def test_a_file_that_is_being_read_can_be_given_up(tmp_path: Path, reader: ScanReader) -> None:
    reader.read(scan(tmp_path / "whole.nrrd"))
    said: list[str] = []

    def read() -> None:
        with pytest.raises(InputError) as refusal:
            reader.read(scan(tmp_path / "hangs.nrrd"))
        said.append(str(refusal.value))

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.3)
    reader.stop()
    thread.join(timeout=30)
    assert said
    assert "ended the process" in said[0]


def test_a_machine_that_starts_no_process_reads_here(tmp_path: Path) -> None:
    lame = ScanReader((sys.executable, "-c", "raise SystemExit(3)"))
    assert lame.read(scan(tmp_path / "a.nrrd")).array.shape == (3, 30, 40)
    assert ScanReader(("/nowhere/python",)).read(tmp_path / "a.nrrd").array.shape == (3, 30, 40)


def test_without_shared_memory_voxels_come_through_a_folder_that_goes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(reader_process.tempfile, "tempdir", str(tmp_path / "private"))
    (tmp_path / "private").mkdir()
    reader = ScanReader()
    assert np.array_equal(reader.read(scan(tmp_path / "a.nii")).array, read_volume(tmp_path / "a.nii").array)
    reader.stop()
    assert list((tmp_path / "private").iterdir()) == []


def test_the_process_ends_with_the_one_that_asked(tmp_path: Path, repository: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from ClamSegLib.imaging.reader_process import _Shared, reading_apart, read_volume\n"
        "with reading_apart(): read_volume(Path(sys.argv[1]))\n"
        "print(_Shared.reader._process.pid, flush=True); import os; os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(scan(tmp_path / "a.nrrd"))],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(repository)},
    )  # fmt: skip
    reader = int(done.stdout)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{reader}/cmdline").is_file() and time.monotonic() < deadline:
        if not Path(f"/proc/{reader}/cmdline").read_bytes():  # ended, and nobody has asked how
            break
        time.sleep(0.1)
    else:
        assert not Path(f"/proc/{reader}/cmdline").is_file()


def test_one_process_reads_for_all_batches_and_ends_with_the_program(tmp_path: Path, repository: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from ClamSegLib.imaging.reader_process import _Shared, reading_apart, read_volume\n"
        "for _ in range(3):\n"
        "    with reading_apart(): read_volume(Path(sys.argv[1])); print(_Shared.reader._process.pid)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(scan(tmp_path / "a.nrrd"))],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(repository)},
    )  # fmt: skip
    (reader,) = set(done.stdout.split())
    with pytest.raises(ProcessLookupError):
        os.kill(int(reader), 0)


def test_outside_of_a_batch_files_are_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(reader_process._Shared.reader, "read", lambda path, series=None: asked.append(path))
    assert reader_process.read_volume(scan(tmp_path / "a.nrrd")).array.shape == (3, 30, 40)
    with reading_apart():
        reader_process.read_volume(tmp_path / "a.nrrd")
    assert asked == [tmp_path / "a.nrrd"]


def test_a_file_that_was_begun_is_read_once_and_given_to_who_asks_for_it(tmp_path, reader):
    path = scan(tmp_path / "a.nrrd")
    reader.begin(path)
    path.chmod(0o600)
    asked = []
    ask = reader._ask
    reader._ask = lambda *how: asked.append(how[0].name) or ask(*how)
    assert np.array_equal(reader.read(path).array, read_volume(path).array)
    assert asked == []
    assert np.array_equal(reader.read(path).array, read_volume(path).array)
    assert asked == ["a.nrrd"]


def test_another_file_than_the_one_begun_is_what_was_asked_for(tmp_path, reader):
    begun, other = scan(tmp_path / "hangs.nrrd"), scan(tmp_path / "b.nrrd", 1)
    reader.begin(begun)
    started = time.monotonic()
    assert np.array_equal(reader.read(other).array, read_volume(other).array)
    assert time.monotonic() - started < 60  # the one begun is given up, not waited for
    assert np.array_equal(reader.read(other).array, read_volume(other).array)


def test_a_file_that_changes_after_it_was_begun_is_read_anew(tmp_path, reader):
    path = scan(tmp_path / "a.nrrd")
    reader.read(path)
    reader.begin(path)
    while not reader._answers.qsize():  # it has read what was there
        time.sleep(0.01)
    scan(path, 1)
    assert np.array_equal(reader.read(path).array, read_volume(path).array)


def test_no_answer_comes_to_another_question(tmp_path, reader):
    first, second = scan(tmp_path / "a.nrrd"), scan(tmp_path / "b.nrrd", 1)
    reader.begin(first)
    reader.begin(second)
    assert np.array_equal(reader.read(second).array, read_volume(second).array)
    reader.begin(first)
    first.unlink()  # it cannot be asked for any more
    with pytest.raises(InputError, match=r"a\.nrrd does not exist"):
        reader.read(first)
    assert np.array_equal(reader.read(second).array, read_volume(second).array)


def test_what_is_wrong_with_a_file_that_was_begun_is_told_to_who_asks_for_it(tmp_path, reader):
    bad, dies = tmp_path / "bad.nrrd", scan(tmp_path / "dies.nrrd")
    bad.write_bytes(b"NRRD0004\ntype: short\n")
    for path, words in ((bad, r"bad\.nrrd"), (dies, "ended the process"), (tmp_path / "none.nrrd", "does not exist")):
        reader.begin(path)
        with pytest.raises(InputError, match=words):
            reader.read(path)


def test_a_file_that_was_begun_and_not_asked_for_is_given_up_at_the_end(tmp_path, monkeypatch):
    reader = ScanReader(PROGRAM)
    monkeypatch.setattr(reader_process._Shared, "reader", reader)
    with reading_apart():
        reader_process.begin_reading(scan(tmp_path / "hangs.nrrd"))
        process = reader._process
    assert process is not None
    assert process.wait(30) != 0


def test_a_process_that_is_stopped_while_it_starts_is_not_started_again(tmp_path):
    starts, told = tmp_path / "starts", []
    program = f"import time; open({str(starts)!r}, 'a').write('x'); time.sleep(600)"
    reader = ScanReader((sys.executable, "-c", program))

    def read() -> None:
        with pytest.raises(Cancelled):
            reader.read(scan(tmp_path / "a.nrrd"))
        told.append("stopped")

    thread = threading.Thread(target=read)
    thread.start()
    try:
        while not starts.is_file():
            time.sleep(0.01)
        reader.stop()
        thread.join(20)
        assert (told, len(starts.read_text())) == (["stopped"], 1)
    finally:
        reader.stop()
