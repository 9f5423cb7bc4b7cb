"""The folder of a training: what may be replaced, and a disk that is full."""

import errno
import json
from pathlib import Path

import pytest

from ClamSegLib.system.errors import InputError, OutputError
from ClamSegLib.system.process import TRAINING_LOCK
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.run_folder import EVENTS, TrainingFolder, refuse_output


def model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"weights_sha256": "", "network": {}}')
    return folder


def refused(output: Path, *, resume: bool = False, overwrite: bool = False) -> str:
    """The words of the refusal, '' where there is none."""
    try:
        refuse_output(output, resume=resume, overwrite=overwrite)
    except InputError as error:
        return str(error)
    return ""


def test_a_model_is_replaced_only_when_that_is_said(tmp_path):
    folder = model(tmp_path / "model")
    assert "--overwrite" in refused(folder)
    assert not refused(folder, overwrite=True)
    (tmp_path / "link").symlink_to("model")
    assert "link" in refused(tmp_path / "link", overwrite=True)


def test_an_interrupted_training_is_thrown_away_only_when_that_is_said(tmp_path):
    (tmp_path / "state").mkdir()
    assert not refused(tmp_path), "nothing was learned yet"
    (tmp_path / "state" / "state.safetensors").touch()
    assert "--resume" in refused(tmp_path)
    assert not refused(tmp_path, resume=True)
    assert not refused(tmp_path, overwrite=True)


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "run.json", "weights.safetensors"])
def test_files_of_somebody_else_with_names_of_ours_are_never_written_over(tmp_path, name):
    (tmp_path / name).write_text("{}")
    for overwrite in (False, True):
        assert name in refused(tmp_path, overwrite=overwrite)


def test_a_folder_with_other_things_in_it_may_get_a_model_too(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert not refused(tmp_path)
    (tmp_path / "file").write_text("a file")
    assert "no folder" in refused(tmp_path / "file")


def test_a_damaged_model_of_a_training_may_be_trained_again(tmp_path):
    (tmp_path / "config.json").write_text("{dama")
    (tmp_path / EVENTS).touch()
    assert not refused(tmp_path, overwrite=True)


def test_a_disk_that_is_full_while_events_are_told_ends_in_words_and_takes_the_lock_away(tmp_path, monkeypatch):
    write = Path.open

    def full(self, mode="r", *rest, **named):
        if self.name == EVENTS and mode == "a":
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, mode, *rest, **named)

    def train() -> None:
        with TrainingFolder(tmp_path / "out", resume=False) as folder:
            monkeypatch.setattr(Path, "open", full)
            folder.reporter(Reporter()).note("a step")

    with pytest.raises(OutputError, match=r"No space left while writing .*events.jsonl"):
        train()
    assert not (tmp_path / "out" / TRAINING_LOCK).exists()


def test_a_folder_that_cannot_be_entered_keeps_no_lock(tmp_path):
    (tmp_path / EVENTS).mkdir()
    with pytest.raises(OutputError), TrainingFolder(tmp_path, resume=False):
        pytest.fail("the block must not run")
    assert not (tmp_path / TRAINING_LOCK).exists()


def test_a_line_of_events_that_a_full_disk_cut_does_not_swallow_the_next(tmp_path):
    (tmp_path / EVENTS).write_text('{"event": "note"}\n{"event": "prog')
    with TrainingFolder(tmp_path, resume=True) as folder:
        folder.reporter(Reporter()).note("on")
    lines = (tmp_path / EVENTS).read_text().splitlines()
    assert json.loads(lines[-1])["message"] == "on"


def test_what_an_old_training_told_is_kept_by_one_that_goes_on_and_not_by_a_new_one(tmp_path):
    for resume, count in ((False, 1), (True, 2), (False, 1)):
        with TrainingFolder(tmp_path, resume=resume) as folder:
            folder.reporter(Reporter()).note("told")
        assert (tmp_path / EVENTS).read_text().count("told") == count
