"""Lesions added by clicks in the slice views; borders of lesions changed by the menu beside it."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ClamSegPanel.user_action import user_action
from ClamSegWorkflow.case import border
from ClamSegWorkflow.case.click_outline import ClickOutline
from ClamSegWorkflow.case.doubt_order import DoubtOrder
from ClamSegWorkflow.scene.slice_clicks import SliceClicks

_BORDER_WORDS = {
    border.WIDER: _("Wider"),
    border.TIGHTER: _("Tighter"),
    border.CUT: _("Cut off what hangs on a thin bridge"),
    border.SPLIT: _("Split in two"),
}


class ClickTool:
    """The buttons below the decisions, and the cross in the slice views while lesions are added.

    Args:
        review: the section, with `result`, `refresh` and `show_lesion`.
    """

    def __init__(self, panel: Any, review: Any) -> None:
        self._panel, self._ui, self._review = panel, panel.ui, review
        self._outline: ClickOutline | None = None
        self._clicks: SliceClicks | None = None
        self._doubt = DoubtOrder()
        self._shortcuts: list[Any] = []
        self._conditions: list[str] = []
        ui = self._ui
        ui.clickButton.connect("toggled(bool)", self._toggled)
        ui.takeAwayButton.connect("toggled(bool)", self._take_away)
        ui.clickConditionBox.connect("currentIndexChanged(int)", self._condition_chosen)
        for button, act in (
            (ui.tighterButton, self._tighter), (ui.widerButton, self._wider), (ui.keepButton, self._keep),
            (ui.dropButton, self._drop), (ui.doubtButton, self.go_to_most_doubtful),
        ):  # fmt: skip
            button.connect("clicked(bool)", act)
        self._menu = qt.QMenu(ui.borderButton)
        self._actions: list[Any] = []
        for how, words in _BORDER_WORDS.items():
            self._add_action(words, lambda how=how: self._refine(how))
        self._add_action(_("Merge with the nearest lesion"), self._merge)
        ui.borderButton.setMenu(self._menu)
        self._show()

    @property
    def keys(self) -> dict[str, Any]:
        """Keys of the lesion table that belong to this tool."""
        return {"L": self._ui.clickButton.toggle, "Q": self.go_to_most_doubtful}

    @property
    def is_on(self) -> bool:
        """Whether the cross is in the slice views."""
        return self._outline is not None

    def enable(self, possible: bool) -> None:
        """Greys what needs a result with lesions."""
        for widget in (self._ui.clickButton, self._ui.borderButton, self._ui.doubtButton):
            widget.enabled = possible
        if not possible:
            self.stop()

    def stop(self) -> None:
        """Another result, a closed scene, a reader who left: the proposal is dropped."""
        self._ui.clickButton.checked = False
        self._end()

    def fill_conditions(self, names: dict[str, str]) -> None:
        """The conditions of the result under review."""
        box = self._ui.clickConditionBox
        self._conditions = ["", *names] if len(names) > 1 else list(names)
        box.clear()
        box.addItems([_("most probable"), *names.values()] if len(names) > 1 else list(names.values()))

    # The cross

    def _toggled(self, is_on: bool) -> None:
        if is_on:
            self._begin()
        else:
            self._end()

    @user_action(_("Lesions cannot be added now."))
    def _begin(self) -> None:
        self._end()
        try:
            self._review.take_over_edits()
            self._outline = ClickOutline(self._review.result, self._condition())
        finally:
            if self._outline is None:
                self._ui.clickButton.checked = False
        manager = slicer.app.layoutManager()
        views = []
        for name in manager.sliceViewNames() if manager is not None else ():
            widget = manager.sliceWidget(name)
            widget.sliceView().setDefaultViewCursor(qt.QCursor(qt.Qt.CrossCursor))
            views.append((widget.mrmlSliceNode(), widget.sliceView().interactor()))
        self._clicks = SliceClicks(views, self._clicked)
        self._offer_keys()
        self._show()

    def _end(self) -> None:
        if self._clicks is not None:
            self._clicks.stop()
            manager = slicer.app.layoutManager()
            for name in manager.sliceViewNames() if manager is not None else ():
                manager.sliceWidget(name).sliceView().setDefaultViewCursor(qt.QCursor(qt.Qt.ArrowCursor))
        if self._outline is not None:
            self._outline.drop()
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._clicks, self._outline, self._shortcuts = None, None, []
        self._ui.takeAwayButton.checked = False
        self._show()

    def _offer_keys(self) -> None:
        """Keys that act in the whole window while lesions are added, and only then."""
        window = slicer.util.mainWindow() or self._ui.clickButton
        for key, act in (
            ("Return", self._keep), ("Enter", self._keep), ("Esc", self._drop), ("+", self._wider), ("-", self._tighter),
            ("M", self._ui.takeAwayButton.toggle),
        ):  # fmt: skip
            shortcut = qt.QShortcut(window)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.setAutoRepeat(act in (self._wider, self._tighter))
            shortcut.connect("activated()", lambda act=act: self._by_key(act))
            self._shortcuts.append(shortcut)

    def _by_key(self, act: Any) -> None:
        """A key pressed in a field is meant for what is written there: Return after a size keeps no lesion."""
        field = slicer.app.focusWidget()
        if field is None or not (field.inherits("QLineEdit") or field.inherits("QAbstractSpinBox")):
            act()

    @user_action(_("The lesion could not be outlined."))
    def _clicked(self, ras: list[float], alt: bool) -> None:
        if self._outline is None:
            return
        self._outline.click(ras, alt)
        self._show()

    @user_action(_("The outline could not be changed."))
    def _change_width(self, by: int) -> None:
        if self._outline is not None:
            self._outline.set_width(self._outline.width + by)
            self._show()

    def _wider(self, _checked: bool = False) -> None:
        self._change_width(1)

    def _tighter(self, _checked: bool = False) -> None:
        self._change_width(-1)

    def _take_away(self, takes_away: bool) -> None:
        if self._outline is not None:
            self._outline.takes_away = takes_away

    def _condition(self) -> str:
        index = self._ui.clickConditionBox.currentIndex
        return self._conditions[index] if 0 <= index < len(self._conditions) else ""

    def _condition_chosen(self, _index: int) -> None:
        if self._outline is not None:
            self._outline.choose(self._condition())

    @user_action(_("The lesion could not be added."))
    def _keep(self, _checked: bool = False) -> None:
        if self._outline is None or not self._ui.keepButton.enabled:
            return
        number = self._outline.keep()
        self._ui.takeAwayButton.checked = False
        self._review.refresh()
        self._review.show_lesion(number, jump=False)
        self._show()

    def _drop(self, _checked: bool = False) -> None:
        if self._outline is not None and self._outline.has_clicks:
            self._outline.drop()
            self._show()
        else:
            self.stop()

    def _show(self) -> None:
        outline, ui = self._outline, self._ui
        ui.keepButton.enabled = outline is not None and outline.has_proposal
        for button in (ui.takeAwayButton, ui.widerButton, ui.tighterButton):
            button.enabled = outline is not None and outline.has_clicks
        ui.dropButton.enabled = ui.clickConditionBox.enabled = outline is not None
        ui.clickLabel.text = outline.words() if outline is not None else ""
        ui.clickLabel.visible = outline is not None

    # Borders, doubt

    def _add_action(self, words: str, act: Any) -> None:
        action = qt.QAction(words, self._menu)
        action.connect("triggered()", act)
        self._menu.addAction(action)
        self._actions.append(action)

    @user_action(_("The border could not be changed."))
    def _refine(self, how: str) -> None:
        number = self._review.chosen()
        if number is not None:
            following = border.refine(self._review.result, number, how)
            self._review.refresh()
            self._review.show_lesion(following, jump=following != number)

    @user_action(_("The lesions could not be merged."))
    def _merge(self) -> None:
        number = self._review.chosen()
        if number is None:
            return
        other = border.nearest(self._review.result, number)
        if other is None:
            self._panel.failed(_("There is no other lesion of this condition to merge with."))
            return
        border.merge(self._review.result, number, other)
        self._review.refresh()
        self._review.show_lesion(number)

    @user_action(_("The view could not be changed."))
    def go_to_most_doubtful(self, _checked: bool = False) -> None:
        """The undecided lesion that is most doubtful, then the next one."""
        result = self._review.result
        if result is None or result.lesions is None:
            return
        number = self._doubt.following(result.lesions, self._review.chosen_number())
        if number is None:
            self._panel.log(_("All lesions are decided."))
        else:
            self._review.show_lesion(number)
