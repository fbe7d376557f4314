"""The style sheet of all panels in napari's themes, and the colours that mean something."""

from __future__ import annotations

from typing import Any, Final

_STYLE: Final = """
QLabel[role="heading"], QToolButton[role="heading"] {{ font-weight: bold; border: none; }}
QLabel[role="title"] {{ font-weight: bold; }}
QLabel[role="note"] {{ color: {faint}; }}
QLabel[role="note"]:disabled {{ color: {secondary}; }}
QLabel[role="caution"] {{ color: {warn}; }}
QLabel[role="error"] {{ color: {text}; font-weight: bold; }}
QFrame[role="problem"] {{ border: 1px solid {error}; border-left: 4px solid {error};
                         border-radius: 3px; }}
QFrame[role="conflict"] {{ border: 1px solid {warn}; border-left: 4px solid {warn};
                          border-radius: 3px; }}
QFrame[role="line"] {{ color: {foreground}; background: {foreground}; max-height: 1px; }}
QLabel[phase="running"], QLabel[phase="starting"] {{ color: {run}; font-weight: bold; }}
QLabel[phase="finished"] {{ color: {done}; font-weight: bold; }}
QLabel[phase="failed"], QLabel[phase="ended"] {{ color: {bad}; font-weight: bold; }}
QLabel[phase="stopped"], QLabel[phase="stopping"] {{ color: {warn}; font-weight: bold; }}
QPushButton[role="primary"] {{ background: {current}; color: {chosen}; font-weight: bold;
                              padding: 6px; }}
QPushButton[role="primary"]:disabled {{ background: {foreground}; color: {secondary}; }}
QPushButton[role="primary"]:focus, QPushButton:focus {{ border: 1px solid {text}; }}
QProgressBar {{ text-align: center; border: 1px solid {primary}; border-radius: 2px; }}
QProgressBar::chunk {{ background: {current}; }}
QTreeWidget {{ background: {background}; }}
QTreeWidget::item {{ padding: 3px 0px; }}
QTreeWidget::item:selected {{ background: {current}; color: {chosen}; }}
QTreeWidget::indicator {{ width: 14px; height: 14px; border-radius: 2px;
                        background: {primary}; }}
QTreeWidget::indicator:checked {{ background: {current}; image: url("theme_{id}:/check.svg"); }}
QTreeWidget::indicator:indeterminate {{ background: {secondary};
                                      image: url("theme_{id}:/minus.svg"); }}
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
QTabBar::tab {{ padding: 3px 5px; }}
QWidget[role="row"] {{ border-radius: 4px; background: transparent; }}
QWidget[role="row"]:hover {{ background: {foreground}; }}
QWidget[role="row"][chosen="true"] {{ background: {foreground}; border: 1px solid {secondary}; }}
QWidget[role="footer"] {{ background: {foreground}; border-radius: 4px; }}
QWidget[role="footer"] QToolButton {{ background: transparent; }}
QWidget[role="footer"] QToolButton:hover {{ background: {primary}; }}
QSpinBox[role="narrow"] {{ min-width: 38px; }}
QSpinBox[role="number"] {{ min-width: 32px; padding: 1px 3px; }}
QSpinBox[role="number"]::up-button, QSpinBox[role="number"]::down-button,
QSpinBox[role="number"]::up-arrow, QSpinBox[role="number"]::down-arrow {{
    width: 0px; image: none; }}
QFrame[role="drop"] {{ border: 1px dashed {secondary}; border-radius: 6px; }}
QFrame[role="drop"][hovered="true"] {{ border: 2px solid {current}; }}
"""

_DARK: Final = {
    "faint": "#a9b0b8",
    "key": "#6a727b",
    "run": "#6ea8fe",
    "done": "#5fd38d",
    "bad": "#ff7b7b",
    "warn": "#e3b617",
    "chosen": "#ffffff",
}
_LIGHT: Final = {
    "faint": "#5a6068",
    "key": "#a3a8ae",
    "run": "#2457c5",
    "done": "#12753d",
    "bad": "#b3261e",
    "warn": "#8a5a00",
    "chosen": "#1c1d20",
}
_TAKEN: Final = (
    "background",
    "foreground",
    "primary",
    "secondary",
    "text",
    "error",
    "current",
)

CHOSEN: Final = {"dark": _DARK["chosen"], "light": _LIGHT["chosen"]}
GOOD: Final = {"dark": "#5fd38d", "light": "#12753d"}
WAIT: Final = {"dark": "#f4c15d", "light": "#8a5a00"}
BAD: Final = {"dark": "#ff7b7b", "light": "#b3261e"}
CALM: Final = {"dark": "#8fb8ff", "light": "#2457c5"}


def stylesheet(theme: Any) -> str:
    """Return the panels' style sheet in the colours of a napari theme."""
    colors = {name: getattr(theme, name).as_hex() for name in _TAKEN}
    colors["id"] = theme.id
    return _STYLE.format(**colors, **(_DARK if theme.type == "dark" else _LIGHT))
