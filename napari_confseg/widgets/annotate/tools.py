"""The section Tool: tools, their options, the style of marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.tools.merging import Merge
from napari_confseg.annotate.view import BAND_TOOLS, Style, Tool
from napari_confseg.widgets.common.buttons import button, icon, with_key
from napari_confseg.widgets.common.section import StillWheel
from napari_confseg.widgets.common.slider_row import SliderRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_confseg.annotate.session import Session


_STYLES: Final = {
    Style.FILL: ("Fill", "The surer, the more opaque"),
    Style.CONTOURS: (
        "Contours",
        "Reads without colour: the surer, the more lines; dotted below the first word",
    ),
    Style.HATCHING: ("Hatching", "Reads without colour: the surer, the denser the lines"),
}


class StyleRow(QWidget):
    """Three buttons, one of them down; remembered for the person."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.buttons: dict[Style, QToolButton] = {}
        title = QLabel("Marks as")
        title.setMinimumWidth(title.fontMetrics().horizontalAdvance("Show from  x"))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        row.addWidget(title)
        for style, (name, tip) in _STYLES.items():
            made = button(name, tip, checkable=True)
            made.setAutoExclusive(True)  # a click on the one that is down does not let it go
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            made.clicked.connect(lambda _on=False, s=style: setattr(session, "style", s))
            self.buttons[style] = made
            row.addWidget(made)
        self._links = links_of(self, (session.events.style, self._on_style))
        self._show()

    def close_part(self) -> None:
        """Follow the session no longer."""
        self._links.cut()

    def _on_style(self, style: Style, *_: object) -> None:
        Preferences.load().model_copy(update={"style": style}).save()
        self._show()

    def _show(self) -> None:
        for style, made in self.buttons.items():
            made.setChecked(style is self._session.style)


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
_M_MODE: Final = (
    "One beam over time: click or drag on the picture to place it. Nothing is marked; Esc leaves"
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
    Tool.M_MODE: ("m_mode", "M-mode", _M_MODE),
}
NAMED: Final = (Tool.B_LINE, Tool.PLEURA, Tool.SMART_EDGE)
"""Tools that show their name: an icon alone would not explain them."""

MARKLESS: Final = (Tool.PAN, Tool.M_MODE)
"""Tools that write nothing."""

SIZED: Final = (Tool.BRUSH, Tool.ERASE, Tool.EXCLUDE)
"""Tools to which the brush's size matters."""


class ToolBox(QWidget):
    """Icons of tools in a row, named ones beneath, then the brush's size."""

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
            made.setAutoExclusive(True)  # a click on the one that is lit does not put it out
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
        self._why_read_only = ""
        self.set_keys({})

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the keys, by the id of the action, in the tooltips."""
        self._keys = keys
        for tool, made in self.buttons.items():
            _, name, tip = _TOOLS[tool]
            tip = with_key(f"{name}: {tip}", keys.get(f"tool.{tool.value}"))
            made.setToolTip((tool not in MARKLESS and self._why_read_only) or tip)
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

    def set_read_only(self, why: str) -> None:
        """Offer the tools that write only where one may; else their tooltips say `why` not."""
        self._why_read_only = why
        for tool, made in self.buttons.items():
            made.setEnabled(not why or tool in MARKLESS)
        self.set_keys(self._keys)


PER_MM: Final = 10
"""The slider's steps in a millimetre."""

_RULES: Final = {
    Merge.REPLACE: ("Replace", "The new confidence counts, whatever was there"),
    Merge.RAISE: ("Raise", "The higher confidence counts: sure marks stay sure"),
    Merge.LOWER: ("Lower", "The lower confidence counts, and what is unmarked stays so"),
}


class ToolOptions(QWidget):
    """The band's width while a band tool is in hand, and the merge rule.

    Parameters
    ----------
    session : Session
        What it shows and asks.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.width_ = SliderRow("Width", 2, 200, "mm", "Width of the band")
        self.width_.slider.installEventFilter(StillWheel(self))
        self.width_.wanted.connect(self._on_width_wanted)
        self.follow = QCheckBox("Follow the bright line")
        self.follow.setToolTip("Shift at the second click: the other way, once")
        self.follow.clicked.connect(lambda on: setattr(session, "follow_bright", on))
        self.rules: dict[Merge, QToolButton] = {}
        row = QHBoxLayout()
        row.setSpacing(3)
        title = QLabel("Over marks")
        title.setMinimumWidth(title.fontMetrics().horizontalAdvance("Show from  x"))
        row.addWidget(title)
        for rule, (name, _) in _RULES.items():
            made = button(name, "", checkable=True)
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            made.clicked.connect(lambda _on=False, r=rule: self._on_rule_wanted(r))
            self.rules[rule] = made
            row.addWidget(made, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.width_)
        layout.addWidget(self.follow)
        layout.addLayout(row)
        events = session.events
        heard = (
            events.tool,
            events.class_name,
            events.clip,
            events.merge,
            events.band_widths,
            events.follow_bright,
            events.save_state,
            events.locked,
            events.hidden,
        )
        self._links = links_of(self, *((signal, self.refresh) for signal in heard))
        self.set_keys({})
        self.refresh()

    def close_part(self) -> None:
        """Listen no more."""
        self._links.cut()

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the key of the merge rule in its tooltips."""
        for rule, made in self.rules.items():
            made.setToolTip(with_key(_RULES[rule][1], keys.get("merge")))

    def refresh(self, *_: object) -> None:
        """Show the session's settings."""
        session = self._session
        tool = session.view().tool
        for rule, made in self.rules.items():
            made.setChecked(rule is session.merge)
        self.width_.setVisible(tool in BAND_TOOLS)
        self.follow.setVisible(tool is Tool.PLEURA)
        self.follow.setChecked(session.follow_bright)
        if tool in BAND_TOOLS:
            width = session.band_widths.of(tool.value, self._unit())
            if self._unit() == "mm":
                self.width_.set_value(round(width * PER_MM), f"{width:.1f} mm")
            else:
                self.width_.set_value(round(width), f"{width:.0f} px")

    def _unit(self) -> Literal["mm", "px"]:
        clip = self._session.clip
        return "mm" if clip is not None and clip.meta.spacing else "px"

    def _on_width_wanted(self, value: int) -> None:
        session, unit = self._session, self._unit()
        width = value / PER_MM if unit == "mm" else float(value)
        session.band_widths = session.band_widths.changed(session.view().tool.value, unit, width)

    def _on_rule_wanted(self, rule: Merge) -> None:
        self._session.merge = rule
        self.refresh()  # a click on the rule that holds does not let it go
