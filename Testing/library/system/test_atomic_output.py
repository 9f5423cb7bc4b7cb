import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ClamSegLib.system import atomic_output, disk
from ClamSegLib.system.atomic_output import put_back, refuse_existing, whole_file, whole_folder
from ClamSegLib.system.errors import InputError, OutputError
from ClamSegLib.system.folder_kind import CACHED, FolderKind

KIND = FolderKind("a case", "report.json", ("clamseg",), ("report.json", "*.seg.nrrd"))


def case(folder: Path, word: str = "old") -> Path:
    """A folder as ClamSeg writes it, with a file of the user's."""
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(f'{{"clamseg": "{word}"}}')
    (folder / "of-the-old-run.seg.nrrd").write_text("old")
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").write_text("mine")
    return folder


def write_case(target: Path, word: str = "new", overwrite: bool = True) -> None:
    with whole_folder(target, KIND, overwrite) as part:
        (part / "report.json").write_text(f'{{"clamseg": "{word}"}}')


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def word_of(folder: Path) -> str:
    return (folder / "report.json").read_text().split('"')[3]


def test_a_folder_appears_when_it_is_complete_and_not_before(tmp_path):
    target = tmp_path / "deep" / "case"
    with whole_folder(target, KIND) as part:
        (part / "a.txt").write_text("a")
        assert not target.exists()
    assert (target / "a.txt").read_text() == "a"
    assert [p.name for p in target.parent.iterdir()] == ["case"]


def test_an_error_leaves_what_was_there(tmp_path):
    target = case(tmp_path / "case")
    before = tree(tmp_path)

    def fail_halfway() -> None:
        with whole_folder(target, KIND, overwrite=True) as part:
            (part / "new.txt").write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert tree(tmp_path) == before


def test_an_existing_output_is_refused_before_anything_is_written(tmp_path):
    case(tmp_path / "case")
    with pytest.raises(InputError, match="--overwrite"), whole_folder(tmp_path / "case", KIND):
        pytest.fail("the block must not run")


def test_overwriting_replaces_what_clamseg_wrote_and_keeps_what_others_put_beside_it(tmp_path):
    target = case(tmp_path / "case")
    write_case(target)
    assert word_of(target) == "new"
    assert tree(tmp_path) == ["case", "case/notes", "case/notes/mine.txt", "case/report.json"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text("a letter"), "no folder"),
        (os.mkfifo, "no folder"),
        (lambda path: path.symlink_to(case(path.with_name("elsewhere")), target_is_directory=True), "link"),
        (lambda path: path.symlink_to("nowhere"), "link"),
        (lambda path: (path.mkdir(), (path / "thesis.doc").write_text("years")), "not a case of ClamSeg"),
        (lambda path: (path.mkdir(), (path / "report.json").write_text('{"theirs": 1}')), "not a case of ClamSeg"),
        (lambda path: (path.mkdir(), (path / "report.json").write_text("[" * 100_000)), "not a case of ClamSeg"),
    ],
    ids=["file", "pipe", "link", "dangling link", "folder", "report of another program", "report that is none"],
)
def test_overwriting_never_replaces_what_clamseg_did_not_write(tmp_path, make, words):
    make(tmp_path / "theirs")
    before, mode = tree(tmp_path), (tmp_path / "theirs").lstat()
    for overwrite in (False, True):
        with pytest.raises(InputError, match=words):
            write_case(tmp_path / "theirs", overwrite=overwrite)
    assert tree(tmp_path) == before
    assert stat.S_IFMT((tmp_path / "theirs").lstat().st_mode) == stat.S_IFMT(mode.st_mode)


def test_an_empty_folder_that_a_user_made_is_taken_with_overwrite(tmp_path):
    (tmp_path / "case").mkdir()
    write_case(tmp_path / "case")
    assert word_of(tmp_path / "case") == "new"


def test_a_damaged_folder_of_the_cache_is_replaced(tmp_path):
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "files.json").write_text("dama")
    with whole_folder(tmp_path / "engine", CACHED, overwrite=True) as part:
        (part / "new").touch()
    assert tree(tmp_path) == ["engine", "engine/new"]


@pytest.mark.parametrize("failing", ["first", "second"])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_swap_that_fails_halfway_puts_the_old_one_back(tmp_path, monkeypatch, failing, error):
    target = case(tmp_path / "case")
    before, rename, calls = tree(tmp_path), Path.rename, []

    def fails_once(self: Path, to: Path) -> Path:
        calls.append(to)
        if len(calls) == ["first", "second"].index(failing) + 1:
            raise error
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fails_once)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        write_case(target)
    assert tree(tmp_path) == before
    assert word_of(target) == "old"


def test_what_a_kill_between_the_two_renames_left_is_put_back_at_the_next_start(tmp_path):
    case(tmp_path / ".clamseg-old-12345678" / "case")
    case(tmp_path / ".clamseg-part-12345678" / "case", "half")
    with pytest.raises(InputError, match="exists already"):
        refuse_existing(tmp_path / "case", False, KIND)
    assert word_of(tmp_path / "case") == "old"
    assert (tmp_path / "case" / "notes" / "mine.txt").is_file()
    assert not (tmp_path / ".clamseg-old-12345678").exists()


def test_what_was_replaced_already_when_the_kill_came_goes(tmp_path):
    case(tmp_path / ".clamseg-old-12345678" / "case")
    case(tmp_path / "case", "new")
    put_back(tmp_path)
    assert word_of(tmp_path / "case") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["case"]


def test_an_old_folder_as_earlier_versions_hid_it_is_put_back(tmp_path):
    case(tmp_path / ".case.old-0123abcd")
    put_back(tmp_path)
    assert word_of(tmp_path / "case") == "old"


def test_of_two_that_write_the_same_folder_the_last_is_there_whole(tmp_path):
    target = case(tmp_path / "case")
    with whole_folder(target, KIND, overwrite=True) as part:
        (part / "report.json").write_text('{"clamseg": "slow"}')
        write_case(target, "quick")
    assert word_of(target) == "slow"
    assert [path.name for path in tmp_path.iterdir()] == ["case"]


def test_without_overwrite_a_result_that_another_process_made_meanwhile_stays(tmp_path):
    def slow() -> None:
        with whole_folder(tmp_path / "case", KIND):
            write_case(tmp_path / "case", "first", overwrite=False)

    with pytest.raises(InputError, match="exists already"):
        slow()
    assert word_of(tmp_path / "case") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["case"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left while writing .*free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "The disk failed"),
        (errno.EACCES, "you may write to"),
    ],
)
def test_what_a_disk_refuses_is_named_with_what_to_do_and_nothing_is_left(tmp_path, number, words):
    with pytest.raises(OutputError, match=words), whole_file(tmp_path / "x.txt"):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_numpy_says_was_cut_short_is_told_as_a_full_disk(tmp_path):
    with pytest.raises(OutputError, match=r"No space left while writing .*x\.npy"), whole_file(tmp_path / "x.npy"):
        raise OSError("8800 requested and 1984 written")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_only_when_it_is_flushed_leaves_the_old_one(tmp_path, monkeypatch):
    target = case(tmp_path / "case")
    before = tree(tmp_path)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_case(target)
    assert tree(tmp_path) == before


def test_every_file_and_folder_is_flushed_before_it_is_in_place(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda opened: flushed.append(str(Path(f"/proc/self/fd/{opened}").readlink())))
    with whole_folder(tmp_path / "case", KIND) as part:
        (part / "maps").mkdir()
        (part / "maps" / "a").touch()
    assert sorted(Path(path).name for path in flushed[:-1]) == ["a", "case", "maps"]
    assert flushed[-1] == str(tmp_path)
    assert not any(Path(path) == tmp_path / "case" for path in flushed[:-1]), "flushed before the swap, not after it"


def test_where_no_thread_can_be_started_all_is_flushed_all_the_same(tmp_path, monkeypatch):
    flushed = []

    def refuse(_thread: object) -> None:
        raise RuntimeError("can't start new thread")

    disk._flushers.cache_clear()
    monkeypatch.setattr("threading.Thread.start", refuse)
    monkeypatch.setattr(os, "fsync", lambda opened: flushed.append(Path(f"/proc/self/fd/{opened}").readlink().name))
    with whole_folder(tmp_path / "case", KIND) as part:
        (part / "a").touch()
    assert set(flushed) == {"a", "case", tmp_path.name}


@pytest.mark.parametrize("name", ["x" * 300, "nul\0byte"])
def test_a_name_that_the_disk_does_not_take_is_refused_before_work_begins(tmp_path, name):
    with pytest.raises(InputError, match="cannot be used as an output"):
        refuse_existing(tmp_path / name, False, KIND)


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "x.nii.gz"
    target.write_text("old")
    with whole_file(target) as part:
        assert part.name == "x.nii.gz", "writers choose the format by the ending"
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x.nii.gz"]


@pytest.mark.parametrize(
    "make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/null")], ids=["folder", "pipe", "link"]
)
def test_a_file_takes_the_place_of_a_file_only(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(InputError, match="no plain file"), whole_file(tmp_path / "x"):
        pytest.fail("the block must not run")


def test_parts_of_a_process_killed_long_ago_are_removed_and_young_ones_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_output, "_cleaned", set())
    names = [".clamseg-part-00000001", ".clamseg-part-00000002", ".case.part-01234567", ".part-01234567-x.txt"]
    for name in names:
        (tmp_path / name).mkdir()
    for name in names[:1] + names[2:]:
        os.utime(tmp_path / name, (1, 1))
    with whole_folder(tmp_path / "case", KIND):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == [".clamseg-part-00000002", "case"]


NO_MEMORY = """
import os, resource, sys
from pathlib import Path
from ClamSegLib.system.atomic_output import whole_file

used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 40 * 2**20,) * 2)
held = [None] * 2_000_000
taken = 0
try:
    with whole_file(Path(sys.argv[1]) / "table.csv") as part:
        part.write_bytes(b"half")
        size = 1 << 20
        while size:
            try:
                while True:
                    held[taken] = bytes(size)
                    taken += 1
            except MemoryError:
                size //= 2
        raise MemoryError
except MemoryError:
    del held
print(sorted(os.listdir(sys.argv[1])))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process have little memory")
def test_a_process_without_any_memory_left_tidies_up_all_the_same(tmp_path, repository):
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    words = [sys.executable, "-c", NO_MEMORY, str(tmp_path)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
