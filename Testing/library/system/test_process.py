"""Locks of trainings: taken once, given back, and odd ones told from those of the living."""

import json
import os
import socket

import pytest

from ClamSegLib.system import process
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.process import TRAINING_LOCK, is_alive, process_start, running_training, take_training_lock

HERE = socket.gethostname()
OWN = {"pid": os.getpid(), "host": HERE, "process_start": process_start(os.getpid())}


@pytest.mark.parametrize(
    "lock",
    [
        {"pid": 10**30, "host": HERE},
        {"pid": 0, "host": HERE},
        {"pid": -1, "host": HERE},
        {"pid": float("inf"), "host": HERE},
        {"pid": "many", "host": HERE},
        {"pid": os.getpid()},
        {"pid": os.getpid(), "host": 7},
        {"pid": os.getpid(), "host": HERE, "process_start": "before"},
        {"pid": 2**22 - 1, "host": HERE, "process_start": ""},
        [],
        {},
    ],
)
def test_a_lock_that_names_no_living_process_counts_as_none_and_is_taken_over(tmp_path, lock):
    (tmp_path / TRAINING_LOCK).write_text(json.dumps(lock))
    assert running_training(tmp_path) is None
    take_training_lock(tmp_path)
    assert running_training(tmp_path)["pid"] == os.getpid()
    assert [path.name for path in tmp_path.iterdir()] == [TRAINING_LOCK]


def test_the_lock_of_a_living_process_is_respected_and_stays(tmp_path):
    (tmp_path / TRAINING_LOCK).write_text(json.dumps(OWN))
    with pytest.raises(InputError, match=f"process {os.getpid()} on {HERE}"):
        take_training_lock(tmp_path)
    assert json.loads((tmp_path / TRAINING_LOCK).read_text()) == OWN
    assert [path.name for path in tmp_path.iterdir()] == [TRAINING_LOCK]


def test_a_lock_of_another_machine_is_respected_and_the_words_say_how_to_get_rid_of_it(tmp_path):
    (tmp_path / TRAINING_LOCK).write_text(json.dumps({"pid": 1, "host": "elsewhere"}))
    with pytest.raises(InputError, match=r"if none runs there any more, remove run.lock"):
        take_training_lock(tmp_path)


def test_a_folder_called_as_the_lock_is_named(tmp_path):
    (tmp_path / TRAINING_LOCK).mkdir()
    with pytest.raises(InputError, match=r"run.lock is a folder .*remove it"):
        take_training_lock(tmp_path)


def test_of_two_that_ask_at_once_the_second_is_refused(tmp_path, monkeypatch):
    def other_was_quicker(folder):
        (folder / TRAINING_LOCK).write_text(json.dumps(OWN))
        monkeypatch.undo()

    monkeypatch.setattr(process, "_refuse_running", other_was_quicker)
    with pytest.raises(InputError, match="already runs"):
        take_training_lock(tmp_path)


def test_a_disk_without_links_has_locks_too(tmp_path, monkeypatch):
    def no_links(source, target):
        raise PermissionError("no links")

    monkeypatch.setattr(os, "link", no_links)
    take_training_lock(tmp_path)
    with pytest.raises(InputError, match="already runs"):
        take_training_lock(tmp_path)


@pytest.mark.parametrize("number", [0, -1, 2**31, 10**30])
def test_no_process_has_such_a_number(number):
    assert not is_alive(number)


def test_what_a_process_left_that_was_killed_while_it_asked_goes_and_what_a_living_one_writes_stays(tmp_path):
    dead, living, begun = (tmp_path / f".{TRAINING_LOCK}-{number:08d}" for number in range(3))
    dead.write_text(json.dumps(OWN | {"process_start": "before"}))
    living.write_text(json.dumps(OWN))
    begun.touch()
    take_training_lock(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([living.name, begun.name, TRAINING_LOCK])
