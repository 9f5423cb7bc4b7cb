"""Fine-tune: starts a training that outlives Slicer, follows it, steers it, and shows how it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ClamSegPanel.colours import say
from ClamSegPanel.doctor_view import DoctorView
from ClamSegPanel.training_choices import TrainingChoices
from ClamSegPanel.user_action import user_action
from ClamSegWorkflow.process.training_process import TrainingFollower, running_trainings, start_training
from ClamSegWorkflow.scene.curves import chart_of, show_curves
from ClamSegWorkflow.training.started_trainings import StartedTrainings
from ClamSegWorkflow.training.training_progress import TrainingProgress, TrainingState

_POLL_MS = 1000
_PREVIEW_WIDTH = 420
_LAST_SETTING = "lastTraining"


class TrainingSection:
    """One training at a time: the one that runs, or the last one.

    Attributes:
        progress: of that training, None before any.
    """

    def __init__(self, panel: Any) -> None:
        self._panel, self._ui = panel, panel.ui
        self.progress: TrainingProgress | None = None
        self._follower: TrainingFollower | None = None
        self._choices = TrainingChoices(panel)
        self._doctor = DoctorView(panel, self._choices)
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_MS)
        self._timer.connect("timeout()", self._tick)
        self._preview: Path | None = None
        ui = self._ui
        for button, action in (
            (ui.startTrainingButton, self._start), (ui.stopTrainingButton, self._stop),
            (ui.resumeTrainingButton, self._go_on), (ui.showCurvesButton, self._show_curves),
            (ui.showCardButton, self._show_card),
        ):  # fmt: skip
            button.connect("clicked(bool)", action)
        ui.pauseTrainingButton.connect("toggled(bool)", self._pause)
        self._show_buttons()

    def bind(self) -> None:
        """The choices of this scene are there: a training that runs is found again."""
        if self._follower is None:
            self._find_again()

    def fill_models(self) -> None:
        """Models came or went."""
        self._choices.fill_models()

    def forget_picture(self, name: str) -> None:
        """A model was removed: the picture of its training, which shows patients, goes with it."""
        self._started.preview(name).unlink(missing_ok=True)

    def close(self) -> None:
        """The window goes; the training goes on."""
        self._timer.stop()
        self._doctor.close()

    # Start and steer

    @property
    def _started(self) -> StartedTrainings:
        from ClamSegLib.system.paths import user_models_folder

        return StartedTrainings(user_models_folder(), start_training)

    @user_action(_("The training could not be started."))
    def _start(self, checked: bool = False) -> None:
        plan, started = self._choices.plan(), self._started
        problem = self._panel.logic.torch_problem() or self._choices.problem(plan)
        if not problem and running_trainings(started.models_folder):
            problem = _("A training is already running; stop it first, or wait for it to finish.")
        if problem:
            self._panel.failed(problem)
            return
        if not self._panel.licence_confirmed(self._panel.logic.model(plan.starting_model)):
            return
        folder = started.models_folder / plan.name
        exists = (folder / "config.json").is_file() or started.can_go_on(plan.name)
        if exists:
            question = _("A model or a training named '{name}' already exists. Replace it? This cannot be undone.")
            if not self._panel.ask(_("Replace?"), question.format(name=plan.name)):
                return
        started.begin(plan.name, plan.words(started.models_folder, overwrite=exists))
        self._choices.remember(plan)
        self._follow(folder, just_started=True)

    @user_action(_("The training could not be resumed."))
    def _go_on(self, checked: bool = False) -> None:
        problem = self._panel.logic.torch_problem()
        if problem:
            self._panel.failed(problem)
        elif self._follower is not None:
            self._started.go_on(self._follower.folder.name)
            self._follow(self._follower.folder, just_started=True)

    @user_action(_("The training could not be paused."))
    def _pause(self, pause: bool) -> None:
        if self._follower is None or self.progress is None or self.progress.state.is_over:
            return
        if pause:
            self._follower.pause()
        else:
            self._follower.go_on()
        self._poll()

    @user_action(_("The training could not be stopped."))
    def _stop(self, checked: bool = False) -> None:
        if self._follower is not None:
            self._follower.stop()
            self._poll()

    # Follow

    def _find_again(self) -> None:
        """A training that another Slicer started, one that was killed, or the last one of this panel."""
        started = self._started
        running = running_trainings(started.models_folder)
        last = self._panel.setting(_LAST_SETTING)
        if running:
            self._follow(running[0])
        elif last and (started.models_folder / last / "events.jsonl").is_file():
            self._follow(started.models_folder / last)
        elif started.interrupted():
            self._follow(started.models_folder / started.interrupted()[0])

    def _follow(self, folder: Path, *, just_started: bool = False) -> None:
        log = self._started.log(folder.name)
        self._follower = TrainingFollower(folder, log) if just_started else TrainingFollower(folder, log, grace_s=0.0)
        self.progress = TrainingProgress(folder.name)
        self._preview = None
        self._panel.keep_setting(_LAST_SETTING, folder.name)
        self._poll()
        if not self.progress.state.is_over:
            self._timer.start()

    def _tick(self) -> None:
        try:
            self._poll()
        except Exception as error:  # said once, not every second
            self._timer.stop()
            self._panel.failed(_("The training can no longer be followed: {error}").format(error=error))

    def _poll(self) -> None:
        """Reads what is new; cheap, called every second."""
        follower, progress = self._follower, self.progress
        if follower is None or progress is None:
            return
        is_running = follower.is_running()  # before the events: what was written before the end is read
        events = follower.new_events()
        grew = progress.feed(events)
        while events and not is_running:  # of one that ended, nothing is left unread: its last word counts
            events = follower.new_events()
            grew = progress.feed(events) or grew
        words = "" if is_running else follower.last_words()
        progress.look(
            is_running=is_running,
            is_paused=follower.is_paused,
            stop_asked=follower.is_asked_to_stop,
            last_words=words,
        )
        self._show()
        if grew and chart_of(slicer.mrmlScene) is not None:
            self._draw(progress)
        if progress.state.is_over and self._timer.isActive():
            self._timer.stop()
            self._panel.log(progress.sentence(can_go_on=self._started.can_go_on(progress.name)))
            self._panel.models_changed()

    # Show

    def _show(self) -> None:
        progress, follower = self.progress, self._follower
        if progress is None or follower is None:
            return
        can_go_on = progress.state.is_over and self._started.can_go_on(follower.folder.name)
        bad = progress.state in (TrainingState.FAILED, TrainingState.KILLED)
        say(self._ui.trainingLabel, progress.sentence(can_go_on=can_go_on), "refused" if bad else "ok")
        self._ui.trainingProgressBar.visible = not progress.state.is_over
        self._ui.trainingProgressBar.maximum = int(progress.total)
        self._ui.trainingProgressBar.value = int(progress.done)
        self._show_preview()
        self._show_buttons()

    def _show_buttons(self) -> None:
        state = self.progress.state if self.progress is not None else None
        steerable = state in (TrainingState.RUNNING, TrainingState.PAUSED)
        self._ui.startTrainingButton.enabled = state is None or state.is_over
        self._ui.pauseTrainingButton.enabled = steerable
        self._ui.stopTrainingButton.enabled = steerable
        paused = state is TrainingState.PAUSED
        if self._ui.pauseTrainingButton.checked != paused:
            self._ui.pauseTrainingButton.blockSignals(True)
            self._ui.pauseTrainingButton.checked = paused
            self._ui.pauseTrainingButton.blockSignals(False)
        over = state is not None and state.is_over and state is not TrainingState.FINISHED
        name = self._follower.folder.name if self._follower is not None else ""
        self._ui.resumeTrainingButton.visible = bool(over and self._started.can_go_on(name))
        self._ui.showCurvesButton.enabled = self.progress is not None

    def _show_preview(self) -> None:
        """The picture of the last validation; it goes with the training, a copy beside the log stays."""
        if self.progress is None:
            return
        told, kept = self.progress.preview, self._started.preview(self.progress.name)
        wanted = told if told is not None and told.is_file() else kept
        if not wanted.is_file():
            return
        stamp = wanted.with_suffix(f".{wanted.stat().st_mtime_ns}")
        if stamp == self._preview:
            return
        pixmap = qt.QPixmap(str(wanted))
        if pixmap.isNull():
            return
        self._preview = stamp
        if wanted != kept:
            self._started.keep_preview(self.progress.name, wanted)
        label = self._ui.trainingPreviewLabel
        label.setPixmap(pixmap.scaledToWidth(_PREVIEW_WIDTH, qt.Qt.SmoothTransformation))
        label.toolTip = _("Held-out slices, and below them the map so far")
        label.visible = True

    @user_action(_("The curves could not be shown."))
    def _show_curves(self, checked: bool = False) -> None:
        progress = self.progress
        if progress is None:
            return
        if not any(curve.x for curve in progress.curves.values()):
            self._panel.failed(_("There are no figures yet; the first ones come with the first validation."))
            return
        slicer.modules.plots.logic().ShowChartInLayout(self._draw(progress))

    def _draw(self, progress: TrainingProgress) -> Any:
        curves = {name: (curve.x, curve.y) for name, curve in progress.curves.items()}
        return show_curves(slicer.mrmlScene, _("Training of {name}").format(name=progress.name), curves)

    @user_action(_("The card could not be shown."))
    def _show_card(self, checked: bool = False) -> None:
        browser = self._ui.cardBrowser
        if not browser.isHidden():
            browser.visible = False
            self._ui.showCardButton.text = _("Show card")
            return
        card = self._card()
        if card is None:
            self._panel.failed(_("There is no card yet: no model was made, and none is chosen to start from."))
            return
        browser.setMarkdown(card.read_text(encoding="utf-8"))
        browser.visible = True
        self._ui.showCardButton.text = _("Hide card")

    def _card(self) -> Path | None:
        """Card of the model that was made, else of the one to start from."""
        folders = []
        if self.progress is not None and self._follower is not None and self.progress.state.is_over:
            folders.append(self._follower.folder)
        entry = self._panel.logic.model(self._choices.starting_model()) if self._choices.starting_model() else None
        if entry is not None:
            folders.append(Path(entry["folder"]))
        whole = [folder for folder in folders if (folder / "config.json").is_file()]
        return next((folder / "card.md" for folder in whole if (folder / "card.md").is_file()), None)
