"""What goes with the tool in hand: a band's width, and what a mark does to one that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_confseg.annotate.tools.merging import Merge
from napari_confseg.annotate.view import BAND_TOOLS, Tool
from napari_confseg.widgets.parts.look import button, with_key
from napari_confseg.widgets.parts.section import StillWheel
from napari_confseg.widgets.parts.slider_row import SliderRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qtpy.QtWidgets import QToolButton

    from napari_confseg.annotate.session import Session

PER_MM: Final = 10
"""The slider's steps in a millimetre."""

_RULES: Final = {
    Merge.REPLACE: ("Replace", "The new confidence counts, whatever was there"),
    Merge.RAISE: ("Raise", "The higher confidence counts: sure marks stay sure"),
    Merge.LOWER: ("Lower", "The lower confidence counts, and what is unmarked stays so"),
}


class ToolOptions(QWidget):  # type: ignore[misc]
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
        self._links: list[Any] = [events.tool, events.class_name, events.clip, events.merge,
                                  events.band_widths, events.follow_bright, events.save_state,
                                  events.locked, events.hidden]  # fmt: skip
        for signal in self._links:
            signal.connect(self.refresh)
        self.set_keys({})
        self.refresh()

    def close_part(self) -> None:
        """Listen no more."""
        for signal in self._links:
            signal.disconnect(self.refresh, missing_ok=True)
        self._links = []

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the key of the merge rule in its tooltips."""
        for rule, made in self.rules.items():
            made.setToolTip(with_key(_RULES[rule][1], keys.get("merge")))

    def refresh(self, *_: object) -> None:
        """Show what the session says."""
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
