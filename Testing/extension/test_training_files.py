"""Fine-tuning without a window: plans, the doctor's answer, and real trainings that are steered by their files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from own_models import write_phantoms

from ClamSegLib.commands import train as train_verb
from ClamSegLib.model.model_folder import read_config
from ClamSegLib.system.errors import OutputError
from ClamSegPanel.corrections_folder import corrections_folder
from ClamSegWorkflow.process.command_line import extra_environment, library_words, python_program
from ClamSegWorkflow.process.training_process import TrainingFollower, running_trainings, start_training
from ClamSegWorkflow.training.doctor_table import read_doctor
from ClamSegWorkflow.training.model_name import problem_of_name
from ClamSegWorkflow.training.started_trainings import StartedTrainings
from ClamSegWorkflow.training.training_plan import ETA_OF_ALL, ETA_TUNED, STEPS, TrainingPlan, resumed, suggest_name
from ClamSegWorkflow.training.training_progress import FIGURES, LOSS, TrainingProgress, TrainingState, time_left

MODELS = (
    {"name": "ct-lung-lesion", "folder": "/m/ct-lung-lesion", "origin": "shipped", "knows_normal_tissue": True},
    {"name": "old", "folder": "/m/old", "origin": "user", "knows_normal_tissue": False},
    {"name": "damaged", "folder": "/m/damaged", "origin": "user", "problem": "damaged"},
)

# -- the plan --------------------------------------------------------------------------------------------------


def plan_for(folder: Path, **changes: Any) -> TrainingPlan:
    return TrainingPlan(**({"name": "mine", "images": str(folder), "starting_model": "tiny"} | changes))


@pytest.mark.parametrize(
    "name",
    ["lung model 2", "Läsionen Köln", "肺", "a.b", "covid_3"],
    ids=["spaces", "umlauts", "letters", "dot", "plain"],
)
def test_names_with_spaces_and_letters_of_any_language_are_fine(name: str) -> None:
    assert problem_of_name(name) == ""


@pytest.mark.parametrize("name", ["", "  ", "a/b", "..", "a\\b", "CON", "x.", " x", "-x", "a\nb", "n" * 81, "a:b"])
def test_a_name_that_cannot_be_a_folder_is_refused_in_words(name: str) -> None:
    assert len(problem_of_name(name)) > 20


def test_a_plan_that_cannot_work_says_why(phantoms: Path, tmp_path: Path) -> None:
    good = plan_for(phantoms)
    assert good.problem(models=MODELS) == ""
    for changes, word in (
        ({"images": ""}, "No folder"),
        ({"images": str(tmp_path / "gone")}, "not a folder"),
        ({"corrections": str(tmp_path)}, "no corrections"),
        ({"name": "ct-lung-lesion"}, "shipped"),
        ({"starting_model": "old"}, "before models knew normal tissue"),
        ({"starting_model": "/m/old"}, "before models knew normal tissue"),
        ({"eta": ETA_OF_ALL, "eta_value": 0.0}, "above 0"),
        ({"length": 0}, "at least 1"),
    ):
        assert word in plan_for(phantoms, **changes).problem(models=MODELS)


def test_tuning_is_refused_in_words_where_optuna_is_missing(phantoms: Path) -> None:
    plan = plan_for(phantoms, eta=ETA_TUNED)
    assert plan.problem(optuna=True) == ""
    assert "Optuna" in plan.problem(optuna=False)


@pytest.mark.parametrize(
    "changes",
    [{}, {"eta": ETA_TUNED}, {"eta": ETA_OF_ALL, "eta_value": 0.35}, {"starting_model": "", "modality": "MR"},
     {"unit": STEPS, "length": 7}, {"corrected_outlines": False}, {"normal_class": "gesund"}, {"threads": 3}],
)  # fmt: skip
def test_the_words_of_a_plan_are_words_of_the_command_line(phantoms: Path, tmp_path: Path, changes: Any) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    train_verb.add_arguments(parser)
    plan = plan_for(phantoms, **changes)
    parsed = parser.parse_args(plan.words(tmp_path / "My models", overwrite=True))
    assert parsed.data == phantoms
    assert parsed.output == tmp_path / "My models" / "mine"
    assert parsed.overwrite
    assert (parsed.init or "") == plan.starting_model
    assert (parsed.steps, parsed.minutes) == ((plan.length, None) if plan.unit == STEPS else (None, plan.length))
    assert parsed.eta == {ETA_TUNED: "tune", ETA_OF_ALL: "0.35"}.get(plan.eta)
    assert parsed.corrected_outlines == ("use" if plan.corrected_outlines else "ignore")
    assert parsed.normal_class == (plan.normal_class or None)


def test_corrections_alone_are_the_images_and_with_images_they_are_added(phantoms: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").touch()
    alone = TrainingPlan("mine", corrections=str(tmp_path))
    assert alone.problem() == ""
    assert alone.words(tmp_path)[0] == alone.check_words()[1] == str(tmp_path)
    assert "--corrections" not in alone.words(tmp_path)
    both = TrainingPlan("mine", images=str(phantoms), corrections=str(tmp_path))
    for words in (both.words(tmp_path), both.check_words()):
        assert words[words.index("--corrections") + 1] == str(tmp_path)


def test_going_on_repeats_the_words_and_replaces_nothing() -> None:
    assert resumed(["data", "--output", "x", "--overwrite"]) == ["data", "--output", "x", "--resume"]
    assert resumed(["data", "--resume"]) == ["data", "--resume"]


def test_a_free_name_is_suggested() -> None:
    assert suggest_name("ct-lung-lesion", ("ct-lung-lesion",)) == "ct-lung-lesion-2"
    assert suggest_name("ct-lung-lesion", ("ct-lung-lesion-2",)) == "ct-lung-lesion-3"
    assert suggest_name("", ()) == "my-model-1"


class Settings:
    def __init__(self, **values: str) -> None:
        self.values = values

    def setting(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)


def test_corrections_lie_in_one_folder_unless_the_user_chose_another(tmp_path: Path) -> None:
    assert corrections_folder(Settings()).parts[-2:] == ("ClamSeg", "corrections")
    assert corrections_folder(Settings(correctionsFolder=str(tmp_path))) == tmp_path


# -- the doctor ------------------------------------------------------------------------------------------------


def doctor(*words: str) -> Any:
    environment = {**os.environ, **extra_environment()}
    done = subprocess.run(
        [python_program(), *library_words(*words)], capture_output=True, text=True, env=environment, check=False
    )
    return read_doctor(done.returncode, done.stdout, done.stderr)


def test_the_doctor_counts_and_warns_with_advice(phantoms: Path) -> None:
    found = doctor(*plan_for(phantoms).check_words())
    assert not found.refused
    assert found.lines[0].check == "rows of train"
    assert "18 normal" in found.lines[0].found
    assert found.summary == "Bilder für Übung can be used for training: no warnings." or "warning" in found.summary


def test_the_doctor_says_what_is_wrong_with_a_folder(phantoms: Path, tmp_path: Path) -> None:
    nothing = doctor(*plan_for(tmp_path).check_words())
    assert nothing.refused
    assert "no" in nothing.summary.lower()
    assert nothing.lines[0].severity == "refused"
    for patient in ("a", "b"):
        (tmp_path / "one" / "normal" / patient).mkdir(parents=True)
        os.link(phantoms / "images" / "p0_0.png", tmp_path / "one" / "normal" / patient / f"{patient}.png")
    one_class = doctor(*plan_for(tmp_path / "one").check_words())
    assert one_class.refused
    assert "one class" in one_class.summary


def test_the_doctor_looks_at_images_and_corrections_together(phantoms: Path, tmp_path: Path) -> None:
    extra = write_phantoms(tmp_path / "corrections", patients=2, seed=5)
    text = (extra / "labels.csv").read_text().replace(",p", ",q").replace(",train,", ",,").replace(",dev,", ",,")
    (extra / "labels.csv").write_text(text)
    found = doctor(*plan_for(phantoms, corrections=str(extra)).check_words())
    assert found.lines[0].found.startswith("24 normal") or "24 normal" in found.lines[0].found


def test_an_answer_that_is_no_answer_is_told() -> None:
    assert "code 3" in read_doctor(3, "", "").summary
    assert read_doctor(1, "garbage", "first\nlast words\n").summary == "last words"


# -- events to what is shown -----------------------------------------------------------------------------------


def metric(step: int, **values: float) -> dict[str, Any]:
    return {"event": "metric", "step": step, **values}


def test_curves_grow_with_the_steps_and_a_repeated_step_counts_once() -> None:
    progress = TrainingProgress("m")
    progress.feed([metric(50, loss=2.0), metric(100, loss=1.5, criterion=0.9, slice_auc=0.8)])
    progress.feed([metric(150, loss=1.0), metric(150, loss=0.5), metric(200, loss=0.7, criterion=1.2)])
    assert progress.curves[LOSS].x == [50, 100, 150, 200]
    assert progress.curves[LOSS].y["loss"] == [2.0, 1.5, 0.5, 0.7]
    assert progress.curves[FIGURES].x == [100, 200]
    assert progress.best_figures() == {"criterion": 1.2}


def test_the_state_follows_events_and_signs_of_life() -> None:
    progress = TrainingProgress("m")
    alive = {"is_running": True, "is_paused": False, "stop_asked": False}
    dead = alive | {"is_running": False}
    assert progress.look(**alive) is TrainingState.STARTING
    progress.feed([{"event": "progress", "stage": "training", "done": 3, "total": 10, "seconds_left": 200.0}])
    assert progress.look(**alive) is TrainingState.RUNNING
    assert progress.sentence() == "'m': training, 3 of 10, about 3 min left."
    assert progress.look(**alive | {"is_paused": True}) is TrainingState.PAUSED
    assert progress.look(**alive | {"stop_asked": True}) is TrainingState.STOPPING
    assert progress.look(**dead) is TrainingState.KILLED
    assert "Resume" in progress.sentence(can_go_on=True)
    assert progress.look(**dead, last_words="No space left.") is TrainingState.FAILED
    assert progress.sentence() == "'m' ended: No space left."
    progress.feed([{"event": "done", "finished": True}])
    assert progress.look(**dead) is TrainingState.FINISHED


def test_time_left_is_told_in_units_a_person_uses() -> None:
    assert [time_left(s) for s in (None, 0.2, 40, 600, 9000)] == [
        "", ", 1 s left", ", 40 s left", ", about 10 min left", ", about 2.5 h left",
    ]  # fmt: skip


# -- real trainings --------------------------------------------------------------------------------------------


def wait_for(condition: Callable[[], Any], limit_s: float = 120.0) -> Any:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


class Watch:
    """A second pair of eyes: a follower and what it has told."""

    def __init__(self, started: StartedTrainings, name: str, *, just_started: bool = True) -> None:
        folder, log = started.models_folder / name, started.log(name)
        self.follower = TrainingFollower(folder, log, grace_s=60.0 if just_started else 0.0)
        self.progress = TrainingProgress(name)

    def state(self) -> TrainingState:
        alive = self.follower.is_running()
        events = self.follower.new_events()
        self.progress.feed(events)
        return self.progress.look(
            is_running=alive or bool(events),
            is_paused=self.follower.is_paused,
            stop_asked=self.follower.is_asked_to_stop,
            last_words=self.follower.last_words() if not alive else "",
        )


def begin(models: Path, data: Path, name: str, length: int, **changes: Any) -> StartedTrainings:
    started = StartedTrainings(models, start_training)
    plan = plan_for(data, name=name, unit=STEPS, length=length, device="cpu", threads=1, **changes)
    assert plan.problem() == ""
    words = plan.words(models)
    started.begin(name, [*words, "--batch-pairs", "4"])
    return started


def test_a_training_is_paused_gone_on_with_found_again_and_stopped_with_its_best(phantoms: Path, models: Path) -> None:
    name = "Läsionen 2"
    first = Watch(begin(models, phantoms, name, 100_000), name)
    wait_for(lambda: first.state() is TrainingState.RUNNING and first.progress.stage == "training")
    first.follower.pause()
    assert first.state() is TrainingState.PAUSED
    assert running_trainings(models) == [models / name]
    second = Watch(StartedTrainings(models, start_training), name, just_started=False)
    assert second.state() is TrainingState.PAUSED, "another Slicer finds it as it is"
    second.follower.go_on()
    at = first.progress.done
    wait_for(lambda: first.state() is TrainingState.RUNNING and first.progress.done > at + 50)
    wait_for(lambda: second.state() and second.progress.curves[FIGURES].x)
    second.follower.stop()
    wait_for(lambda: first.state().is_over)
    assert first.state() is TrainingState.STOPPED
    assert "its best was kept" in first.progress.sentence()
    assert read_config(models / name).name == name
    assert running_trainings(models) == []
    assert first.progress.preview is not None
    assert not first.progress.preview.exists(), "pictures of patients do not stay in the model"


def test_a_training_killed_before_its_first_validation_can_be_gone_on_with_and_says_so(
    phantoms: Path, models: Path
) -> None:
    started = begin(models, phantoms, "early", 60)
    wait_for((models / "early" / "state" / "request.json").is_file)
    os.kill(json.loads((models / "early" / "run.lock").read_text())["pid"], signal.SIGKILL)
    watch = Watch(started, "early")
    wait_for(lambda: watch.state() is TrainingState.KILLED)
    assert not (models / "early" / "state" / "state.safetensors").exists()
    assert StartedTrainings(models, start_training).interrupted() == ["early"]
    assert "not validated yet; Resume begins it again" in watch.progress.sentence(can_go_on=True)
    started.go_on("early")
    again = Watch(started, "early")
    wait_for(lambda: again.state().is_over)
    assert again.state() is TrainingState.FINISHED
    assert started.interrupted() == []


def test_a_training_that_is_refused_says_its_last_words_and_leaves_nothing(tmp_path: Path, models: Path) -> None:
    data = write_phantoms(tmp_path / "broken", patients=4)
    (data / "labels.csv").write_text("image_path,label\nimages/p0_0.png,1\nimages/p0_1.png,1\n")
    watch = Watch(begin(models, data, "refused", 5), "refused")
    wait_for(lambda: watch.state().is_over)
    assert watch.state() is TrainingState.FAILED
    assert "only diseased images" in watch.progress.sentence()
    assert not (models / "refused").exists()


def test_how_an_unknown_training_was_started_is_not_guessed(models: Path) -> None:
    started = StartedTrainings(models, start_training)
    with pytest.raises(OSError, match="start it again"):
        started.go_on("never")


def test_a_full_disk_leaves_the_words_of_the_training_before_and_starts_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[list[str]] = []
    started = StartedTrainings(tmp_path, lambda words, _log: begun.append(words) or 1)
    started.begin("mine", ["first"])

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        started.begin("mine", ["second"])
    assert begun == [["first"]]
    assert json.loads((tmp_path / ".trainings" / "mine.json").read_text()) == ["first"]
