"""One line when the clip is finished: on to the next one with work left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QWidget

from napari_confseg.widgets.parts.look import button, label, with_key

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session


class Finished(QWidget):  # type: ignore[misc]
    """Shows itself when every frame of the open clip is reviewed in every class."""

    wanted = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.words = label(role="note")
        self.go: QToolButton = button("Next to do", "")
        self.go.clicked.connect(self.wanted)
        self.set_key("")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 2, 0, 2)
        row.addWidget(self.words, 1, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.go)
        self._links = [
            (session.events.clip, self.show_now),
            (session.progress_changed, self.show_now),
            (session.worklist.changed, self.show_now),
        ]
        for signal, slot in self._links:
            signal.connect(slot)
        self.show_now()

    def set_key(self, key: str) -> None:
        """Say which key opens the next clip of the list."""
        self.go.setToolTip(with_key("Open the next clip of the list with work left", key))

    def close_part(self) -> None:
        """Let go of the session."""
        for signal, slot in self._links:
            signal.disconnect(slot, missing_ok=True)
        self._links = []

    def show_now(self, *_: object) -> None:
        """Show what is to be said now."""
        session = self._session
        done = session.clip is not None and session.standing.complete
        self.setVisible(done)
        if done and session.clip is not None:
            more = session.worklist.to_do_after(session.clip.name) is not None
            self.words.setText("✓ Clip finished." if more else
                               "✓ Clip finished, and with it every clip of this list.")  # fmt: skip
            self.go.setVisible(more)
