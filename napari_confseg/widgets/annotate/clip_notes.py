"""The section with the reader's notes: zone, quality, pathology, tags, text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QFlowLayout

from napari_confseg.annotate.confidence_words import QUALITY, zone_in_words
from napari_confseg.annotate.links import links_of
from napari_confseg.store import PATHOLOGIES
from napari_confseg.widgets.annotate.worklist_table import minutes
from napari_confseg.widgets.common.buttons import button, label

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.annotate.session import Session

TYPING_PAUSE: Final = 500
"""Milliseconds after the last letter until what is typed is kept."""

# The chest unrolled, as one faces the patient: the patient's right is on the left.
CHEST: Final = (("R5", "R3", "R1", "L1", "L3", "L5"), ("R6", "R4", "R2", "L2", "L4", "L6"))
PLACES: Final = ("back", "side", "front", "front", "side", "back")


def small_chip(text: str, tip: str) -> QToolButton:
    """Return a button that stays pressed."""
    made: QToolButton = button(text, tip, checkable=True)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return made


class ClipNotesForm(QWidget):
    """Fields that are kept as they are filled; a second click takes a choice back."""

    titled = Signal(str)  # the section's new title

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._make()
        self._lay_out()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(TYPING_PAUSE)
        self._soon.timeout.connect(self.hand_in)
        self.tags.textEdited.connect(lambda _text: self._soon.start())
        self.tags.editingFinished.connect(self.hand_in)
        self.note.textChanged.connect(self._on_typed)
        self._links = links_of(
            self,
            (session.clip_notes.changed, self.show_now),
            (session.events.clip, self._on_clip),
            (session.events.save_state, self._on_save_state),
            (session.leaving, self.hand_in),
        )
        self._on_clip()

    def _make(self) -> None:
        self.zones = {
            zone: small_chip(zone, zone_in_words(zone).capitalize())
            for row in CHEST
            for zone in row
        }
        self.quality = {n: small_chip(str(n), words.capitalize()) for n, words in QUALITY.items()}
        self.quality_word = QLabel()
        self.pathology = {p: button(p.replace("-", " "), "", checkable=True) for p in PATHOLOGIES}
        for zone, chip in self.zones.items():
            chip.clicked.connect(self._chooser("zone", zone))
        for n, chip in self.quality.items():
            chip.clicked.connect(self._chooser("quality", n))
        for chip in self.pathology.values():
            chip.clicked.connect(self._on_pathology)
        self.tags = QLineEdit()
        self.tags.setPlaceholderText("Tags, with commas between them")
        self.note = QPlainTextEdit()
        self.note.setPlaceholderText("A note")
        self.note.setTabChangesFocus(True)
        self.note.setFixedHeight(3 * self.note.fontMetrics().lineSpacing() + 10)

    def _lay_out(self) -> None:
        chest = QGridLayout()
        chest.setSpacing(2)
        for column, place in enumerate(PLACES):
            at = column + (column > 2)  # the breastbone between right and left
            chest.addWidget(label(place, role="note"), 0, at)
            chest.itemAtPosition(0, at).widget().setWordWrap(False)
            for row, zones in enumerate(CHEST, 1):
                chest.addWidget(self.zones[zones[column]], row, at)
            chest.setColumnStretch(at, 1)
        chest.setColumnMinimumWidth(3, 10)
        quality = QHBoxLayout()
        quality.setSpacing(2)
        quality.addWidget(QLabel("Quality"))
        for chip in self.quality.values():
            quality.addWidget(chip, 1)
        quality.addWidget(self.quality_word, 2)
        chips = QWidget()
        flow = QFlowLayout(chips)
        flow.setContentsMargins(0, 0, 0, 0)
        flow.setSpacing(3)
        for chip in self.pathology.values():
            flow.addWidget(chip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addLayout(chest)
        layout.addLayout(quality)
        for widget in (chips, self.tags, self.note):
            layout.addWidget(widget)

    def close_part(self) -> None:
        """Keep what is being typed, and let go of the session."""
        self.hand_in()
        self._links.cut()

    # ---- changes of the session -----------------------------------------------------------

    def _on_clip(self, *_: object) -> None:
        self._soon.stop()
        notes = self._session.clip_notes.current
        self.tags.setText(", ".join(notes.tags))
        self._set_note(notes.note)
        self.show_now()
        self._on_save_state()

    def show_now(self, *_: object) -> None:
        """Show the notes; a field that is being filled is left alone."""
        notes = self._session.clip_notes.current
        for zone, chip in self.zones.items():
            chip.setChecked(zone == notes.zone)
        for n, chip in self.quality.items():
            chip.setChecked(n == notes.quality)
        self.quality_word.setText(QUALITY.get(notes.quality or 0, ""))
        for name, chip in self.pathology.items():
            chip.setChecked(name in notes.pathology)
        if not self._soon.isActive():
            if self._tags_typed() != notes.tags:
                self.tags.setText(", ".join(notes.tags))
            self._set_note(notes.note)
        spent = minutes(sum(notes.seconds.values()))
        words = [notes.zone, f"{spent} min" if spent else ""]
        self.titled.emit("  ·  ".join(["Clip notes", *filter(None, words)]))

    def _on_save_state(self, *_: object) -> None:
        self.setEnabled(self._session.writable)
        self.setToolTip(self._session.editor.why_read_only)

    def _set_note(self, text: str) -> None:
        if self.note.toPlainText() != text:
            self.note.blockSignals(True)
            self.note.setPlainText(text)
            self.note.blockSignals(False)

    # ---- requests -------------------------------------------------------------------------

    def _chooser(self, field: str, value: object) -> Callable[[bool], None]:
        def choose(on: bool) -> None:
            self._session.describe(**{field: value if on else None})
            self.show_now()

        return choose

    def _on_pathology(self) -> None:
        chosen = tuple(p for p, chip in self.pathology.items() if chip.isChecked())
        self._session.describe(pathology=chosen)
        self.show_now()

    def _on_typed(self) -> None:
        self._soon.start()

    def _tags_typed(self) -> tuple[str, ...]:
        words = (w.strip() for w in self.tags.text().split(","))
        return tuple(dict.fromkeys(w for w in words if w))

    def hand_in(self) -> None:
        """Keep what is typed, if it is other than what is kept."""
        self._soon.stop()
        if not self._session.writable:
            return
        notes = self._session.clip_notes.current
        typed = {"tags": self._tags_typed(), "note": self.note.toPlainText()}
        changes = {name: value for name, value in typed.items() if value != getattr(notes, name)}
        if changes:
            self._session.describe(**changes)
