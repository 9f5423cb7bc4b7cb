"""The offer of a faster engine in Setup: asked, looked at, installed, tried; whatever fails leaves the panel as it was."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from ClamSegPanel.faster_engine import (
    ENGINE,
    NAME,
    PACKAGE,
    install_arguments,
    is_offered,
    look_arguments,
    question,
    why_not,
)
from ClamSegPanel.kept_packages import write_constraints
from ClamSegPanel.user_action import user_action
from ClamSegScene import SceneError


class FasterEngineView:
    """Shown only where it helps; a second click on its button ends the look at what would be installed."""

    def __init__(self, panel: Any, setup: Any) -> None:
        self._panel, self._ui, self._setup = panel, panel.ui, setup
        self._command: Any = None
        self._folder: Path | None = None
        self._text = self._ui.engineButton.text
        self._ui.engineButton.connect("clicked(bool)", self._install)
        self.show({})

    def show(self, report: dict[str, Any]) -> None:
        """The worker has looked."""
        shown = is_offered(report) or self._command is not None
        self._ui.engineLabel.visible = self._ui.engineButton.visible = shown

    def close(self) -> None:
        """The window goes."""
        if self._command is not None:
            self._command.kill()
        self._end()

    def try_it(self) -> None:
        """Has the worker, which starts anew, compute with the engine: one that ends the process would end every run."""
        models = self._panel.logic.models()
        if not models:
            return

        def answered(event: dict[str, Any]) -> None:
            if event["event"] == "done":
                words = _("{name} is installed and computes as the trained network does; longer runs use it if faster.")
                self._setup.say(words.format(name=NAME))
            elif event["event"] == "error":
                self._failed(event["message"])

        self._setup.say(_("{name} is installed and is being tried.").format(name=NAME))
        self._panel.logic.worker.request("try_engine", answered, engine=ENGINE, model=models[0]["folder"])

    @user_action(_("The faster engine could not be installed."))
    def _install(self, checked: bool = False) -> None:
        if self._command is not None:
            self.close()
            self._setup.say(_("Cancelled; nothing was installed."))
            return
        refused = self._setup.refused()
        if refused:
            self._panel.failed(refused)
        elif self._panel.ask(_("Compute faster?"), question()):
            self._look()

    def _look(self) -> None:
        """Asks pip, in a process of its own, whether the engine can be added without replacing anything."""
        from ClamSegRunner.single_command import SingleCommand

        self._folder = Path(tempfile.mkdtemp(prefix="clamseg-engine-"))
        kept = write_constraints(self._folder)
        self._setup.say(_("Whether {name} fits this Slicer is being looked at.").format(name=NAME))
        self._ui.engineButton.text = _("Cancel")
        self._command = SingleCommand([], self._looked, arguments=look_arguments(kept))

    @user_action(_("The faster engine could not be installed."))
    def _looked(self, code: int, output: str, error: str) -> None:
        try:
            if code:
                self._setup.say(_("{name} was not installed.").format(name=NAME))
                self._panel.failed(why_not(output + "\n" + error))
                return
            kept = write_constraints(self._folder)
            if self._setup.install_now(lambda: self._add(kept), restart=False):
                self.try_it()
            else:
                self._setup.say(_("{name} was not installed.").format(name=NAME))
        finally:
            self._end()

    def _add(self, kept: Path) -> None:
        try:
            self._setup.installer.install_with(install_arguments(kept))
        except Exception as error:  # pip and the network fail in many ways
            words = _("pip could not add {name} ({error}); ClamSeg computes as before. Slicer's log says more.")
            raise SceneError(words.format(name=NAME, error=error)) from error

    @user_action(_("The engine that does not compute here could not be removed."))
    def _failed(self, message: str) -> None:
        """Takes the engine away again, unless a run that came in between would be ended by that."""
        if self._setup.refused():
            words = _("{name} does not compute on this computer: {message}")
            self._panel.failed(words.format(name=NAME, message=message))
            return
        self._panel.logic.worker.kill()
        self._setup.installer.remove([PACKAGE])
        self._setup.changed()
        self._setup.say(_("{name} was removed.").format(name=NAME))
        words = _("{name} does not compute on this computer and was removed; ClamSeg computes as before. {message}")
        self._panel.failed(words.format(name=NAME, message=message))

    def _end(self) -> None:
        self._command = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._ui.engineButton.text = self._text
        self.show(self._panel.logic.installation)
