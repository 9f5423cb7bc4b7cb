"""Check folder: the dataset doctor as a process of its own, and its table."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from ClamSegPanel.colours import paint, say
from ClamSegPanel.columns import let_give_way
from ClamSegPanel.training_choices import TrainingChoices
from ClamSegPanel.user_action import user_action
from ClamSegWorkflow.training.doctor_table import DoctorTable, read_doctor


class DoctorView:
    """Runs the doctor on a click and shows what it found; a second click ends it."""

    def __init__(self, panel: Any, choices: TrainingChoices) -> None:
        self._panel, self._ui, self._choices = panel, panel.ui, choices
        self._command: Any = None
        table = self._ui.doctorTable
        table.setHorizontalHeaderLabels(["", _("Found")])
        table.wordWrap = True
        let_give_way(table, 1)
        # Lines grow where the panel is narrow: the advice is read, not scrolled.
        table.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        table.verticalHeader().visible = False
        self._ui.checkFolderButton.connect("clicked(bool)", self._clicked)

    def close(self) -> None:
        """The window goes: the doctor ends."""
        self._stop()

    @user_action(_("The folder could not be checked."))
    def _clicked(self, checked: bool = False) -> None:
        from ClamSegPanel.qt_command import SingleCommand

        if self._command is not None:
            self._stop()
            self.say(_("The check was cancelled."))
            return
        plan = self._choices.plan()
        problem = plan.problem_of_data()
        if problem:
            self._panel.failed(problem)
            return
        self._ui.doctorTable.rowCount = 0
        self._ui.checkFolderButton.text = _("Cancel check")
        self.say(_("The folder is being checked."))
        self._command = SingleCommand(plan.check_words(), self._ended, self._event)

    def say(self, text: str, severity: str = "ok") -> None:
        """A sentence under the buttons."""
        say(self._ui.trainingLabel, text, severity)

    def _stop(self) -> None:
        if self._command is not None:
            self._command.kill()
        self._command = None
        self._ui.checkFolderButton.text = _("Check folder")

    def _event(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            words = _("{stage}: {done} of {total}")
            self.say(words.format(stage=_(event["stage"]), done=event["done"], total=event["total"]))

    @user_action(_("The result of the check could not be shown."))
    def _ended(self, exit_code: int, output: str, error: str) -> None:
        self._command = None
        self._ui.checkFolderButton.text = _("Check folder")
        found = read_doctor(exit_code, output, error)
        self._show(found)
        self.say(found.summary, "refused" if found.refused else "ok")

    def _show(self, found: DoctorTable) -> None:
        table = self._ui.doctorTable
        table.rowCount = len(found.lines)
        for row, line in enumerate(found.lines):
            words = _("{check}: {found}. What to do: {advice}.") if line.advice else _("{check}: {found}")
            told = words.format(check=line.check, found=line.found, advice=line.advice)
            for column, text in enumerate((_(line.severity), told)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                paint(item, line.severity, table)
                table.setItem(row, column, item)
