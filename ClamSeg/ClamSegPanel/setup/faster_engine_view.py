"""The offer of a faster engine in Setup: asked, looked at, installed, tried; whatever fails leaves the panel as it was."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from ClamSegPanel.setup.faster_engine import (
    FasterEngine,
    engine_for,
    install_arguments,
    installed,
    is_offered,
    look_arguments,
    question,
    why_not,
)
from ClamSegPanel.setup.kept_packages import write_constraints
from ClamSegPanel.user_action import user_action
from ClamSegWorkflow.scene import SceneError


class FasterEngineView:
    """Shown where it helps, and where the engine is installed and can be removed.

    Its button offers, ends the look at what would be installed, or removes. An engine that failed its trial, or whose trial
    was ended with the worker, does not stay; it is removed once no run is under way.
    """

    def __init__(self, panel: Any, setup: Any) -> None:
        self._panel, self._ui, self._setup = panel, panel.ui, setup
        self._command: Any = None
        self._folder: Path | None = None
        self._is_trying = False
        self._farewell: Callable[[], None] | None = None  # tells of an engine that is still to be removed
        self._texts = self._ui.engineLabel.text, self._ui.engineButton.text, self._ui.engineButton.toolTip
        self._ui.engineButton.connect("clicked(bool)", self._clicked)
        self.show({})

    @property
    def _engine(self) -> FasterEngine:
        """The one that is in use here, or offered."""
        return engine_for(self._panel.logic.installation)

    def show(self, report: dict[str, Any]) -> None:
        """The worker has looked."""
        engine = engine_for(report)
        is_there, looks = engine.kind in installed(report), self._command is not None
        label, button, tip = self._texts
        if is_there:
            label = _("{name} computes on the processor where it is faster.").format(name=engine.name)
            button, tip = (
                _("Remove {name}...").format(name=engine.name),
                _("Asks first; ClamSeg then computes as before"),
            )
        if looks:
            button = _("Cancel")
        self._ui.engineLabel.text, self._ui.engineButton.text, self._ui.engineButton.toolTip = label, button, tip
        self._ui.engineButton.accessibleName = button
        self._ui.engineLabel.visible = self._ui.engineButton.visible = is_offered(report) or is_there or looks

    def close(self) -> None:
        """The window goes."""
        self._is_trying, self._farewell = False, None
        if self._command is not None:
            self._command.kill()
        self._end()

    def interrupted(self) -> None:
        """The worker is about to end, and a trial with it."""
        if self._is_trying:
            self._is_trying = False
            words = _("{name} was removed because its trial was interrupted; Compute faster tries it again.")
            self._farewell = lambda: self._setup.say(words.format(name=self._engine.name))

    def go_on(self) -> None:
        """No run is under way any more: an engine that could not be removed before goes now."""
        if self._farewell is not None:
            self._panel.logic.later(self._remove_failed)

    def try_it(self) -> None:
        """Has the worker, which starts anew, compute with the engine: one that ends the process would end every run."""
        models = self._panel.logic.models()
        if not models:
            return
        self._is_trying = True

        def answered(event: dict[str, Any]) -> None:
            self._is_trying = event["event"] not in ("done", "error")
            if event["event"] == "done":
                words = _("{name} is installed and computes as the trained network does; longer runs use it if faster.")
                self._setup.say(words.format(name=self._engine.name))
            elif event["event"] == "error":
                self._failed(event["message"])

        self._setup.say(_("{name} is installed and is being tried.").format(name=self._engine.name))
        self._panel.logic.worker.request("try_engine", answered, engine=self._engine.kind, model=models[0]["folder"])

    @user_action(_("The faster engine could not be installed or removed."))
    def _clicked(self, checked: bool = False) -> None:
        if self._command is not None:
            self.close()
            self._setup.say(_("Cancelled; nothing was installed."))
            return
        if self._engine.kind in installed(self._panel.logic.installation):
            self._remove()
            return
        refused = self._setup.refused()
        if refused:
            self._panel.failed(refused)
        elif self._panel.ask(_("Compute faster?"), question(self._engine)):
            self._look()

    def _remove(self) -> None:
        if self._panel.segment.run.job.is_busy:  # a training does not use the engine
            self._panel.failed(self._setup.refused())
            return
        words = _(
            "{name} is removed from this Slicer; ClamSeg computes as before, more slowly on many processors. Continue?"
        )
        if self._panel.ask(_("Remove?"), words.format(name=self._engine.name)):
            self._take_away()

    def _look(self) -> None:
        """Asks pip, in a process of its own, whether the engine can be added without replacing anything."""
        from ClamSegPanel.qt_command import SingleCommand

        self._folder = Path(tempfile.mkdtemp(prefix="clamseg-engine-"))
        kept = write_constraints(self._folder)
        self._setup.say(_("Checking whether {name} fits this Slicer.").format(name=self._engine.name))
        self._command = SingleCommand([], self._looked, arguments=look_arguments(self._engine, kept))
        self.show(self._panel.logic.installation)

    @user_action(_("The faster engine could not be installed."))
    def _looked(self, code: int, output: str, error: str) -> None:
        try:
            if code:
                self._setup.say(_("{name} was not installed.").format(name=self._engine.name))
                self._panel.failed(why_not(self._engine, output + "\n" + error))
                return
            if self._folder is None:
                return
            kept = write_constraints(self._folder)
            if self._setup.install_now(lambda: self._add(kept), restart=False):
                self.try_it()
            else:
                self._setup.say(_("{name} was not installed.").format(name=self._engine.name))
        finally:
            self._end()

    def _add(self, kept: Path) -> None:
        try:
            self._setup.installer.install_with(install_arguments(self._engine, kept))
        except Exception as error:  # pip and the network fail in many ways
            words = _("pip could not add {name} ({error}); ClamSeg computes as before. Slicer's log says more.")
            raise SceneError(words.format(name=self._engine.name, error=error)) from error

    def _failed(self, message: str) -> None:
        """Has the engine taken away again: at the end of a run that came in between, which would be ended by that."""
        words = _("{name} does not compute on this computer and was removed; ClamSeg computes as before. {message}")
        self._farewell = lambda: self._panel.failed(words.format(name=self._engine.name, message=message))
        self._setup.say(
            _("{name} does not compute on this computer; it is being removed.").format(name=self._engine.name)
        )
        self._remove_failed()

    @user_action(_("The engine that does not compute here could not be removed."))
    def _remove_failed(self) -> None:
        farewell = self._farewell
        if farewell is not None and not self._panel.segment.run.job.is_busy:
            self._take_away()
            farewell()

    def _take_away(self) -> None:
        self._is_trying, self._farewell = False, None
        self._panel.logic.worker.kill()
        self._setup.installer.remove([self._engine.package])
        self._setup.changed()
        self._setup.say(_("{name} was removed.").format(name=self._engine.name))

    def _end(self) -> None:
        self._command = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self.show(self._panel.logic.installation)
