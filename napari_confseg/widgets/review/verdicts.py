"""Buttons for the verdicts on the disagreement in view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.review.lines import DASHES
from napari_confseg.widgets.common.buttons import button, label, with_key
from napari_confseg.widgets.common.icons import line_icon

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qtpy.QtGui import QResizeEvent

    from napari_confseg.annotate.review.state import RaterRow, ReviewState


class Verdicts(QWidget):
    """Emits `decided` with (verdict, accepted rater or ""), or one of the other requests."""

    decided = Signal(str, str)
    correct_wanted = Signal()
    skip_wanted = Signal()
    undo_wanted = Signal()
    whole_wanted = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.accepts: dict[str, QToolButton] = {}
        self._keys: Mapping[str, str] = {}
        self._rows: tuple[RaterRow, ...] = ()
        self.whole, self.frame = (
            button("All frames", "A decision is for all open frames of it", checkable=True),
            button("This frame", "A decision is for the frame on show alone", checkable=True),
        )
        group = QButtonGroup(self)
        for made in (self.whole, self.frame):
            group.addButton(made)
        self.whole.clicked.connect(lambda: self.whole_wanted.emit(True))
        self.frame.clicked.connect(lambda: self.whole_wanted.emit(False))
        self.mean = button("Mean of all", "")
        self.reject = button("Nothing there", "")
        self.correct = button("Paint it", "", checkable=True)
        self.skip = button("Skip", "")
        self.undo = button("Undo", "Take back the latest edit (Ctrl+Z)")
        self.mean.clicked.connect(lambda: self.decided.emit("mean", ""))
        self.reject.clicked.connect(lambda: self.decided.emit("reject", ""))
        self.correct.clicked.connect(self.correct_wanted)
        self.skip.clicked.connect(self.skip_wanted)
        self.undo.clicked.connect(self.undo_wanted)
        self.note = label(role="note")
        self._lay_out()

    def _lay_out(self) -> None:
        scope, last = QHBoxLayout(), QHBoxLayout()
        self._grid = QGridLayout()
        for row in (scope, self._grid, last):
            row.setSpacing(4)
        for made in (self.whole, self.frame):
            scope.addWidget(made, 1)
        for made in (self.skip, self.undo):
            last.addWidget(made, 1)
        others = (self.mean, self.reject, self.correct)
        for made in (self.whole, self.frame, *others, self.skip, self.undo):
            _stretch(made)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.note)  # above: what is pressed does not move under the mouse
        layout.addLayout(scope)
        layout.addLayout(self._grid)
        layout.addLayout(last)
        self._fill()

    def _fill(self) -> None:
        """Put the raters' buttons two in a row, the others behind them."""
        while self._grid.takeAt(0) is not None:
            pass
        buttons = [*self.accepts.values(), self.mean, self.reject, self.correct]
        for i, made in enumerate(buttons):
            self._grid.addWidget(made, i // 2, i % 2)

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Show the keys, by the id of the action, on the buttons."""
        self._keys = keys
        for made, text, tip, action in (
            (self.mean, "Mean of all", "Mean confidence of all raters within the outline", "mean"),
            (self.reject, "Nothing there", "Take away all marks within the outline", "reject"),
            (
                self.correct,
                "Paint it",
                "Paint it by hand; press again or go on when done",
                "correct",
            ),
            (self.skip, "Skip", "Leave it open and go to the next", "next"),
        ):
            made.setText(f"{text}  {keys.get(f'review.{action}', '')}".rstrip())
            made.setToolTip(with_key(tip, keys.get(f"review.{action}")))
        self._name_accepts()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Name the readers with what room there is now."""
        super().resizeEvent(event)
        self._name_accepts()

    def _name_accepts(self) -> None:
        for number, row in enumerate(self._rows, 1):
            key = self._keys.get(f"review.accept-{number}", "")
            made = self.accepts[row.name]
            # The beginning tells names apart, and the key is always there.
            metrics, key_words = made.fontMetrics(), f"  {key}" if key else ""
            room = max(self.width() // 2 - 50, 90) - metrics.horizontalAdvance(key_words)
            words = metrics.elidedText(row.title, Qt.TextElideMode.ElideRight, room)
            made.setText(f"{words}{key_words}")
            made.setToolTip(with_key(f"Accept the marks of {row.title} within the outline", key))

    def show_state(self, state: ReviewState, *, can_undo: bool) -> None:
        """Offer what can be decided now."""
        if state.compared != self._rows:
            self._rebuild(state.compared)
        item, ready = state.item, state.can_decide
        stated = item.event.stated if item else {}
        for name, made in self.accepts.items():
            made.setEnabled(ready and not state.correcting and name in stated)
        for made in (self.mean, self.reject):
            made.setEnabled(ready and not state.correcting)
        self.correct.setEnabled(ready)
        self.correct.setChecked(state.correcting)
        self.skip.setEnabled(bool(state.items))
        self.undo.setEnabled(can_undo)
        self.whole.setChecked(state.settings.whole)
        self.frame.setChecked(not state.settings.whole)
        frames = len(item.open or item.event.regions) if item else 0
        self.whole.setText(f"All {frames} frames" if frames > 1 else "All frames")
        self.note.setText(_note(state))
        self.note.setVisible(bool(self.note.text()))

    def _rebuild(self, rows: tuple[RaterRow, ...]) -> None:
        if [r.name for r in rows] != list(self.accepts):
            for old in self.accepts.values():
                old.hide()
                old.deleteLater()
            self.accepts = {}
            for row in rows:
                made = button("", "")
                made.setIcon(line_icon(DASHES[row.style.direction], row.style.color))
                made.setIconSize(QSize(24, 14))
                made.clicked.connect(lambda _on=False, n=row.name: self.decided.emit("accept", n))
                # As wide as there is room: a long name must not widen the panel.
                made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
                self.accepts[row.name] = made
            self._fill()
        self._rows = rows
        self._name_accepts()


def _note(state: ReviewState) -> str:
    if state.correcting:
        return "Paint on the canvas. What you paint counts once you go on, or press Paint it again."
    return ""


def _stretch(made: QToolButton) -> None:
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
