"""Fine-tune: starts a training that outlives the page, follows it by its files, and shows how it learns."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

from ClamSegWeb.curve_picture import curve_picture
from ClamSegWeb.user_action import user_action
from ClamSegWorkflow.process.training_process import TrainingFollower, running_trainings, start_training
from ClamSegWorkflow.training.started_trainings import StartedTrainings
from ClamSegWorkflow.training.training_plan import TrainingPlan, suggest_name
from ClamSegWorkflow.training.training_progress import TrainingProgress
from ClamSegWorkflow.words import tr as _

_POLL_S = 1.0


_UNDER_WAY = ("starting", "running", "paused", "stopping")


class TrainingSection:
    """One training at a time: the one that runs, or the last one."""

    def __init__(self, page: Any) -> None:
        self._page, self._state = page, page.state
        self._images = ""
        self._follower: TrainingFollower | None = None
        self._progress: TrainingProgress | None = None
        self._task: asyncio.Task[None] | None = None
        self._state.update(
            {
                "training_images": "", "training_init": "", "training_inits": [], "training_name": "", "training_minutes": 30,
                "training_corrections": False, "has_corrections": False, "training_words": "", "training_state": "",
                "training_done": 0, "training_total": 0, "training_curves": "", "training_preview": "", "training_can_go_on": False,
            }
        )  # fmt: skip
        self._suggested = ("", "")  # model and name, as long as the reader leaves them so
        self.fill_models()
        self._state.change("model")(self._follow_model)
        self.corrections_changed()

    def fill_models(self) -> None:
        """Models a training can start from."""
        from ClamSegLib.model.registry import list_models

        lesion = {entry["name"] for entry in list_models() if entry["task"] == "lesion"}
        self._state.training_inits = [entry for entry in self._state.models if entry["value"] in lesion]
        names = [entry["value"] for entry in self._state.training_inits]
        if self._state.training_init not in names:
            self._state.training_init = names[0] if names else ""
        self._state.training_name = suggest_name(self._state.training_init, tuple(names))
        self._suggested = (self._state.training_init, self._state.training_name)

    def _follow_model(self, **_kwargs: Any) -> None:
        """A training starts from the model that is chosen for the scan, until the reader chooses another or a name."""
        if self._state.training_state in _UNDER_WAY:
            return
        names = [entry["value"] for entry in self._state.training_inits]
        if self._state.model in names and self._suggested == (self._state.training_init, self._state.training_name):
            self._state.training_init = self._state.model
            self._state.training_name = suggest_name(self._state.training_init, tuple(names))
            self._suggested = (self._state.training_init, self._state.training_name)

    def corrections_changed(self) -> None:
        """Corrections were saved, or the page looks for them."""
        self._state.has_corrections = (self._page.corrections / "labels.csv").is_file()

    @user_action(_("The folder could not be chosen."))
    def use_listed_folder(self) -> None:
        """Learns from the folder that Input lists."""
        folder = self._page.input.listed_folder
        if folder is None:
            self._page.failed(_("Open the folder with normal and diseased images in the list above first."))
            return
        self._images = str(self._page.roots.admit(folder))
        self._state.training_images = folder.name

    def find_again(self) -> None:
        """A training that runs already, started by Slicer or an earlier page, is followed."""
        running = running_trainings(self._started.models_folder)
        if running:
            self._follow(running[0])

    @property
    def _started(self) -> StartedTrainings:
        from ClamSegLib.system.paths import user_models_folder

        return StartedTrainings(user_models_folder(), start_training)

    def _plan(self, minutes: int) -> TrainingPlan:
        return TrainingPlan(
            name=str(self._state.training_name).strip(),
            images=self._images,
            corrections=str(self._page.corrections) if self._state.training_corrections else "",
            starting_model=self._state.training_init,
            length=minutes,
            device=self._state.device,
        )

    @user_action(_("The training could not be started."))
    def start(self) -> None:
        """Starts a training apart from the page."""
        from ClamSegLib.model.registry import list_models

        minutes = _whole_number(self._state.training_minutes)
        if minutes is None:
            self._page.failed(_("The minutes must be a whole number, 1 or more."))
            return
        plan, started = self._plan(minutes), self._started
        models = list_models()
        problem = plan.problem(models=models)
        if not problem and running_trainings(started.models_folder):
            problem = _("A training is already running; stop it first, or wait for it to finish.")
        if problem:
            self._page.failed(problem)
            return
        start = next((entry for entry in models if entry["name"] == plan.starting_model), None)
        self._page.with_licence(start, lambda: self._replace_or_begin(plan))

    @user_action(_("The training could not be started."))
    def _replace_or_begin(self, plan: TrainingPlan) -> None:
        started = self._started
        exists = (started.models_folder / plan.name / "config.json").is_file() or started.can_go_on(plan.name)
        if not exists:
            self._begin(plan, overwrite=False)
            return
        question = _("A model or a training named '{name}' already exists. Replace it? This cannot be undone.")
        self._page.ask(
            _("Replace?"),
            question.format(name=plan.name),
            lambda yes: self._begin(plan, overwrite=True) if yes else None,
            _("Replace"),
        )

    @user_action(_("The training could not be started."))
    def _begin(self, plan: TrainingPlan, *, overwrite: bool) -> None:
        started = self._started
        started.begin(plan.name, plan.words(started.models_folder, overwrite=overwrite))
        self._follow(started.models_folder / plan.name)

    @user_action(_("The training could not be resumed."))
    def go_on(self) -> None:
        """Takes a stopped or killed training up where it was."""
        if self._progress is not None:
            self._started.go_on(self._progress.name)
            self._follow(self._started.models_folder / self._progress.name)

    @user_action(_("The training could not be stopped."))
    def stop(self) -> None:
        """Asks it to finish now and keep its best."""
        if self._follower is not None:
            self._follower.stop()
            self._look()

    @user_action(_("The training could not be paused."))
    def pause_or_go_on(self) -> None:
        """Lets it wait, or go on."""
        if self._follower is not None:
            if self._follower.is_paused:
                self._follower.go_on()
            else:
                self._follower.pause()
            self._look()

    def _follow(self, folder: Path) -> None:
        self._follower = TrainingFollower(folder, self._started.log(folder.name))
        self._progress = TrainingProgress(folder.name)
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while self._progress is not None:
            self._look()
            self._state.flush()
            if self._progress.state.is_over:
                self._page.models_changed()
                self._state.flush()
                return
            await asyncio.sleep(_POLL_S)

    def _look(self) -> None:
        """What the training wrote since, and its signs of life."""
        follower, progress = self._follower, self._progress
        if follower is None or progress is None:
            return
        grew = progress.feed(follower.new_events())
        progress.look(
            is_running=follower.is_running(), is_paused=follower.is_paused, stop_asked=follower.is_asked_to_stop,
            last_words=follower.last_words(),
        )  # fmt: skip
        can_go_on = progress.state.is_over and self._started.can_go_on(progress.name)
        self._state.update(
            {
                "training_words": progress.sentence(can_go_on=can_go_on), "training_state": progress.state.value,
                "training_done": progress.done, "training_total": progress.total, "training_can_go_on": can_go_on,
            }
        )  # fmt: skip
        if grew:
            self._state.training_curves = curve_picture(progress.curves)
        if progress.preview is not None and progress.preview.is_file():
            self._state.training_preview = _as_address(progress.preview.read_bytes())


def _whole_number(typed: Any) -> int | None:
    """What stands in a field of numbers, which a browser hands over as text; None for '', '1.5' and 'many'."""
    try:
        return int(str(typed).strip())
    except ValueError:
        return None


def _as_address(png: bytes) -> str:
    """A picture as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
