"""The lesion table: one line a lesion, keys that work only while the table has the focus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from ClamSegPanel.columns import let_give_way
from ClamSegWorkflow.case.lesion_row import LesionRow
from ClamSegWorkflow.case.review_text import decision_words, size_words, slices_words
from ClamSegWorkflow.case.table_view import COLUMNS, TableView, next_undecided

_LINE_HEIGHT_PX = 22
_SIZE_COLUMN = 2


class LesionTable:
    """Fills a QTableWidget and tells which lesion is chosen.

    Args:
        widget: the table of the window.
        on_choose: called with the number of a lesion that the reader clicked or went to.
        keys: key -> what it does while the table has the focus.

    Attributes:
        view: order and filters; `show` changes them.
    """

    def __init__(self, widget: Any, on_choose: Callable[[int], None], keys: dict[str, Callable[[], None]]) -> None:
        self._widget, self._on_choose = widget, on_choose
        self.view = TableView()
        self._all: list[LesionRow] = []
        self._names: Mapping[str, str] = {}
        self._rows: list[LesionRow] = []
        self._filling = False
        widget.verticalHeader().hide()
        widget.verticalHeader().setDefaultSectionSize(_LINE_HEIGHT_PX)
        let_give_way(widget, _SIZE_COLUMN)
        widget.horizontalHeader().setSectionsClickable(True)
        widget.horizontalHeader().connect("sectionClicked(int)", self._sort)
        widget.connect("itemSelectionChanged()", self._chosen)
        widget.connect("cellClicked(int,int)", self._clicked)
        self._shortcuts = []
        for key, action in keys.items():
            shortcut = qt.QShortcut(widget)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
            shortcut.setAutoRepeat(False)  # a held key would decide on lesions that nobody has seen
            shortcut.connect("activated()", action)
            self._shortcuts.append(shortcut)

    def fill(self, rows: Sequence[LesionRow], names: Mapping[str, str]) -> None:
        """Shows the lesions; the chosen one stays chosen where it is still there.

        Args:
            names: of every condition of the model, by its id; a single one is not repeated in each line.
        """
        chosen = self.chosen()
        self._filling = True
        try:
            self._all, self._names = list(rows), names
            self._rows = self.view.rows(rows)
            self._widget.setRowCount(len(self._rows))
            for line, row in enumerate(self._rows):
                self._fill_line(line, row, names)
        finally:
            self._filling = False
        self.choose(chosen)

    def show(self, view: TableView) -> None:
        """Shows the lesions in another order, or others of them."""
        self.view = view
        self.fill(self._all, self._names)

    def _sort(self, column: int) -> None:
        self.show(self.view.sorted_by(COLUMNS[column]))
        header = self._widget.horizontalHeader()
        header.setSortIndicatorShown(True)
        header.setSortIndicator(column, qt.Qt.DescendingOrder if self.view.descending else qt.Qt.AscendingOrder)

    def _fill_line(self, line: int, row: LesionRow, names: Mapping[str, str]) -> None:
        condition = names[row.condition]
        name = f"{row.number} {condition}" if len(names) > 1 else str(row.number)
        texts = (
            name, slices_words(row), size_words(row), f"{row.mean_probability:.2f}",
            f"{row.mean_doubt:.2f}", decision_words(row.decision),
        )  # fmt: skip
        told = _("Lesion {number}, {condition}, slices {slices}, {size}, {state}").format(
            number=row.number, condition=condition, slices=slices_words(row), size=size_words(row),
            state=row.decision.value,
        )  # fmt: skip
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(told)
            self._widget.setItem(line, column, item)

    def chosen(self) -> int | None:
        """Number of the chosen lesion."""
        line = self._widget.currentRow()
        return self._rows[line].number if 0 <= line < len(self._rows) else None

    def choose(self, number: int | None) -> None:
        """Chooses a lesion without jumping to it; None or a lesion that is gone chooses none."""
        line = next((n for n, row in enumerate(self._rows) if row.number == number), -1)
        self._filling = True
        try:
            if line < 0:
                self._widget.clearSelection()
                self._widget.setCurrentCell(-1, -1)
            else:
                self._widget.selectRow(line)
        finally:
            self._filling = False

    def rows(self) -> list[LesionRow]:
        """The lines as they are shown."""
        return list(self._rows)

    def next_undecided(self, before: Sequence[LesionRow], number: int) -> int | None:
        """The undecided lesion below the one that was decided on, else the first of all.

        Args:
            before: the lines as they were when the reader decided.
        """
        return next_undecided(before, self._rows, number)

    def _chosen(self) -> None:
        if not self._filling and self._widget.selectedItems():
            self._tell()

    def _clicked(self, line: int, column: int) -> None:
        self._tell()

    def _tell(self) -> None:
        number = self.chosen()
        if number is not None:
            self._on_choose(number)
