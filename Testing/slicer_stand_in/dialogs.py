"""Message boxes and file dialogs: nothing is shown, all is kept, and the test gives the answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import slicer
import slicer.util
from PySide6 import QtWidgets

from slicer_stand_in.qt_module import qt


@dataclass
class Dialogs:
    """What was shown, and what the user answers.

    Attributes:
        shown: (kind, title, text) of each message; kind is 'error', 'warning' or 'info' (questions, too).
        says_yes: the answer to questions.
        paths: what file dialogs give, one after the other; empty means that the user cancels.
        texts: what text dialogs give, one after the other.
    """

    shown: list[tuple[str, str, str]] = field(default_factory=list)
    says_yes: bool = True
    paths: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def errors(self) -> list[str]:
        """Texts of the errors shown so far."""
        return [text for kind, _title, text in self.shown if kind == "error"]

    def reset(self) -> None:
        """As a new user."""
        self.shown, self.says_yes, self.paths, self.texts = [], True, [], []


DIALOGS = Dialogs()
_LEVELS = {40: "error", 30: "warning", 20: "info"}


def _message_display(
    logLevel: int,
    text: str,
    testingReturnValue: Any,
    mainWindowNeeded: bool = False,
    parent: Any = None,
    windowTitle: str | None = None,
    **kwargs: Any,
) -> Any:
    """In the place of the box that slicer.util's displays all end in."""
    if not isinstance(text, str):
        raise TypeError(f"A message must be text, not {text!r}")
    DIALOGS.shown.append((_LEVELS[logLevel], windowTitle or "", text))
    buttons = kwargs.get("standardButtons")
    yes_no = buttons is not None and int(buttons) & int(qt.QMessageBox.Yes)
    retry = buttons is not None and int(buttons) & int(qt.QMessageBox.Retry)
    good = qt.QMessageBox.Yes if yes_no else qt.QMessageBox.Retry if retry else qt.QMessageBox.Ok
    return good if DIALOGS.says_yes else qt.QMessageBox.Cancel


def _next(answers: list[str]) -> str:
    return answers.pop(0) if answers else ""


class QFileDialog(QtWidgets.QFileDialog):
    """Gives the test's paths instead of asking."""

    @staticmethod
    def getExistingDirectory(*arguments: Any) -> str:
        return _next(DIALOGS.paths)

    @staticmethod
    def getOpenFileName(*arguments: Any) -> str:
        return _next(DIALOGS.paths)

    @staticmethod
    def getSaveFileName(*arguments: Any) -> str:
        return _next(DIALOGS.paths)


class QInputDialog(QtWidgets.QInputDialog):
    """Gives the test's texts instead of asking."""

    def exec(self) -> Any:
        answer = _next(DIALOGS.texts)
        if not answer:
            return QtWidgets.QDialog.DialogCode.Rejected
        self.setTextValue(answer)
        return QtWidgets.QDialog.DialogCode.Accepted


class QMessageBox(QtWidgets.QMessageBox):
    """Is kept like the messages of slicer.util, and answered."""

    def exec(self) -> Any:
        DIALOGS.shown.append(("info", self.windowTitle(), self.text()))
        yes, no = QtWidgets.QMessageBox.StandardButton.Yes, QtWidgets.QMessageBox.StandardButton.No
        ok, cancel = QtWidgets.QMessageBox.StandardButton.Ok, QtWidgets.QMessageBox.StandardButton.Cancel
        asked = self.standardButtons()
        return (yes if asked & yes else ok) if DIALOGS.says_yes else (no if asked & no else cancel)


def install() -> None:
    """slicer.util's messages end here."""
    slicer.util._messageDisplay = _message_display
    slicer.util.messageBox = lambda text, parent=None, **kwargs: _message_display(
        20, text, None, parent=parent, **kwargs
    )
