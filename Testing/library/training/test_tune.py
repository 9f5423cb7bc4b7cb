import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from labelled_phantoms import write_phantoms

from ClamSegLib.cli import main
from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.progress import Reporter
from ClamSegLib.training.setup import TrainingSetup, new_model_config, prepare_training

pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def setup(tmp_path_factory) -> TrainingSetup:
    root = tmp_path_factory.mktemp("tune")
    folder = read_labelled_folder(write_phantoms(root / "data"))
    config = new_model_config(folder, "x", "MR", {"organ": {"method": "whole"}, "image_size": 32}, "lesion", (4, 8, 8))
    training = TrainingConfig(steps=80, batch_pairs=4, validate_every=20)
    return prepare_training(folder, config, training, Reporter())


class Counting(Reporter):
    def __init__(self) -> None:
        self.trials = 0

    def progress(self, done: int, total: int, stage: str) -> None:
        self.trials += stage == "tuning eta"


def test_tuning_tries_eta_without_masks_and_goes_on_where_it_was_stopped(setup, tmp_path):
    from ClamSegLib.training.tune_eta import tune_eta

    cpu = torch.device("cpu")
    first = Counting()
    tune_eta(setup, tmp_path, cpu, first, trials=2)
    assert first.trials == 2
    second = Counting()
    eta = tune_eta(setup, tmp_path, cpu, second, trials=3)
    assert second.trials == 1, "finished trials are not run again"
    assert 0.1 <= eta <= 1.0
    assert tune_eta(setup, tmp_path, cpu, Counting(), trials=3) == eta


def test_the_tuned_eta_is_the_one_the_training_used(tmp_path, monkeypatch):
    from ClamSegLib.training import tune_eta as tune

    monkeypatch.setattr(tune.tune_eta, "__defaults__", (2,))
    data = write_phantoms(tmp_path / "data")
    small = ["--features", "4,8,8", "--image-size", "32", "--batch-pairs", "4", "--organ", "whole"]
    words = ["train", str(data), "--output", str(tmp_path / "model"), "--eta", "tune", "--steps", "4", *small]
    assert main([*words, "--progress", "none"]) == 0
    used = json.loads((tmp_path / "model" / "run.json").read_text())["training"]["eta"]
    assert 0.1 <= used <= 1.0
    assert used != TrainingConfig().eta


def test_an_eta_that_is_no_number_is_refused(tmp_path, capsys):
    data = write_phantoms(tmp_path / "data", patients=4)
    assert main(["train", str(data), "--output", str(tmp_path / "m"), "--eta", "often"]) == 2
    assert "--eta often" in capsys.readouterr().err
    assert not Path(tmp_path / "m").exists()


def test_a_stop_file_ends_the_tuning_with_the_best_so_far(setup, tmp_path):
    from ClamSegLib.training.tune_eta import tune_eta

    (tmp_path / "stop").touch()
    told = Counting()
    assert 0.1 <= tune_eta(setup, tmp_path, torch.device("cpu"), told, trials=5) <= 1.0
    assert told.trials == 1


def test_a_training_that_tunes_is_found_by_its_lock(tmp_path, monkeypatch):
    from ClamSegLib.system.process import running_training
    from ClamSegLib.training import run as training_run

    locked = []

    def look(setup, output, *_):
        locked.append(running_training(output) is not None)
        return 0.5

    monkeypatch.setattr(training_run, "tune_eta", look)
    data = write_phantoms(tmp_path / "data")
    small = ["--features", "4,8,8", "--image-size", "32", "--batch-pairs", "4", "--organ", "whole"]
    words = ["train", str(data), "--output", str(tmp_path / "model"), "--eta", "tune", "--steps", "4", *small]
    assert main([*words, "--progress", "none"]) == 0
    assert locked == [True]


def test_masks_play_no_part_in_tuning(tmp_path):
    from ClamSegLib.objective.batches import CropSource

    folder = read_labelled_folder(write_phantoms(tmp_path / "data"))
    without = replace(folder, rows=tuple(replace(r, lesion_mask_path=None, lesion_mask_kind="") for r in folder.rows))
    config = new_model_config(folder, "x", "MR", {"organ": {"method": "whole"}, "image_size": 32}, "lesion", (4, 8, 8))
    taught = []
    for data in (folder, without):
        setup = prepare_training(data, config, TrainingConfig(), Reporter())
        source = CropSource(setup.crops, setup.split[0], setup.training, 2, torch.device("cpu"))
        taught.append(source.gather(torch.arange(8)).target)
    assert torch.equal(*taught)
