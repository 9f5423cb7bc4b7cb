"""A fine-tuning started, followed and stopped in the page."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from labelled_phantoms import write_phantoms
from page_reader import PageReader
from page_server import PageServer
from tiny_model import tiny_model, tiny_normative_model

from ClamSegWorkflow.process.training_process import running_trainings


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's own models; what still trains in them at the end is killed."""
    folder = tmp_path_factory.mktemp("models")
    tiny_normative_model(folder / "tiny")
    tiny_model(folder / "old")  # of a time without maps of normal tissue
    yield folder
    for left in running_trainings(folder):
        os.kill(json.loads((left / "run.lock").read_text())["pid"], signal.SIGKILL)


@pytest.fixture(scope="module")
def server(serve: Callable[..., PageServer], models: Path, tmp_path_factory: pytest.TempPathFactory) -> PageServer:
    images = write_phantoms(tmp_path_factory.mktemp("data") / "Bilder für Übung")
    return serve("--empty", "--root", images, CLAMSEG_MODELS=str(models))


@pytest.fixture
def trainer(reader: PageReader) -> PageReader:
    """A reader who has unfolded Fine-tune and chosen the tiny model and its folder."""
    reader.unfold("Fine-tune")
    reader.click("use-folder")
    reader.says("training-images", "Bilder für Übung")
    start_from(reader, "tiny")
    return reader


def start_from(reader: PageReader, model: str) -> None:
    """Chooses the starting model."""
    if reader.value("training_init") != model:
        reader.tab.locator(".v-select:has(#training-init)").click()
        reader.tab.locator(".v-overlay--active .v-list-item", has_text=model).click()
    reader.holds("training_init", model)


def test_a_model_that_cannot_be_gone_on_from_is_named_before_the_start(trainer: PageReader, models: Path) -> None:
    start_from(trainer, "old")
    trainer.tab.locator("#training-name").fill("newer")
    trainer.holds("training_name", "newer")
    trainer.click("training-start")
    trainer.is_told("before models knew normal tissue")
    assert sorted(path.name for path in models.iterdir()) == ["old", "tiny"]


def test_a_name_that_is_taken_by_a_shipped_model_starts_nothing(trainer: PageReader, models: Path) -> None:
    trainer.tab.locator("#training-name").fill("ct-lung-lesion")
    trainer.holds("training_name", "ct-lung-lesion")
    trainer.click("training-start")
    trainer.is_told("shipped model")
    assert sorted(path.name for path in models.iterdir()) == ["old", "tiny"]
    trainer.tab.locator("#training-name").fill("half")
    trainer.tab.locator("#training-minutes").fill("1.5")
    trainer.until("() => Number(window.trame.state.get('training_minutes')) === 1.5")
    trainer.click("training-start")
    trainer.is_told("whole number")
    assert sorted(path.name for path in models.iterdir()) == ["old", "tiny"]


def test_a_training_shows_its_curves_live_survives_a_reload_and_stops_with_a_model(
    trainer: PageReader, models: Path
) -> None:
    trainer.tab.locator("#training-name").fill("second")
    trainer.tab.locator("#training-minutes").fill("20")
    trainer.holds("training_name", "second")
    trainer.click("training-start")
    trainer.until("() => document.querySelectorAll('#training-curves polyline').length > 0")
    assert trainer.value("training_state") == "running"
    points = trainer.tab.locator("#training-curves polyline").first.get_attribute("points")
    trainer.until(
        "before => document.querySelector('#training-curves polyline').getAttribute('points') !== before", points
    )
    trainer.open()
    assert trainer.value("training_state") == "running"
    trainer.unfold("Fine-tune")
    trainer.click("training-pause")
    trainer.holds("training_state", "paused")
    trainer.click("training-pause")
    trainer.holds("training_state", "running")
    trainer.click("training-stop")
    trainer.until(
        "() => !['running', 'stopping', 'starting', 'paused'].includes(window.trame.state.get('training_state'))"
    )
    assert trainer.notices() == []
    assert (models / "second" / "config.json").is_file()
    assert "second" in [entry["value"] for entry in trainer.value("models")], "the new model can be used at once"
