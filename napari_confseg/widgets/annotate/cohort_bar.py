"""The head of the panel: cohort, menu, reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QMenu, QToolButton, QWidget

from napari_confseg.widgets.common.buttons import button, icon, with_key
from napari_confseg.widgets.common.elided import ElidedLabel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class CohortBar(QWidget):
    """The cohort's name with a menu, and the reader's."""

    open_wanted = Signal()
    zip_wanted = Signal()
    create_wanted = Signal()
    import_wanted = Signal()
    sample_wanted = Signal()
    close_wanted = Signal()
    recent_wanted = Signal(str)
    reader_wanted = Signal()
    keys_wanted = Signal()
    classes_wanted = Signal()
    reading_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.cohort = ElidedLabel()
        self.cohort.setProperty("role", "title")
        self.reader: QToolButton = button("", "Who reads; click to change", flat=True)
        self.reader.clicked.connect(lambda: self.reader_wanted.emit())
        self.reading: QToolButton = button("", "", checkable=True)
        self.reading.setAccessibleName("Reading layout")
        self.reading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        self.reading.clicked.connect(lambda: self.reading_wanted.emit())
        self.set_keys({})
        self.menu_button: QToolButton = button(
            "☰", "Study folder, import, reader, role, classes and keys", flat=True
        )
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu(self)
        self.menu_button.setMenu(self.menu)
        for words, signal in (
            ("Import clips …", self.import_wanted),
            ("Open a study folder …", self.open_wanted),
            ("Open a zipped study folder …", self.zip_wanted),
            ("New study folder …", self.create_wanted),
            ("Sample study folder", self.sample_wanted),
        ):
            self.menu.addAction(words).triggered.connect(lambda _on=False, s=signal: s.emit())
        self._recent = self.menu.addMenu("Recently opened")
        self.menu.addSeparator()
        self.menu.addAction("Change reader …").triggered.connect(lambda: self.reader_wanted.emit())
        self.menu.addAction("Classes and words of confidence …").triggered.connect(
            lambda: self.classes_wanted.emit()
        )
        self.menu.addAction("Keys …").triggered.connect(lambda: self.keys_wanted.emit())
        self.menu.addAction("Close study folder").triggered.connect(
            lambda: self.close_wanted.emit()
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.cohort, 1)
        layout.addWidget(self.reader, 0, Qt.AlignmentFlag.AlignRight)
        layout.addWidget(self.reading)
        layout.addWidget(self.menu_button)

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the keys, by the id of the action, in the tooltips."""
        tip = "Reading layout: fold napari's lists and controls away, or bring them back"
        self.reading.setToolTip(with_key(tip, keys.get("reading-layout")))

    def set_icon_color(self, color: str) -> None:
        """Draw the icons in `color`."""
        self.reading.setIcon(icon("reading", color))

    def set_cohort(self, name: str, location: str) -> None:
        """Show which cohort is open."""
        self.cohort.setText(name)
        self.cohort.setToolTip(f"{name}\n{location}")

    def set_reader(self, name: str) -> None:
        """Show who reads."""
        self.reader.setText(name or "Who reads?")

    def set_recent(self, locations: Sequence[str]) -> None:
        """Offer these cohorts in the menu."""
        self._recent.clear()
        self._recent.setEnabled(bool(locations))
        for location in locations:
            action = self._recent.addAction(location)
            action.triggered.connect(lambda _on=False, at=location: self.recent_wanted.emit(at))
