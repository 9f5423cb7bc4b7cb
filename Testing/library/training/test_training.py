import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_phantoms import write_phantoms

from ClamSegLib.cli import main
from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.config import Condition, ModelConfig
from ClamSegLib.training.setup import fine_tuning_config

SMALL = ["--features", "4,8,8", "--image-size", "32", "--batch-pairs", "4", "--organ", "whole", "--device", "cpu"]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("data") / "phantoms")


def train(data: Path, output: Path, *options: str, code: int = 0) -> Path:
    arguments = ["train", str(data), "--output", str(output), "--progress", "none", *SMALL, *options]
    assert main(arguments) == code
    return output


def config_file(folder: Path, **training: object) -> str:
    path = folder / "training.json"
    path.write_text(json.dumps({"training": training}))
    return str(path)


def figures(output: Path) -> list[dict[str, str]]:
    with (output / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(output: Path) -> dict[str, torch.Tensor]:
    return load_model(output).twin.state_dict()


def events(output: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (output / "events.jsonl").read_text().splitlines()]


def test_training_lowers_its_loss_and_finds_the_lesions_of_patients_it_never_saw(phantoms, tmp_path):
    options = config_file(tmp_path, validate_every=30)
    output = train(phantoms, tmp_path / "model", "--steps", "90", "--config", options)
    losses = [float(row["hybrid"]) for row in figures(output)]
    assert losses[-1] < losses[0]
    report = tmp_path / "figures"
    assert (
        main(
            [
                "evaluate",
                str(phantoms),
                "--model",
                str(output),
                "--split",
                "dev",
                "--output",
                str(report),
                "--progress",
                "none",
            ]
        )
        == 0
    )
    row = json.loads((report / "metrics.json").read_text())["table"][0]
    # The spots are bright and the organ flat: whoever learns anything ranks pixels well above their share of 3 %.
    assert row["pixel_ap"] > 0.3


def test_the_model_folder_tells_how_it_was_made(phantoms, tmp_path):
    output = train(phantoms, tmp_path / "model", "--steps", "4", "--seed", "5", "--licence", "CC0")
    run = json.loads((output / "run.json").read_text())
    assert run["training"]["seed"] == 5
    assert run["finished"] is True
    assert run["counts"]["training_patients"] + run["counts"]["validation_patients"] == 6
    card = (output / "card.md").read_text()
    assert "For research, not for diagnosis" in card
    assert "CC0" in card
    assert str(tmp_path) not in card + (output / "run.json").read_text()
    assert {e["event"] for e in events(output)} >= {"progress", "metric", "done"}
    assert not (output / "run.lock").exists()


def test_held_out_slices_with_the_map_so_far_are_shown_while_it_runs_and_stay_in_no_model(
    phantoms, tmp_path, monkeypatch
):
    import SimpleITK as sitk

    from ClamSegLib.training import trainer as loop

    seen = []

    def look(path, *arguments):
        write_preview(path, *arguments)
        seen.append(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))

    write_preview = loop.write_preview
    monkeypatch.setattr(loop, "write_preview", look)
    options = config_file(tmp_path, validate_every=4)
    output = train(phantoms, tmp_path / "model", "--steps", "8", "--config", options)
    told = [e for e in events(output) if e["event"] == "preview"]
    assert [e["step"] for e in told] == [4, 8]
    assert seen[0].shape == (2 * 160, 4 * 160, 3), "four slices and their maps, large enough to see"
    plain, mapped = seen[-1][:160, :, :3].astype(int), seen[-1][160:, :, :3].astype(int)
    assert (plain[..., 0] == plain[..., 1]).all(), "the slices above are grey"
    assert (mapped[..., 0] > mapped[..., 2]).any(), "the maps below are coloured"
    assert not (output / "preview.png").exists()


def test_the_same_seed_gives_the_same_model_and_another_seed_another(phantoms, tmp_path):
    first = weights(train(phantoms, tmp_path / "a", "--steps", "6", "--seed", "1"))
    same = weights(train(phantoms, tmp_path / "b", "--steps", "6", "--seed", "1"))
    other = weights(train(phantoms, tmp_path / "c", "--steps", "6", "--seed", "2"))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_killed_training_goes_on_to_the_very_model_of_an_uninterrupted_one(phantoms, tmp_path):
    options = ["--steps", "20", "--config", config_file(tmp_path, validate_every=4)]
    whole = train(phantoms, tmp_path / "whole", *options)
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "ClamSegLib", "train", str(phantoms), "--output", str(killed), *SMALL, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        rows = figures(killed) if (killed / "metrics.csv").is_file() else []
        if len(rows) >= 2:  # in the middle
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (killed / "state" / "state.safetensors").is_file(), "the training was not killed in the middle"
    assert not (killed / "config.json").exists(), "a killed training must not look like a model"
    train(phantoms, killed, *options, "--resume")
    expected, found = weights(whole), weights(killed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert [row["loss"] for row in figures(whole)] == [row["loss"] for row in figures(killed)]


def test_resuming_with_other_options_is_refused(phantoms, tmp_path, capsys):
    output = tmp_path / "model"
    (output / "state").mkdir(parents=True)
    train(phantoms, output, "--steps", "4")
    (output / "state").mkdir()
    (output / "state" / "request.json").write_text('{"data": "elsewhere"}')
    train(phantoms, output, "--steps", "8", "--resume", code=2)
    assert "--resume must repeat the options" in capsys.readouterr().err


def test_a_stop_file_ends_the_training_with_the_best_model_so_far(phantoms, tmp_path):
    output = tmp_path / "model"
    command = [sys.executable, "-m", "ClamSegLib", "train", str(phantoms), "--output", str(output), *SMALL]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([*command, "--steps", "100000"], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (output / "run.lock").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    (output / "stop").touch()
    assert process.wait(timeout=120) == 0
    assert load_model(output).config.calibration
    assert json.loads((output / "run.json").read_text())["finished"] is False


def test_a_second_training_in_the_same_folder_is_refused_while_the_first_runs(phantoms, tmp_path, capsys):
    from ClamSegLib.training.run_folder import TrainingFolder

    with TrainingFolder(tmp_path / "model", resume=False):
        train(phantoms, tmp_path / "model", "--steps", "4", code=2)
    assert "already runs" in capsys.readouterr().err


def test_a_lock_left_by_a_killed_process_does_not_block(phantoms, tmp_path):
    import socket

    output = tmp_path / "model"
    output.mkdir()
    (output / "run.lock").write_text(json.dumps({"pid": 2**22 - 1, "host": socket.gethostname(), "process_start": "1"}))
    train(phantoms, output, "--steps", "4")
    assert load_model(output)


def test_fine_tuning_starts_from_the_weights_of_the_model_it_names(phantoms, tmp_path):
    first = train(phantoms, tmp_path / "first", "--steps", "20")
    arguments = [
        "train",
        str(phantoms),
        "--output",
        str(tmp_path / "tuned"),
        "--init",
        str(first),
        "--steps",
        "1",
        "--batch-pairs",
        "4",
        "--progress",
        "none",
    ]
    assert main([*arguments, "--config", config_file(tmp_path, learning_rate=1e-7, validate_every=1)]) == 0
    before, after = weights(first), weights(tmp_path / "tuned")
    learned = [name for name in before if name.endswith("weight")]
    assert max(float((before[n] - after[n]).abs().max()) for n in learned) < 1e-3
    assert json.loads((tmp_path / "tuned" / "run.json").read_text())["initial_model"] == "first"


def test_a_model_learned_from_a_named_one_does_not_bear_its_name_but_that_of_the_same_condition(phantoms) -> None:
    folder = read_labelled_folder(phantoms)
    (condition,) = folder.conditions
    shown = Condition(condition, display_name="MS lesion")
    initial = ModelConfig("shipped", display_name="MS lesions in brain MRI", conditions=(shown,))
    tuned = fine_tuning_config(initial, folder, "mine", "lesion")
    assert (tuned.shown_name, tuned.conditions[0].shown_name) == ("mine", "MS lesion")
    other = replace(initial, conditions=(replace(shown, name="tumour"),))
    assert fine_tuning_config(other, folder, "mine", "lesion").conditions[0].shown_name == condition


def test_an_organ_model_outlines_the_organ_and_serves_as_organ_step(phantoms, tmp_path):
    options = ["--task", "organ", "--steps", "60", "--features", "4,8,8", "--image-size", "32", "--batch-pairs", "6"]
    assert main(["train", str(phantoms), "--output", str(tmp_path / "organ"), *options, "--progress", "none"]) == 0
    out = tmp_path / "figures"
    assert (
        main(
            [
                "evaluate",
                str(phantoms),
                "--model",
                str(tmp_path / "organ"),
                "--split",
                "dev",
                "--output",
                str(out),
                "--progress",
                "none",
            ]
        )
        == 0
    )
    assert json.loads((out / "metrics.json").read_text())["table"][0]["dice"]["value"] > 0.8
    lesion = train(phantoms, tmp_path / "lesion", "--steps", "4", "--organ", f"model:{tmp_path / 'organ'}")
    assert load_model(lesion).config.organ.method.startswith("model:")


def test_supervision_by_masks_learns_outlines(phantoms, tmp_path):
    output = train(phantoms, tmp_path / "ceiling", "--supervision", "masks", "--steps", "60")
    assert float(figures(output)[-1]["dice"]) > 0.5


def test_the_objective_of_the_paper_runs_with_all_its_terms(phantoms, tmp_path):
    output = train(phantoms, tmp_path / "paper", "--objective", "paper", "--steps", "6")
    row = figures(output)[-1]
    assert all(np.isfinite(float(row[name])) for name in ("hybrid", "positive", "separation"))


def test_an_objective_that_is_no_more_is_refused_by_option_and_by_file(phantoms, tmp_path, capsys):
    train(phantoms, tmp_path / "model", "--objective", "clam", code=2)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "clam'" in line]
    assert "normative" in line
    assert "paper" in line
    train(phantoms, tmp_path / "model", "--config", config_file(tmp_path, objective="clam"), code=2)
    assert "objective 'clam' is unknown; allowed are normative, paper." in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_an_eta_below_one_trains(phantoms, tmp_path):
    output = train(phantoms, tmp_path / "model", "--steps", "4", "--eta", "0.4")
    assert np.isfinite(float(figures(output)[-1]["loss"]))


def test_terms_switched_off_are_not_computed(phantoms, tmp_path):
    terms = {"weight_positive", "weight_separation"}
    for off in terms:
        options = config_file(tmp_path, **{off: 0.0})
        row = figures(train(phantoms, tmp_path / off, "--steps", "6", "--config", options))[-1]
        assert {f"weight_{name}" for name in row} & terms == terms - {off}


def test_corrections_teach_their_outline_where_labels_would_be_broadcast(phantoms, tmp_path):
    from ClamSegLib.datasets.labelled_folder import read_labelled_folder
    from ClamSegLib.objective.batches import CropSource
    from ClamSegLib.objective.training_config import TrainingConfig
    from ClamSegLib.system.progress import Reporter
    from ClamSegLib.training.setup import new_model_config, prepare_training

    data = write_phantoms(tmp_path / "corrected", patients=6)
    lines = (data / "labels.csv").read_text().splitlines()
    (data / "labels.csv").write_text(
        "\n".join([lines[0] + ",correction", lines[1] + ",1", *(line + "," for line in lines[2:])])
    )
    folder = read_labelled_folder(data)
    changes = {"organ": {"method": "whole"}, "image_size": 32}
    config = new_model_config(folder, "x", "MR", changes, "lesion", (4, 8, 8), "paper")
    training = TrainingConfig(objective="paper", validation_share=0.0)
    setup = prepare_training(folder, config, training, Reporter())
    source = CropSource(setup.crops, np.arange(len(setup.crops.label)), setup.training, 2, torch.device("cpu"))
    diseased = torch.from_numpy(np.flatnonzero(source.label > 0))
    slices = source.gather(diseased)
    taught = (slices.target[:, 1] > 0.5).flatten(1).float().mean(1)
    corrected = torch.from_numpy(np.asarray(setup.crops.correction)[diseased.numpy()])
    assert corrected.sum() == 1
    assert taught[corrected].item() < 0.2
    assert (taught[~corrected] == 1).all()


SHARDS = """
import sys, torch
from pathlib import Path
from ClamSegLib.experiments.training_speed import synthetic_learner
from ClamSegLib.training.distributed import Processes
import torch.distributed as distributed
torch.set_num_threads(1)
processes = Processes.join()
learner = synthetic_learner(32, (4, 8, 8), "cpu", processes)
learner.twin.train()
def gradients():
    return torch.cat([p.grad.flatten() for p in learner.parameters])
learner.add_gradient(processes.rank, 2)
processes.average_gradients(learner.parameters)
together = gradients()
learner.twin.zero_grad(set_to_none=True)
learner.add_gradient(0, 2)
learner.add_gradient(1, 2)
alone = gradients() / 2
assert torch.allclose(together, alone, rtol=1e-4, atol=1e-6), (together - alone).abs().max()
assert alone.abs().max() > 0
Path(sys.argv[1], f"rank{processes.rank}").touch()
distributed.destroy_process_group()
"""


def torchrun(script: list[str], folder: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *script]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=folder, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes_compute_the_mean_gradient_of_their_two_shards(tmp_path):
    (tmp_path / "shards.py").write_text(SHARDS)
    torchrun([str(tmp_path / "shards.py"), str(tmp_path)], tmp_path)
    assert (tmp_path / "rank0").exists()
    assert (tmp_path / "rank1").exists()


def test_training_under_torchrun_gives_the_model_of_one_process_that_computes_both_shards(
    phantoms, tmp_path, monkeypatch
):
    from ClamSegLib.training.learner import Learner

    options = ["--steps", "6", *SMALL, "--progress", "none"]
    torchrun(["-m", "ClamSegLib", "train", str(phantoms), "--output", str(tmp_path / "two"), *options], tmp_path)
    add_gradient = Learner.add_gradient

    def both_shards(self: Learner, shard: int, shards: int) -> dict[str, float]:
        parts = [add_gradient(self, number, 2) for number in range(2)]
        for p in self.parameters:
            if p.grad is not None:
                p.grad /= 2
        return parts[0]

    monkeypatch.setattr(Learner, "add_gradient", both_shards)
    a, b = weights(tmp_path / "two"), weights(train(phantoms, tmp_path / "one", "--steps", "6"))
    learned = [name for name in a if name.endswith("weight")]
    assert max(float((a[n] - b[n]).abs().max()) for n in learned) < 2e-3


def test_tensorboard_gets_the_curves_when_asked(phantoms, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    output = train(phantoms, tmp_path / "m", "--steps", "4", "--tensorboard")
    seen = EventAccumulator(str(output / "tensorboard"))
    seen.Reload()
    (point,) = seen.Scalars("hybrid")
    assert point.step == 4
    assert point.value == pytest.approx(float(figures(output)[-1]["hybrid"]), rel=1e-4)
    assert not (train(phantoms, tmp_path / "n", "--steps", "4") / "tensorboard").exists()


def test_the_fused_optimiser_steps_as_the_plain_one_also_after_its_moments_were_restored():
    from ClamSegLib.experiments.training_speed import synthetic_learner
    from ClamSegLib.training.checkpoint_state import optimizer_tensors, restore_optimizer

    learner = synthetic_learner(32, (4, 8, 8), "cpu")
    t = learner.setup.training
    assert learner.optimizer.defaults["fused"]
    assert any(not p.is_contiguous() for p in learner.parameters), "some weights lie channels last"
    plain = [torch.nn.Parameter(p.detach().clone()) for p in learner.parameters]
    slow = torch.optim.AdamW(plain, lr=t.learning_rate, weight_decay=t.weight_decay, fused=False)
    generator = torch.Generator().manual_seed(0)
    for number in range(4):
        if number == 2:
            contiguous = {name: value.contiguous() for name, value in optimizer_tensors(learner.optimizer).items()}
            restore_optimizer(learner.optimizer, contiguous)
        for own, other in zip(learner.parameters, plain, strict=True):
            own.grad = torch.empty_like(own).copy_(torch.randn(own.shape, generator=generator))
            other.grad = own.grad.clone()
        learner.optimizer.step()
        slow.step()
    for own, other in zip(learner.parameters, plain, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_a_shard_of_any_size_shows_pairs_of_whole_slices(shards):
    from ClamSegLib.experiments.training_speed import synthetic_learner

    learner = synthetic_learner(32, (4, 8, 8), "cpu")
    batch = learner.batches.draw(learner.setup.training.batch_pairs // shards, torch.Generator().manual_seed(0))
    assert batch.diseased is not None
    assert len(batch.diseased.label) == len(batch.normal.label) == 1
