"""The row with the state of saving, undo and redo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_confseg.annotate.save_state import SaveCondition, SaveDescription
from napari_confseg.widgets.common.buttons import breakable, button, icon, label, with_key
from napari_confseg.widgets.common.theme import BAD, CALM, GOOD, WAIT

_SYMBOL: Final = {
    SaveCondition.IDLE: ("open", None),
    SaveCondition.SAVED: ("check", GOOD),
    SaveCondition.WAITING: ("warning", WAIT),
    SaveCondition.LOCKED: ("lock", CALM),
    SaveCondition.CONTESTED: ("lock", WAIT),
    SaveCondition.LOST: ("error", BAD),
}

_LOUD: Final = frozenset(SaveCondition) - {SaveCondition.SAVED, SaveCondition.IDLE}

if TYPE_CHECKING:
    from collections.abc import Mapping


class SaveStateRow(QWidget):
    """A symbol, a line of text, undo and redo; a button to take over where that may help."""

    undo_wanted = Signal()
    redo_wanted = Signal()
    take_over_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "footer")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._shown, self._theme, self._color = (
            SaveDescription(SaveCondition.IDLE, ""),
            "dark",
            "#ffffff",
        )
        self.symbol, self.line, self.detail = QLabel(), label(), label(role="note")
        self.undo = button("Undo", "")
        self.redo = button("Redo", "")
        for made, signal in ((self.undo, self.undo_wanted), (self.redo, self.redo_wanted)):
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            made.clicked.connect(lambda _on=False, s=signal: s.emit())
        self.take_over = QPushButton("Take over")
        self.take_over.setToolTip("Paint here, once nobody else holds this clip under this name")
        self.take_over.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.take_over.clicked.connect(lambda: self.take_over_wanted.emit())
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.symbol, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.line, 1)
        row.addWidget(self.undo, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.redo, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 5, 5, 5)
        layout.setSpacing(3)
        layout.addLayout(row)
        layout.addWidget(self.detail)
        layout.addWidget(self.take_over)

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the keys, by the id of the action, in the tooltips."""
        tip = "Undo, also what was done in an earlier sitting"
        self.undo.setToolTip(with_key(tip, keys.get("undo")))
        self.redo.setToolTip(with_key("Redo", keys.get("redo")))

    def set_theme(self, theme: str, color: str) -> None:
        """Draw for a ``"dark"`` or ``"light"`` theme whose text has `color`."""
        self._theme, self._color = theme, color
        self.set_description(self._shown)

    def set_description(self, description: SaveDescription) -> None:
        """Show the state of saving."""
        self._shown = description
        name, colors = _SYMBOL[description.condition]
        color = self._color if colors is None else colors[self._theme]
        self.symbol.setPixmap(icon(name, color).pixmap(16, 16))
        self.line.setText(breakable(description.line))
        self.line.setToolTip(description.detail)
        self.line.setStyleSheet(
            f"color: {color}; font-weight: bold;" if description.condition in _LOUD else ""
        )
        loud = description.condition in _LOUD
        self.detail.setText(breakable(description.detail))
        self.detail.setVisible(loud and bool(description.detail))
        self.take_over.setVisible(description.condition is SaveCondition.LOCKED)
        self.take_over.setText("Take over" if description.held else "Try again")

    def set_undo(self, can_undo: bool, can_redo: bool) -> None:
        """Offer undo and redo where there is something to."""
        for made, can, name in ((self.undo, can_undo, "undo"), (self.redo, can_redo, "redo")):
            made.setEnabled(can)
            made.setIcon(icon(name, self._color if can else "#808080"))
