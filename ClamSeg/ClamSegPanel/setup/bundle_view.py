"""Offline bundles: made by downloading and packing, installed after every file was checked; the window goes on."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from ClamSegPanel.setup.bundle_words import bundle_problem
from ClamSegPanel.setup.installation_steps import engine_is_among, packages_of_bundle
from ClamSegPanel.setup.kept_packages import error_of_pip
from ClamSegPanel.setup.offline_bundle import (
    MODELS,
    bundle_process_arguments,
    download_arguments,
    install_arguments,
    python_words,
    requirements_of,
)
from ClamSegPanel.user_action import user_action


class BundleView:
    """One bundle at a time; a second click on its button ends it and takes away what is half done."""

    def __init__(self, panel: Any, setup: Any) -> None:
        self._panel, self._ui, self._setup = panel, panel.ui, setup
        self._command: Any = None
        self._answer: dict[str, Any] = {}
        self._folder: Path | None = None
        self._texts = [(button, button.text) for button in (self._ui.makeBundleButton, self._ui.installBundleButton)]
        self._ui.makeBundleButton.connect("clicked(bool)", self._make)
        self._ui.installBundleButton.connect("clicked(bool)", self._install)

    def close(self) -> None:
        """The window goes."""
        if self._command is not None:
            self._command.kill()
        self._end("")

    # Make

    @user_action(_("The bundle could not be made."))
    def _make(self, checked: bool = False) -> None:
        if self._cancelled():
            return
        from ClamSegLib.model.registry import list_models
        from ClamSegLib.system.paths import user_models_folder

        report = self._panel.logic.installation
        requirements = requirements_of(report.get("packages") or {}, packages_of_bundle(report))
        own = sum(entry["origin"] == "user" for entry in list_models())
        question = _(
            "These packages will be downloaded for {python}: {packages}. With your {own} model(s) they go into one file, "
            "of up to several gigabytes. Continue?"
        )
        words = question.format(python=python_words(), packages=", ".join(requirements), own=own)
        if not self._panel.ask(_("Make bundle?"), words):
            return
        kinds = _("Offline bundles (*.zip)")
        chosen = qt.QFileDialog.getSaveFileName(self._panel.widget, _("Save bundle"), "clamseg-offline.zip", kinds)
        if not chosen:
            return
        target = Path(chosen)
        wheels = Path(tempfile.mkdtemp(prefix=".clamseg-wheels-", dir=target.parent))
        self._begin(self._ui.makeBundleButton, wheels)
        self._setup.say(_("Packages are being downloaded; you can go on working."))
        values = {"target": str(target), "wheels": str(wheels), "models": str(user_models_folder())}
        self._run(
            download_arguments(requirements, wheels),
            lambda code, out, err: self._downloaded(code, out, err, values, requirements),
        )

    @user_action(_("The bundle could not be made."))
    def _downloaded(self, code: int, output: str, error: str, values: dict[str, Any], requirements: list[str]) -> None:
        from ClamSegLib import __version__

        if code:
            told = error_of_pip(output + "\n" + error)
            self._fail(_("The packages could not be downloaded: {words}").format(words=told))
            return
        about = {"clamseg": __version__, "requirements": requirements}
        self._run(bundle_process_arguments("make", {**values, "about": about}), self._made)

    @user_action(_("The bundle could not be made."))
    def _made(self, code: int, output: str, error: str) -> None:
        if self._answer.get("event") != "done":
            self._fail(self._problem(error))
            return
        size = self._answer["bytes"] / 1e6
        self._end(_("The bundle is ready, {mb:.0f} MB; use Install bundle on the other computer.").format(mb=size))

    # Install

    @user_action(_("The bundle could not be installed."))
    def _install(self, checked: bool = False) -> None:
        if self._cancelled():
            return
        refused = self._setup.refused()
        if refused:
            self._panel.failed(refused)
            return
        kinds = _("Offline bundles (*.zip)")
        chosen = qt.QFileDialog.getOpenFileName(self._panel.widget, _("Open bundle"), "", kinds)
        if not chosen:
            return
        self._begin(self._ui.installBundleButton, Path(tempfile.mkdtemp(prefix="clamseg-bundle-")))
        self._setup.say(_("Every file of the bundle is being checked."))
        values = {"bundle": str(chosen), "folder": str(self._folder)}
        self._run(bundle_process_arguments("unpack", values), self._unpacked)

    @user_action(_("The bundle could not be installed."))
    def _unpacked(self, code: int, output: str, error: str) -> None:
        folder = self._folder
        if self._answer.get("event") != "done" or folder is None:
            self._fail(self._problem(error))
            return
        manifest = self._answer["manifest"]
        models = sorted({name.split("/")[1] for name in manifest["files"] if name.startswith(f"{MODELS}/")})
        question = _("All files are intact. Install {packages} and the models: {models}?")
        words = question.format(packages=", ".join(manifest["requirements"]), models=", ".join(models) or _("none"))
        if not self._panel.ask(_("Install bundle?"), words):
            self._end(_("Nothing was installed."))
            return
        calls = install_arguments(folder, manifest, torch_is_broken=self._setup.torch_is_broken())
        told: list[str] = []

        def install() -> None:
            for arguments in calls:
                self._setup.installer.install_with(arguments)
            told.extend(self._import_models(folder, models))

        try:
            if self._setup.install_now(install) and engine_is_among(manifest["requirements"]):
                self._setup.engine.try_it()
        finally:
            self._end(_("Installed from the bundle. {told}").format(told=" ".join(told)) if told else "")
            self._panel.models_changed()

    @staticmethod
    def _import_models(folder: Path, names: list[str]) -> list[str]:
        """What became of each model; one that is there already stays."""
        from ClamSegLib.model.own_models import import_model
        from ClamSegLib.system.errors import ClamSegError

        told = []
        for name in names:
            try:
                import_model(folder / MODELS / name)
                told.append(_("'{name}' is among your models.").format(name=name))
            except ClamSegError as error:
                told.append(str(error))
        return told or [_("It holds no models.")]

    # The process behind

    def _begin(self, button: Any, folder: Path) -> None:
        self._folder = folder
        for other, _words in self._texts:
            other.enabled = other == button
        button.text = _("Cancel")

    def _run(self, arguments: list[str], on_end: Any) -> None:
        from ClamSegPanel.qt_command import SingleCommand

        self._answer = {}
        self._command = SingleCommand([], on_end, self._event, arguments=arguments)

    def _event(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            words = _("Packing: {n} %") if event["stage"] == "make" else _("Checking: {n} %")
            self._setup.say(words.format(n=event["done"]))
        elif event["event"] in ("done", "error"):
            self._answer = event
        elif event["event"] == "log":
            self._panel.log(event["message"])

    def _problem(self, error: str) -> str:
        if self._answer.get("event") == "error":
            return bundle_problem(str(self._answer["kind"]), dict(self._answer["values"]))
        lines = [line for line in error.splitlines() if line.strip()]
        return _("The process ended without a result. {words}").format(words=lines[-1] if lines else "")

    def _cancelled(self) -> bool:
        """Ends what is under way; whether there was something."""
        if self._command is None:
            return False
        self._command.kill()
        self._end(_("Cancelled; nothing was kept."))
        return True

    def _fail(self, text: str) -> None:
        self._end(text)
        self._panel.failed(text)

    def _end(self, text: str) -> None:
        self._command = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        for button, words in self._texts:
            button.text = words
            button.enabled = True
        if text:
            self._setup.say(text)
