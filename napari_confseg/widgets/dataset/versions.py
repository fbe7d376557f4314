"""Versions page: frozen versions, differences between them, and checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QPlainTextEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.widgets.common.icons import note

if TYPE_CHECKING:
    from napari_confseg.annotate.dataset.model import DatasetState
    from napari_confseg.annotate.dataset.results import VersionLine


class VersionsPage(QWidget):
    """A list of versions.

    Signals
    -------
    changes_wanted : (int, int)
        From the older to the newer of them.
    check_wanted : int
    """

    changes_wanted = Signal(int, int)
    check_wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._versions: tuple[VersionLine, ...] = ()
        self._busy = False
        self.place, self.none = note(), note("Nothing has been frozen there yet.")
        self.list = QTreeWidget()
        self.list.setHeaderLabels(["Version", "clips", "frames", "raters"])
        self.list.setRootIsDecorated(False)
        self.list.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        self.list.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.list.setAccessibleName("Versions")
        self.list.setToolTip("Choose two (Ctrl+click) to compare them, or one with the one before")
        self.list.setFixedHeight(150)
        self.list.itemSelectionChanged.connect(self._update_buttons)
        self.changes = QPushButton("What &changed")
        self.changes.clicked.connect(self._on_changes)
        self.check = QPushButton("Chec&k")
        self.check.setToolTip("Is every file as it was frozen, and the cohort as it was then?")
        self.check.clicked.connect(lambda: self.check_wanted.emit(self._chosen()[-1]))
        self.findings = QPlainTextEdit()
        self.findings.setReadOnly(True)
        self.findings.setAccessibleName("Findings")
        self.findings.setMinimumHeight(120)
        self.findings.setTabChangesFocus(True)
        buttons = QHBoxLayout()
        buttons.addWidget(self.changes, 1)
        buttons.addWidget(self.check, 1)
        layout = QVBoxLayout(self)
        layout.addWidget(self.place)
        layout.addWidget(self.none)
        layout.addWidget(self.list)
        layout.addLayout(buttons)
        layout.addWidget(self.findings, 1)

    def show_state(self, state: DatasetState, *, busy: bool) -> None:
        """Show the versions, and what was found of them."""
        self._busy = busy
        self.place.setText(f"In {state.folder}")
        self.place.setVisible(bool(state.folder))
        if state.versions != self._versions:
            self._versions = state.versions
            self._fill()
        self.none.setVisible(not state.versions)
        text = "\n".join(state.findings)
        if self.findings.toPlainText() != text:
            self.findings.setPlainText(text)
        self._update_buttons()

    def _fill(self) -> None:
        self.list.clear()
        for v in self._versions:
            row = QTreeWidgetItem(
                [f"v{v.number}", str(v.clips), str(v.frames), ", ".join(r.title for r in v.raters)]
            )
            row.setData(0, Qt.ItemDataRole.UserRole, v.number)
            row.setToolTip(0, f"content {v.content}")
            self.list.addTopLevelItem(row)
        if self._versions:
            self.list.setCurrentItem(self.list.topLevelItem(0))

    def _chosen(self) -> list[int]:
        """Return the chosen numbers, rising."""
        role = Qt.ItemDataRole.UserRole
        return sorted(int(item.data(0, role)) for item in self.list.selectedItems())

    def _pair(self) -> tuple[int, int] | None:
        chosen, numbers = self._chosen(), sorted(v.number for v in self._versions)
        if len(chosen) == 2:
            return chosen[0], chosen[1]
        if len(chosen) == 1 and numbers.index(chosen[0]) > 0:
            return numbers[numbers.index(chosen[0]) - 1], chosen[0]
        return None

    def _on_changes(self) -> None:
        pair = self._pair()
        if pair is not None:
            self.changes_wanted.emit(*pair)

    def _update_buttons(self) -> None:
        pair = self._pair()
        self.changes.setText(
            f"What &changed, v{pair[0]} to v{pair[1]}" if pair else "What &changed"
        )
        self.changes.setEnabled(not self._busy and pair is not None)
        self.check.setEnabled(not self._busy and len(self._chosen()) == 1)
