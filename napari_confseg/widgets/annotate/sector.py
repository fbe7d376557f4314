"""The section for the clip's sector: correct, confirm, black out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QHBoxLayout,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.sector_editor import KINDS, SectorEditor
from napari_confseg.ingest.sector import MASKED, mask_clip, trust_words, waiting_words
from napari_confseg.widgets.common.buttons import label
from napari_confseg.widgets.common.choices import Chooser
from napari_confseg.widgets.common.jobs import BackgroundJob
from napari_confseg.widgets.common.section import StillWheel
from napari_confseg.widgets.layers.sector_handles import SectorHandles

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session

_HOW: Final = "Drag the corners; white dots bend an arc. Enter confirms, Esc leaves it as it was."
_DOUBTFUL: Final = (
    "Little of this outline is to be seen in the picture: it bounds nothing until you confirm it."
)
_FOR_GOOD: Final = (
    "Every frame of {name} becomes black outside its sector, for all readers and for good: what is "
    "there, names among it, cannot be brought back. Marks stay.\n\nBlack it out?"
)


class SectorPart(QWidget):
    """Shows the state of the sector, and lets a person correct it.

    Parameters
    ----------
    session : Session
        Whose clip it is.
    viewer : napari.Viewer
        Where the handles show.
    """

    busy = Signal(object, str)  # BackgroundJob, str: work began that takes a while
    titled = Signal(str)  # heading of the section; it is folded at first

    def __init__(self, session: Session, viewer: Any) -> None:
        super().__init__()
        self._session = session
        self._before: tuple[Any, str] | None = None
        self.editor = SectorEditor(session)
        self.handles = SectorHandles(self.editor, session, viewer)
        self.state, self.note = label(), label(role="note")
        self.correct = QPushButton("Correct …")
        self.correct.setToolTip("Show the sector on the picture and drag its corners")
        self.confirm = QPushButton("Confirm")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Leave the sector as it was (Esc)")
        self.black = QPushButton("Black out outside …")
        self.black.setToolTip(
            "Make all that lies outside the confirmed sector black, burned-in names among it"
        )
        self.kind = Chooser()
        self.kind.setToolTip("Which kind of probe: gives the shape that belongs to it")
        self.kind.installEventFilter(StillWheel(self))
        for kind in KINDS:
            self.kind.addItem(kind.capitalize(), kind)
        self._lay_out()
        self._connect()
        self._show()

    def _lay_out(self) -> None:
        row, edit = QHBoxLayout(), QHBoxLayout()
        row.addWidget(self.correct)
        row.addWidget(self.black)
        row.addStretch(1)
        edit.addWidget(self.kind)
        edit.addWidget(self.confirm)
        edit.addWidget(self.cancel)
        edit.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.state)
        layout.addLayout(row)
        layout.addLayout(edit)
        layout.addWidget(self.note)

    def _connect(self) -> None:
        self._links = links_of(self, (self.editor.changed, self._on_changed))
        self.correct.clicked.connect(lambda: self.begin())
        self.confirm.clicked.connect(lambda: self._on_confirm())
        self.cancel.clicked.connect(lambda: self.editor.cancel())
        self.black.clicked.connect(lambda: self._ask_black())
        self.kind.activated.connect(lambda i: self.editor.choose_kind(str(self.kind.itemData(i))))
        self._keys = []
        for key, button in (
            ("Return", self.confirm),
            ("Enter", self.confirm),
            ("Escape", self.cancel),
        ):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.activated.connect(button.click)
            shortcut.setEnabled(False)  # the keys are others' while nothing is corrected
            self._keys.append(shortcut)

    def close_part(self) -> None:
        """Follow the session no longer; what is being corrected stays as it was."""
        self._links.cut()
        self.handles.close()
        self.editor.close()

    # ---- what is shown --------------------------------------------------------------------

    def _on_changed(self) -> None:
        self._show()
        self._paint_again()

    def _show(self) -> None:
        editor, sector = self.editor, self.editor.stored
        clip = self._session.clip
        masked = clip is not None and MASKED in clip.meta.tags
        self.state.setText(self._text(masked))
        self.titled.emit("Sector  ·  look at it" if self._doubt() else "Sector")
        problem = editor.problem() if editor.active else self._doubt()
        self.note.setText(problem or _HOW)
        self.note.setProperty("role", "caution" if problem else "note")
        self.note.style().polish(self.note)
        for widget, on in (
            (self.correct, not editor.active),
            (self.kind, editor.active),
            (self.cancel, editor.active),
            (self.note, editor.active or bool(problem)),
            (self.confirm, editor.active or (sector is not None and not sector.confirmed)),
            (self.black, not editor.active and sector is not None and sector.confirmed),
        ):
            widget.setVisible(on)
        self.confirm.setEnabled(not (editor.active and problem))
        words = "Store this sector (Enter)" if editor.active else "The sector is right as it is"
        self.confirm.setToolTip(words)
        self.confirm.setText("Confirm" if editor.active else "It is right")
        self.black.setEnabled(not masked)
        self.kind.setCurrentIndex(self.kind.findData(editor.kind))
        for shortcut in self._keys:
            shortcut.setEnabled(editor.active)

    def _text(self, masked: bool) -> str:
        sector = self.editor.stored
        if self.editor.active:
            return "Correcting the sector"
        if sector is None:
            return "No sector was found: draw it."
        who = "confirmed" if sector.confirmed else "found by itself, not confirmed"
        if trust := trust_words(sector):
            who += f" ({trust})"
        outside = "; black outside" if masked else ""
        return f"{sector.kind.capitalize()}, {who}{outside}"

    def _doubt(self) -> str:
        """Return why somebody has to look at the sector; empty if nobody has to."""
        clip = self._session.clip
        if clip is None or clip.meta.sector is None:
            return ""
        if words := waiting_words(clip.meta):
            return f"This clip was {words.replace(' (confseg mask)', '')}."
        return _DOUBTFUL if clip.meta.sector.doubtful else ""

    # ---- what is asked --------------------------------------------------------------------

    def begin(self) -> None:
        """Show the handles; painting waits."""
        session = self._session
        session.playing = False
        self._before = session.tool, session.class_name
        self.editor.begin()

    def _paint_again(self) -> None:
        if self._before is not None and not self.editor.active:
            (tool, class_name), self._before = self._before, None
            if class_name in [c.name for c in self._session.classes]:
                self._session.class_name = class_name  # napari chose another layer
            self._session.tool = tool

    def _on_confirm(self) -> None:
        if self.editor.confirm():
            self._session.message = ""

    def _ask_black(self) -> None:
        clip = self._session.clip
        if clip is not None and self._sure(_FOR_GOOD.format(name=clip.name)):
            self.black_out()

    def _sure(self, words: str) -> bool:
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        return bool(QMessageBox.warning(self, "Black out", words, yes | no, no) == yes)

    def black_out(self) -> None:
        """Black out what lies outside the confirmed sector, beside the event loop."""
        session = self._session
        cohort, clip = session.cohort, session.clip
        if cohort is None or clip is None:
            return
        job = BackgroundJob(lambda _job: mask_clip(cohort, clip.name), self)
        job.done.connect(lambda _: self._on_black(clip.name))
        job.failed.connect(lambda error: setattr(session, "message", f"Not done: {error}"))
        self.busy.emit(job, f"Blacking out {clip.name} outside its sector …")
        job.start()

    def _on_black(self, name: str) -> None:
        session = self._session
        if session.clip is not None and session.clip.name == name:
            frame = session.frame
            session.open_clip(name)  # its frames are others now
            session.frame = frame
        self._show()
