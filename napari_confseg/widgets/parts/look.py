"""How the Annotate panel looks in napari's themes: style sheet, icons, manners of its widgets."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from napari.resources import get_colorized_svg, get_icon_path
from qtpy.QtCore import QByteArray, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtSvg import QSvgRenderer
from qtpy.QtWidgets import QLabel, QToolButton, QWidget

from napari_confseg.widgets.parts.theme import stylesheet as common

_STYLE: Final = """
QLabel[role="start-title"] {{ font-size: 17pt; font-weight: bold; }}
QLabel[role="percent"] {{ font-size: 22pt; font-weight: bold; }}
QLabel[role="word"] {{ font-size: 14pt; }}
QLabel[role="key"] {{ color: {faint}; border: 1px solid {key}; border-radius: 3px;
                     padding: 0px 3px; font-size: 8pt; }}
QToolButton {{ padding: 3px; border-radius: 3px; background: {foreground}; color: {text}; }}
QToolButton:hover {{ background: {primary}; }}
QToolButton:checked {{ background: {current}; color: {chosen}; }}
QToolButton:disabled {{ color: {secondary}; background: {background}; }}
QToolButton:focus {{ border: 1px solid {text}; }}
QToolButton[role="flat"], QToolButton[role="heading"], QToolButton[role="heading"]:checked {{
    background: transparent; color: {text}; padding: 1px; }}
QToolButton[role="flat"]:hover, QToolButton[role="heading"]:hover {{ background: {foreground}; }}
QPlainTextEdit {{ background: {foreground}; border: none; border-radius: 2px; }}
QToolButton::menu-indicator {{ image: none; }}
QPushButton:disabled {{ color: {secondary}; }}
QWidget[role="row"] {{ border-radius: 4px; background: transparent; }}
QWidget[role="row"]:hover {{ background: {foreground}; }}
QWidget[role="row"][chosen="true"] {{ background: {foreground}; border: 1px solid {secondary}; }}
QWidget[role="footer"] {{ background: {foreground}; border-radius: 4px; }}
QWidget[role="footer"] QToolButton {{ background: transparent; }}
QWidget[role="footer"] QToolButton:hover {{ background: {primary}; }}
QFrame[role="drop"] {{ border: 1px dashed {secondary}; border-radius: 6px; }}
QFrame[role="drop"][hovered="true"] {{ border: 2px solid {current}; }}
"""

_DARK: Final = {"faint": "#a9b0b8", "key": "#6a727b", "chosen": "#ffffff"}
_LIGHT: Final = {"faint": "#5a6068", "key": "#a3a8ae", "chosen": "#1c1d20"}
_TAKEN: Final = ("background", "foreground", "primary", "secondary", "text", "current")

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
    "previous": "M68 16 L34 50 L68 84 Z M22 16 H32 V84 H22 Z",
    "next": "M32 16 L66 50 L32 84 Z M68 16 H78 V84 H68 Z",
}  # fmt: skip
"""Icons that napari lacks, as SVG paths in a square of 100."""

CHOSEN: Final = {"dark": _DARK["chosen"], "light": _LIGHT["chosen"]}
GOOD: Final = {"dark": "#5fd38d", "light": "#12753d"}
WAIT: Final = {"dark": "#f4c15d", "light": "#8a5a00"}
BAD: Final = {"dark": "#ff7b7b", "light": "#b3261e"}
CALM: Final = {"dark": "#8fb8ff", "light": "#2457c5"}


def stylesheet(theme: Any) -> str:
    """Return the panel's style sheet in the colours of a napari theme."""
    colors = {name: getattr(theme, name).as_hex() for name in _TAKEN}
    return common(theme) + _STYLE.format(**colors, **(_DARK if theme.type == "dark" else _LIGHT))


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
