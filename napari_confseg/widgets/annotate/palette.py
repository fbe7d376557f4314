"""The class palette: colour, key, visibility, lock, counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.widgets.common.buttons import button, icon, label, set_role
from napari_confseg.widgets.common.elided import ElidedLabel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qtpy.QtGui import QMouseEvent

    from napari_confseg.store import ClassSpec


class ClassRow(QFrame):
    """One class. Click to mark it; the eye hides it or, with Alt, all others; the lock keeps it."""

    chosen = Signal(str)
    shown_wanted = Signal(str, bool)
    solo_wanted = Signal(str)
    lock_wanted = Signal(str, bool)

    def __init__(self, spec: ClassSpec, key: str) -> None:
        super().__init__()
        self.name = spec.name
        self._label = spec.label
        self.setProperty("role", "row")
        self.setFixedHeight(25)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        swatch = QLabel()
        swatch.setFixedSize(14, 14)
        swatch.setStyleSheet(f"background: {spec.color}; border-radius: 3px;")
        self.title, self.count, keycap = ElidedLabel(spec.label), label(role="note"), QLabel(key)
        self.count.setWordWrap(False)
        keycap.setProperty("role", "key")
        keycap.setMinimumWidth(22)
        keycap.setAlignment(Qt.AlignmentFlag.AlignCenter)
        keycap.setVisible(bool(key))
        self.eye: QToolButton = button("", "", flat=True, checkable=True)
        self.eye.setChecked(True)
        self.eye.clicked.connect(self._on_eye)
        self.lock: QToolButton = button("", "", flat=True, checkable=True)
        self.lock.clicked.connect(lambda on: self.lock_wanted.emit(self.name, on))
        for made in (self.eye, self.lock):  # Qt leaves room for words else
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(7, 0, 3, 0)
        layout.setSpacing(4)
        layout.addWidget(swatch)
        layout.addWidget(self.title, 1)
        for widget in (self.count, keycap, self.eye, self.lock):
            layout.addWidget(widget)
        self.setToolTip(f"Mark {spec.label}" + (f"  ({key})" if key else ""))
        self.set_count(0, 0)

    def set_chosen(self, chosen: bool) -> None:
        """Show whether strokes go to this class."""
        set_role(self, chosen="true" if chosen else "false")
        font = self.title.font()
        font.setBold(chosen)
        self.title.setFont(font)

    def set_shown(self, shown: bool, color: str) -> None:
        """Show whether its marks are in sight; `color` is the icon's."""
        self.eye.setChecked(shown)
        self.eye.setIcon(icon("visibility" if shown else "visibility_off", color))
        self.eye.setToolTip(
            f"{'Hide' if shown else 'Show'} {self._label}; with Alt: mark it and show it alone"
        )

    def set_locked(self, locked: bool, color: str) -> None:
        """Show whether its marks are locked; `color` is the icon's."""
        self.lock.setChecked(locked)
        self.lock.setIcon(icon("lock" if locked else "lock_open", color))
        self.lock.setToolTip(
            f"Unlock {self._label}"
            if locked
            else f"Lock {self._label}: nothing but undo changes its marks"
        )

    def _on_eye(self, on: bool) -> None:
        if QApplication.keyboardModifiers() & Qt.KeyboardModifier.AltModifier:
            self.solo_wanted.emit(self.name)
        else:
            self.shown_wanted.emit(self.name, on)

    def set_count(self, frames: int, strokes: int) -> None:
        """Show in how many frames it is marked, by how many strokes."""
        self.count.setText(f"{frames} fr." if frames else "–")
        self.count.setToolTip(
            f"Marked in {frames} frame{'s' * (frames != 1)} "
            f"by {strokes} stroke{'s' * (strokes != 1)}"
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the class."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.chosen.emit(self.name)

    def keyPressEvent(self, event: QEvent) -> None:
        """Choose the class with Space or Return, as a button would."""
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return):
            self.chosen.emit(self.name)
        else:
            super().keyPressEvent(event)


class ClassPalette(QWidget):
    """All classes of the cohort."""

    chosen = Signal(str)
    shown_wanted = Signal(str, bool)
    solo_wanted = Signal(str)
    lock_wanted = Signal(str, bool)

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, ClassRow] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)

    def set_classes(self, classes: Sequence[ClassSpec], keys: Mapping[str, str]) -> None:
        """Show these classes, with their keys by name."""
        for row in self.rows.values():
            self._layout.removeWidget(row)
            row.deleteLater()
        self.rows = {}
        for spec in classes:
            row = ClassRow(spec, keys.get(spec.name, ""))
            row.chosen.connect(self.chosen)
            row.shown_wanted.connect(self.shown_wanted)
            row.solo_wanted.connect(self.solo_wanted)
            row.lock_wanted.connect(self.lock_wanted)
            self.rows[spec.name] = row
            self._layout.addWidget(row)

    def set_chosen(self, name: str) -> None:
        """Show which class takes the strokes."""
        for row in self.rows.values():
            row.set_chosen(row.name == name)

    def set_hidden(self, hidden: frozenset[str], color: str) -> None:
        """Show which classes are out of sight; `color` is the icons'."""
        for row in self.rows.values():
            row.set_shown(row.name not in hidden, color)

    def set_locked(self, locked: frozenset[str], color: str) -> None:
        """Show which classes are locked; `color` is the icons'."""
        for row in self.rows.values():
            row.set_locked(row.name in locked, color)

    def set_counts(self, frames: Mapping[str, int], strokes: Mapping[str, int]) -> None:
        """Show how much of each class is marked."""
        for name, row in self.rows.items():
            row.set_count(frames.get(name, 0), strokes.get(name, 0))
