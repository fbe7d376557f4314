"""A list of names to tick: for the hundreds of clips that a cohort may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class TickList(QListWidget):  # type: ignore[misc]
    """Emits `chosen` with the set of ticked names when a person changes one."""

    chosen = Signal(object)

    def __init__(self, what: str) -> None:
        super().__init__()
        self.setAccessibleName(what)
        self.setFixedHeight(140)
        self.setUniformItemSizes(True)
        self.itemChanged.connect(self._on_changed)

    def show_names(self, names: Sequence[str], ticked: Collection[str]) -> None:
        """Show `names`; rows are made anew only if there are others."""
        self.blockSignals(True)
        if self.names() != list(names):
            self.clear()
            for name in names:
                self.addItem(QListWidgetItem(name))
        for i, name in enumerate(names):
            on = Qt.CheckState.Checked if name in ticked else Qt.CheckState.Unchecked
            self.item(i).setCheckState(on)
        self.blockSignals(False)

    def names(self) -> list[str]:
        """Return all names."""
        return [self.item(i).text() for i in range(self.count())]

    def _on_changed(self, _: QListWidgetItem) -> None:
        on = Qt.CheckState.Checked
        items = (self.item(i) for i in range(self.count()))
        self.chosen.emit(frozenset(i.text() for i in items if i.checkState() == on))
