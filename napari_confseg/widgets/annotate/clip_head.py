"""The head of the Annotate panel's page: the open clip, its place in the list, the way on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_confseg.annotate.links import links_of
from napari_confseg.widgets.common.buttons import button, icon, with_key
from napari_confseg.widgets.common.elided import ElidedLabel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_confseg.annotate.session import Session

_SOON: Final = 100
"""Milliseconds in which several changes of the list show once."""


class ClipHead(QWidget):
    """Name of the clip and where it stands in the work list; buttons to go on in it.

    Parameters
    ----------
    session : Session
        What is shown.
    """

    step_wanted = Signal(int)  # the next (1) or the previous (-1) clip is to be opened
    to_do_wanted = Signal()
    list_wanted = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.name = ElidedLabel()
        self.name.setProperty("role", "title")
        self.place = QLabel()
        self.place.setProperty("role", "note")
        self.previous: QToolButton = button("", "")
        self.next: QToolButton = button("", "")
        self.to_do: QToolButton = button("Next to do", "")
        self.list: QToolButton = button("Work list", "", checkable=True)
        self.previous.clicked.connect(lambda: self.step_wanted.emit(-1))
        self.next.clicked.connect(lambda: self.step_wanted.emit(1))
        self.to_do.clicked.connect(self.to_do_wanted)
        self.list.clicked.connect(self.list_wanted)
        for made, name in ((self.previous, "Previous clip"), (self.next, "Next clip")):
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            made.setAccessibleName(name)
        for made in (self.to_do, self.list):
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.buttons = {
            "next-clip": self.next,
            "previous-clip": self.previous,
            "next-to-do": self.to_do,
            "work-list": self.list,
        }
        self.set_keys({})
        top, row = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self.name, 1)
        top.addWidget(self.place)
        row.setSpacing(4)
        for made in (self.previous, self.next, self.to_do, self.list):
            row.addWidget(made)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 0, 2)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addLayout(row)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON)
        self._soon.timeout.connect(self.show_now)
        self._links = links_of(
            self,
            (session.worklist.changed, self._on_changed),
            (session.events.clip, self.show_now),
        )
        self.show_now()

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Show the keys in the tooltips."""
        for action, words in (
            ("previous-clip", "Previous clip of the work list"),
            ("next-clip", "Next clip of the work list"),
            ("next-to-do", "Open the next clip of the work list with work left"),
            ("work-list", "Show or hide the work list: every clip, to find, sort and open"),
        ):
            self.buttons[action].setToolTip(with_key(words, keys.get(action)))

    def set_icon_color(self, color: str) -> None:
        """Draw the icons in `color`."""
        self.previous.setIcon(icon("previous", color))
        self.next.setIcon(icon("next", color))

    def set_list_shown(self, shown: bool) -> None:
        """Show whether the work list is in sight."""
        self.list.setChecked(shown)

    def close_part(self) -> None:
        """Let go of the session."""
        self._soon.stop()
        self._links.cut()

    def _on_changed(self, *_: object) -> None:
        if not self._soon.isActive():
            self._soon.start()

    def show_now(self, *_: object) -> None:
        """Show the clip, and where it is in the list."""
        clip, work = self._session.clip, self._session.worklist
        current = clip.name if clip else None
        names = work.names(current)
        self.name.setText(current or "No clip is open")
        facts = work.facts.get(current or "")
        about = [f"patient {clip.meta.patient}" if clip else "", facts.zone if facts else ""]
        self.name.setToolTip("\n".join([current or "", *filter(None, about)]))
        narrowed = " listed" if len(names) < len(work.facts) else ""
        at = f"{names.index(current) + 1:,} of " if current in names else ""
        self.place.setText(f"{at}{len(names):,}{narrowed}")
