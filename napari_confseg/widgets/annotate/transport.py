"""Timeline, playing and reviewing, pinned below the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_confseg.widgets.annotate.timeline import TimelineView
from napari_confseg.widgets.common.buttons import button, icon, with_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_confseg.annotate.session import Session


class Transport(QWidget):
    """The timeline with its buttons.

    Parameters
    ----------
    session : Session
        What the timeline shows.
    """

    frame_wanted = Signal(int)
    play_wanted = Signal(bool)
    open_frame_wanted = Signal(int)
    reviewed_wanted = Signal(bool)
    class_reviewed_wanted = Signal(bool)
    on_wanted = Signal()  # reviewed, and on to the next

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.timeline = TimelineView(session)
        self.timeline.wanted.connect(self.frame_wanted)
        self.where = QLabel()
        self._keys: Mapping[str, str] = {}
        self._class_label = ""
        self.play = button("", "", checkable=True)
        self.play.clicked.connect(self.play_wanted)
        self.previous = button("", "")
        self.previous.clicked.connect(lambda: self.open_frame_wanted.emit(-1))
        self.next = button("", "")
        self.next.clicked.connect(lambda: self.open_frame_wanted.emit(1))
        self.reviewed = button("", "", checkable=True)
        self.reviewed.clicked.connect(self.reviewed_wanted)
        self.class_reviewed = button("", "", checkable=True)
        self.class_reviewed.clicked.connect(self.class_reviewed_wanted)
        self.on = button("Reviewed, next", "")
        self.on.clicked.connect(self.on_wanted)
        for made, name in (
            (self.play, "Play"),
            (self.previous, "Previous"),
            (self.next, "Next"),
        ):
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            made.setAccessibleName(name)
        for made in (self.reviewed, self.class_reviewed):
            made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        top, bottom = QHBoxLayout(), QHBoxLayout()
        top.setSpacing(4)
        bottom.setSpacing(4)
        top.addWidget(self.play)
        top.addWidget(self.where, 1)
        top.addWidget(self.previous)
        top.addWidget(self.next)
        top.addWidget(self.on)
        bottom.addWidget(self.reviewed, 1)
        bottom.addWidget(self.class_reviewed, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.timeline)
        layout.addLayout(bottom)
        self._why_read_only = ""
        self.set_keys({})

    def close_part(self) -> None:
        """Follow the session no longer."""
        self.timeline.close_part()

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the keys, by the id of the action, in the tooltips."""
        self._keys = keys
        for made, tip, name in (
            (self.play, "Play or stop", "play"),
            (self.previous, "Previous unreviewed frame", "previous-open"),
            (self.next, "Next unreviewed frame", "next-open"),
            (self.reviewed, "All classes: what is not marked here, is not here", "reviewed"),
            (
                self.class_reviewed,
                f"What is not marked here as {self._class_label}, is not here",
                "class-reviewed",
            ),
            (
                self.on,
                "What is not marked here, is not here; and on to the next unreviewed frame",
                "reviewed-on",
            ),
        ):
            made.setToolTip(with_key(tip, keys.get(name)))
        if self._why_read_only:
            for made in (self.reviewed, self.class_reviewed, self.on):
                made.setToolTip(self._why_read_only)

    def set_icons(self, color: str, chosen: str) -> None:
        """Draw the icons in `color`, those of pressed buttons in `chosen`."""
        playing = self.play.isChecked()
        self.play.setIcon(icon("stop" if playing else "play", chosen if playing else color))
        self.previous.setIcon(icon("previous", color))
        self.next.setIcon(icon("next", color))
        for made in (self.reviewed, self.class_reviewed):
            made.setIcon(
                icon("check" if made.isChecked() else "open", chosen if made.isChecked() else color)
            )

    def set_place(self, frame: int, n_frames: int, rate: float) -> None:
        """Show the frame we are at, of how many, and the clip's true rate."""
        self.where.setText(f"{frame + 1} / {n_frames}")
        self.where.setToolTip(f"Frame {frame + 1} of {n_frames}; plays at {rate:.3g} a second")

    def set_playing(self, playing: bool) -> None:
        """Show whether it plays."""
        self.play.setChecked(playing)

    def set_reviewed(self, everything: bool, this_class: bool, class_label: str) -> None:
        """Show what of this frame is reviewed."""
        self.reviewed.setChecked(everything)
        self.reviewed.setText("Reviewed" if everything else "Mark reviewed")
        self.class_reviewed.setChecked(this_class)
        self.class_reviewed.setText(class_label)
        if class_label != self._class_label:
            self._class_label = class_label
            self.set_keys(self._keys)

    def set_read_only(self, why: str) -> None:
        """Offer reviewing only where one may write; else the tooltips say `why` not."""
        self._why_read_only = why
        self.reviewed.setEnabled(not why)
        self.class_reviewed.setEnabled(not why)
        self.on.setEnabled(not why)
        self.set_keys(self._keys)
