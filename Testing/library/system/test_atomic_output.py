import errno
import os

import pytest

from ClamSegLib.system.atomic_output import whole_file, whole_folder
from ClamSegLib.system.errors import InputError, OutputError


def test_a_folder_appears_when_it_is_complete_and_not_before(tmp_path):
    target = tmp_path / "deep" / "case"
    with whole_folder(target) as part:
        (part / "a.txt").write_text("a")
        assert not target.exists()
    assert (target / "a.txt").read_text() == "a"
    assert [p.name for p in target.parent.iterdir()] == ["case"]


def test_an_error_leaves_what_was_there(tmp_path):
    target = tmp_path / "case"
    target.mkdir()
    (target / "old.txt").write_text("old")

    def fail_halfway() -> None:
        with whole_folder(target, overwrite=True) as part:
            (part / "new.txt").write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert [p.name for p in tmp_path.rglob("*")] == ["case", "old.txt"]


def test_an_existing_output_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "case").mkdir()
    with pytest.raises(InputError, match="--overwrite"), whole_folder(tmp_path / "case"):
        pytest.fail("the block must not run")


def test_a_full_disk_is_named(tmp_path):
    with pytest.raises(OutputError, match="No space left"), whole_file(tmp_path / "x.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "x.nii.gz"
    target.write_text("old")
    with whole_file(target) as part:
        assert part.name.endswith("x.nii.gz"), "writers choose the format by the ending"
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


def test_parts_of_a_process_killed_long_ago_are_removed_and_young_ones_kept(tmp_path):
    old, young = tmp_path / ".case.part-1", tmp_path / ".case.part-2"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (1, 1))
    with whole_folder(tmp_path / "case"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == [".case.part-2", "case"]
