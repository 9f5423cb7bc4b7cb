"""Setup: what is installed and works, install and repair, a faster engine, models, bundles."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ClamSegPanel.colours import paint, say
from ClamSegPanel.columns import let_give_way
from ClamSegPanel.setup.bundle_view import BundleView
from ClamSegPanel.setup.faster_engine_view import FasterEngineView
from ClamSegPanel.setup.installation_steps import (
    InstallationSteps,
    carry_out,
    installation_lines,
    steps_to_install,
    steps_to_repair,
)
from ClamSegPanel.setup.models_view import ModelsView
from ClamSegPanel.setup.slicer_installer import SlicerInstaller
from ClamSegPanel.setup.support_view import SupportView
from ClamSegPanel.user_action import user_action


class SetupSection:
    """The state of this computer.

    Attributes:
        installer: installs on a click; tests put another one in its place.
        engine: the offer of a faster engine.
    """

    def __init__(self, panel: Any) -> None:
        self._panel, self._ui = panel, panel.ui
        self.installer: Any = SlicerInstaller()
        self._looking = False
        table = self._ui.packageTable
        table.setHorizontalHeaderLabels([_("Part"), _("Version"), _("State")])
        let_give_way(table, 0)
        table.verticalHeader().visible = False
        self._models = ModelsView(panel, self.say)
        self.engine = FasterEngineView(panel, self)
        self._bundles = BundleView(panel, self)
        self._support = SupportView(panel, self.say)
        self._ui.refreshButton.connect("clicked(bool)", self._look_again)
        self._ui.installButton.connect("clicked(bool)", self._install)
        self._ui.repairButton.connect("clicked(bool)", self._repair)

    def look(self) -> None:
        """Asks the worker what is there and works; the window goes on meanwhile."""
        if self._looking:
            return
        self._looking = True
        say(self._ui.setupLabel, _("Packages and GPUs are being checked."))
        self._panel.logic.look_at_installation(self._looked)

    def fill_models(self) -> None:
        """Models came or went."""
        self._models.fill()

    def close(self) -> None:
        """The window goes: what is being looked at, downloaded or packed ends."""
        self.engine.close()
        self._bundles.close()

    def say(self, text: str) -> None:
        """A sentence at the end of the section."""
        self._ui.setupStateLabel.text = text

    def changed(self) -> None:
        """Packages came or went: the worker starts anew and looks again."""
        self._looking = False
        self.engine.interrupted()
        self._panel.logic.worker.kill()
        self.look()
        self.engine.go_on()

    def refused(self) -> str:
        """Why nothing may be installed now; '' where it may."""
        if self._panel.segment.run.job.is_busy:
            return _("A segmentation is running; cancel it, or wait for it to finish.")
        progress = self._panel.training.progress
        if progress is not None and not progress.state.is_over:
            return _("A training is running and uses these packages; stop it, or wait for it to finish.")
        return ""

    def torch_is_broken(self) -> bool:
        """Whether PyTorch is there and does not work."""
        report = self._panel.logic.installation
        return report.get("torch") is None and (report.get("packages") or {}).get("torch") is not None

    # What was found

    def _looked(self, problem: str) -> None:
        self._looking = False
        report = self._panel.logic.installation
        problems = [problem] if problem else list(report.get("problems") or [])
        words = "\n".join(problems) or _("Everything that is needed is installed and works.")
        say(self._ui.setupLabel, words, "refused" if problems else "ok")
        self._ui.setupSection.collapsed = self._ui.setupSection.collapsed and not problems
        self.show(report)
        self._panel.review.show_installation()
        self._panel.models_changed()

    def show(self, report: dict[str, Any]) -> None:
        """Fills the table, and offers an engine where that helps."""
        self.engine.show(report)
        lines = installation_lines(report) if report else []
        table = self._ui.packageTable
        table.rowCount = len(lines)
        for row, line in enumerate(lines):
            for column, text in enumerate((line.part, line.version, line.state)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                paint(item, "ok" if line.works else "refused", table)
                table.setItem(row, column, item)

    # Clicks

    def _look_again(self, checked: bool = False) -> None:
        self.look()

    @user_action(_("The packages could not be installed."))
    def _install(self, checked: bool = False) -> None:
        steps = steps_to_install(self._panel.logic.installation, is_there=lambda name: find_spec(name) is not None)
        if steps.for_slicer:
            text = _("{names} belong to Slicer itself and are missing; reinstall Slicer.")
            self._panel.failed(text.format(names=", ".join(steps.for_slicer)))
        elif steps.is_nothing:
            self.say(_("Nothing is missing."))
        else:
            question = _(
                "{what} will be downloaded and installed in this Slicer. This may take several minutes. Continue?"
            )
            self._carry_out(steps, question)

    @user_action(_("PyTorch could not be repaired."))
    def _repair(self, checked: bool = False) -> None:
        steps = steps_to_repair(self._panel.logic.installation)
        again = _(
            "PyTorch will be removed, and {what} will be downloaded and installed again for this computer. Continue?"
        )
        anew = _("{what} is downloaded and installed for this computer; there is none yet. Go on?")
        self._carry_out(steps, again if steps.remove_torch_first else anew)

    def _carry_out(self, steps: InstallationSteps, question: str) -> None:
        """Asks and does it; what stands in the way is said in place of the question."""
        refused = self.refused()
        if refused:
            self._panel.failed(refused)
        elif steps.torch and not self.installer.has_torch_extension():
            self._offer_torch_extension()
        elif self._panel.ask(_("Install?"), question.format(what=steps.words())):
            self.install_now(lambda: carry_out(steps, self.installer))

    def _offer_torch_extension(self) -> None:
        text = _(
            "PyTorch comes through Slicer's extension PyTorch, which is not installed here. Open the Extensions Manager "
            "to install it? Restart Slicer afterwards and click Install again. Without a network use Install bundle."
        )
        self.say(_("Not installed: Slicer's extension PyTorch is missing."))
        if self._panel.ask(_("Extensions Manager?"), text):
            self.installer.open_extensions_manager()

    def install_now(self, install: Callable[[], None], *, restart: bool = True) -> bool:
        """Ends the worker, which holds the packages' files, installs, and looks again whatever came of it.

        Args:
            install: may raise whatever the installer raises;
            restart: PyTorch may have been replaced, and Slicer is to be restarted where it holds the one of before.

        Returns:
            Whether it was installed.
        """
        refused = self.refused()
        if refused:
            self._panel.failed(refused)
            return False
        self._panel.logic.worker.kill()
        self.say(_("Installing."))
        try:
            install()
        except Exception as error:  # pip, the network and the PyTorch extension fail in many ways
            self.say(_("Not installed; what was installed before may be incomplete."))
            self._panel.failed(_("The installation failed. {error}").format(error=error))
            self.changed()
            return False
        self.say(_("Installed."))
        self.changed()
        question = _("This Slicer still has the previous PyTorch in memory. Restart it now?")
        if restart and self.installer.needs_restart() and self._panel.ask(_("Restart?"), question):
            slicer.util.restart()
        return True
