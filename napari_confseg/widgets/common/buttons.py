"""Icons, labels and small buttons, as all panels have them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from napari.resources import get_colorized_svg, get_icon_path
from qtpy.QtCore import QByteArray, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtSvg import QSvgRenderer
from qtpy.QtWidgets import QLabel, QToolButton, QWidget

_LONG: Final = re.compile(r"\S{25,}")
_SVG: Final = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><path d="{}"/></svg>'
_OWN: Final = {
    "play": "M28 16 L82 50 L28 84 Z",
    "stop": "M26 26 H74 V74 H26 Z",
    "undo": "M42 18 L14 42 L42 66 V50 C64 50 76 58 80 82 C92 52 76 34 42 34 Z",
    "redo": "M58 18 L86 42 L58 66 V50 C36 50 24 58 20 82 C8 52 24 34 58 34 Z",
    "open": "M50 16 A34 34 0 1 1 49.9 16 Z M50 26 A24 24 0 1 0 50.1 26 Z",
    "exclude": "M18 60 L60 18 H76 L18 76 Z M18 30 L30 18 H44 L18 44 Z M34 82 L82 34 V50 L50 82 Z "
    "M64 82 L82 64 V82 Z",
    "b_line": "M10 16 H90 V26 H64 L70 86 H30 L36 26 H10 Z",
    "pleura": "M8 56 C28 40 72 40 92 56 L90 68 C70 54 30 54 10 68 Z",
    "smart_edge": "M50 12 A38 38 0 1 1 49.9 12 Z M50 22 A28 28 0 1 0 50.1 22 Z "
    "M46 4 H54 V30 H46 Z M46 70 H54 V96 H46 Z M4 46 H30 V54 H4 Z "
    "M70 46 H96 V54 H70 Z",
    "m_mode": "M12 10 H22 V90 H12 Z M34 26 H92 V34 H34 Z M34 48 L48 42 L63 54 L78 42 L92 48 V57 "
    "L78 51 L63 63 L48 51 L34 57 Z M34 72 L48 66 L63 78 L78 66 L92 72 V81 L78 75 L63 87 L48 75 "
    "L34 81 Z",
    "previous": "M68 16 L34 50 L68 84 Z M22 16 H32 V84 H22 Z",
    "reading": "M8 16 H92 V84 H8 Z M18 26 V74 H64 V26 Z M70 26 V74 H82 V26 Z",
    "next": "M32 16 L66 50 L32 84 Z M68 16 H78 V84 H68 Z",
}
"""Icons that napari lacks, as SVG paths in a square of 100."""


@lru_cache(maxsize=128)
def icon(name: str, color: str) -> QIcon:
    """Return an icon of ours or of napari's in `color` (``"#rrggbb"``), sharp on dense screens."""
    svg = _SVG.format(_OWN[name]) if name in _OWN else get_icon_path(name)
    renderer = QSvgRenderer(QByteArray(get_colorized_svg(svg, color, 1).encode()))
    pixmap = QPixmap(64, 64)
    pixmap.fill(QColor(0, 0, 0, 0))
    painter = QPainter(pixmap)
    renderer.render(painter)
    painter.end()
    return QIcon(pixmap)


def set_role(widget: QWidget, **properties: object) -> None:
    """Set properties that the style sheet looks at, and let it look again."""
    for name, value in properties.items():
        widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def label(text: str = "", role: str = "") -> QLabel:
    """Return a label that wraps, in a role of the style sheet."""
    made = QLabel(text)
    made.setWordWrap(True)
    if role:
        made.setProperty("role", role)
    return made


def breakable(text: str) -> str:
    """Return `text` with places to wrap in words too long for a narrow panel, such as names."""
    return _LONG.sub(
        lambda found: "\u200b".join(found[0][i : i + 8] for i in range(0, len(found[0]), 8)), text
    )


def with_key(tip: str, key: str | None) -> str:
    """Return a tooltip that names the key which does the same."""
    return f"{tip}  ({key})" if key else tip


def button(text: str, tip: str, *, flat: bool = False, checkable: bool = False) -> QToolButton:
    """Return a small button that takes the focus by Tab only.

    A click leaves the focus where it is, on the canvas: napari's keys go on working.
    """
    made = QToolButton()
    made.setText(text)
    made.setToolTip(tip)
    made.setCheckable(checkable)
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    if flat:
        made.setProperty("role", "flat")
    return made
