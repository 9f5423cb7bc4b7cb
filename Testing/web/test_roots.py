"""What the page may open: what lies below the chosen folders, and nothing that only seems to."""

from __future__ import annotations

from pathlib import Path

import pytest

from ClamSegLib.system.errors import InputError
from ClamSegWeb.roots import Roots


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A chosen folder beside one that was not chosen."""
    for name in ("chosen/inner", "chosen-not", "other"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("chosen/a.nii.gz", "chosen/inner/b.nrrd", "chosen-not/c.nii", "other/d.nii"):
        (tmp_path / name).touch()
    (tmp_path / "chosen" / "link.nii").symlink_to(tmp_path / "other" / "d.nii")
    (tmp_path / "chosen" / "folder-link").symlink_to(tmp_path / "other")
    (tmp_path / "chosen" / "inside.nii").symlink_to(tmp_path / "chosen" / "a.nii.gz")
    return tmp_path


@pytest.mark.parametrize("name", ["chosen", "chosen/a.nii.gz", "chosen/inner/../a.nii.gz", "chosen/inside.nii"])
def test_what_lies_below_a_chosen_folder_is_admitted_with_links_followed(home: Path, name: str) -> None:
    admitted = Roots([home / "chosen"]).admit(home / name)
    assert admitted == (home / name).resolve()


@pytest.mark.parametrize(
    "name",
    ["chosen-not/c.nii", "other/d.nii", "chosen/../other/d.nii", "chosen/link.nii", "chosen/folder-link/d.nii", "chosen/.."],
)  # fmt: skip
def test_what_lies_outside_is_refused_however_it_is_named(home: Path, name: str) -> None:
    with pytest.raises(InputError, match="outside the folders"):
        Roots([home / "chosen"]).admit(home / name)


@pytest.mark.parametrize("name", ["a.nii.gz", "", "~/a.nii", "../other/d.nii", "/x\0y"])
def test_half_a_path_is_refused(home: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "chosen")
    with pytest.raises(InputError, match="whole paths"):
        Roots([home / "chosen"]).admit(name)


def test_a_file_that_is_gone_is_told(home: Path) -> None:
    with pytest.raises(InputError, match="no longer exists"):
        Roots([home / "chosen"]).admit(home / "chosen" / "gone.nii")


def test_without_a_chosen_folder_nothing_is_admitted_or_listed(home: Path) -> None:
    with pytest.raises(InputError):
        Roots([]).admit(home / "other" / "d.nii")
    assert Roots([]).entries(None) == []


def test_a_list_names_folders_first_and_only_what_can_be_opened(home: Path) -> None:
    (home / "chosen" / "notes.txt").touch()
    (home / "chosen" / ".hidden.nii").touch()
    roots = Roots([home / "chosen", home / "other", home / "chosen"])
    assert [entry.name for entry in roots.entries(None)] == ["chosen", "other"]
    names = [entry.name for entry in roots.entries(home / "chosen")]
    assert names == ["folder-link", "inner", "a.nii.gz", "inside.nii", "link.nii"]
    with pytest.raises(InputError):
        roots.entries(home / "chosen-not")


def test_the_way_up_ends_at_the_chosen_folder(home: Path) -> None:
    roots = Roots([home / "chosen"])
    assert roots.parent(home / "chosen" / "inner") == home / "chosen"
    assert roots.parent(home / "chosen") is None
