"""The painting tools, the brush's size, and how marks show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.view import BAND_TOOLS, Tool
from napari_confseg.widgets.parts.look import button, icon, with_key
from napari_confseg.widgets.parts.slider_row import SliderRow

if TYPE_CHECKING:
    from collections.abc import Mapping

_B_LINE: Final = (
    "Click where it leaves the pleura, then its other edge, or a point further down for one that "
    "leans. A drag will do; Esc gives up"
)
_PLEURA: Final = (
    "Click the two ends; the band follows the brightest line between. With Shift at the second "
    "click it goes straight. A drag will do; Esc gives up"
)
_SMART_EDGE: Final = (
    "Draw a rough polygon, double click to finish: its edge settles on that of the picture"
)
_TOOLS: Final = {
    Tool.PAN: ("pan_arrows", "Move", "Move and zoom the picture; Space does it for a moment"),
    Tool.BRUSH: ("paint", "Brush", "Paint with the brush; hold the right button to ring an area"),
    Tool.POLYGON: ("polygon", "Polygon", "Click corner by corner; double click to finish"),
    Tool.FILL: ("fill", "Fill", "Give a whole area the confidence; click it"),
    Tool.ERASE: ("erase", "Erase", "Take marks of this class away"),
    Tool.EXCLUDE: ("exclude", "Exclude", "Mark what nobody can judge: nothing is learnt there"),
    Tool.B_LINE: ("b_line", "B-line", _B_LINE),
    Tool.PLEURA: ("pleura", "Pleura", _PLEURA),
    Tool.SMART_EDGE: ("smart_edge", "Smart edge", _SMART_EDGE),
}
NAMED: Final = (Tool.B_LINE, Tool.PLEURA, Tool.SMART_EDGE)
"""Tools that show their name: an icon alone would not say enough."""

SIZED: Final = (Tool.BRUSH, Tool.ERASE, Tool.EXCLUDE)
"""Tools to which the brush's size matters."""


class ToolBox(QWidget):  # type: ignore[misc]
    """napari's tools in a row, ours beneath, then the brush's size."""

    wanted = Signal(str)
    size_wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.buttons: dict[Tool, QToolButton] = {}
        row, named = QHBoxLayout(), QHBoxLayout()
        row.setSpacing(3)
        named.setSpacing(3)
        for tool, (_, name, _tip) in _TOOLS.items():
            made = button(name, "", checkable=True)
            if tool not in NAMED:
                made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            made.setIconSize(QSize(18, 18) if tool not in NAMED else QSize(13, 13))
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            made.clicked.connect(lambda _on=False, t=tool: self.wanted.emit(t.value))
            self.buttons[tool] = made
            (named if tool in NAMED else row).addWidget(made, 1)
        self.size = SliderRow("Brush size", 1, 100, "px", "")
        self.size.wanted.connect(self.size_wanted)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addLayout(named)
        layout.addWidget(self.size)
        self.set_keys({})

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the keys, by the id of the action, in the tooltips."""
        for tool, made in self.buttons.items():
            _, name, tip = _TOOLS[tool]
            made.setToolTip(with_key(f"{name}: {tip}", keys.get(f"tool.{tool.value}")))
        sizes = [keys.get(f"{which}-brush", "") for which in ("smaller", "larger")]
        both = " and ".join(key for key in sizes if key)
        self.size.setToolTip(with_key("Diameter of brush and eraser", both))

    @staticmethod
    def name_of(tool: Tool) -> str:
        """Return the tool's name as people read it."""
        return _TOOLS[tool][1]

    def set_icons(self, color: str, chosen: str) -> None:
        """Draw the icons in `color`, that of the chosen tool in `chosen`."""
        for tool, made in self.buttons.items():
            made.setIcon(icon(_TOOLS[tool][0], chosen if made.isChecked() else color))

    def set_tool(self, tool: Tool) -> None:
        """Show which tool the mouse is."""
        for other, made in self.buttons.items():
            made.setChecked(other is tool)
        self.size.setVisible(tool not in BAND_TOOLS)  # their width takes its place
        self.size.setEnabled(tool in SIZED)

    def set_writable(self, writable: bool) -> None:
        """Offer the tools that write only where writing is possible."""
        for tool, made in self.buttons.items():
            made.setEnabled(writable or tool is Tool.PAN)
