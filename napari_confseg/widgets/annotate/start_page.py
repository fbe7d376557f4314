"""The start page of the Annotate panel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QMimeData, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QFrame,
    QLabel,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.widgets.common.buttons import button, label, set_role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QDragEnterEvent, QDropEvent, QFocusEvent


def dropped_folder(data: QMimeData) -> str | None:
    """Return the folder (or zip) that is being dropped, if it is exactly one."""
    paths = [u.toLocalFile() for u in data.urls() if u.isLocalFile()]
    good = [p for p in paths if Path(p).is_dir() or p.endswith(".zip")]
    return good[0] if len(good) == 1 == len(paths) else None


class DropFrame(QFrame):
    """A place to drop a cohort's folder on."""

    dropped = Signal(str)

    def __init__(self, words: str) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self.setProperty("role", "drop")
        inside = QVBoxLayout(self)
        text = label(words, role="note")
        text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        inside.addWidget(text)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept one folder."""
        if dropped_folder(event.mimeData()):
            set_role(self, hovered="true")
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: object) -> None:
        """Restore the style."""
        set_role(self, hovered="false")

    def dropEvent(self, event: QDropEvent) -> None:
        """Ask for the folder to be opened."""
        set_role(self, hovered="false")
        folder = dropped_folder(event.mimeData())
        if folder:
            self.dropped.emit(folder)
            event.acceptProposedAction()


class NameField(QLineEdit):
    """A field whose text is replaced by what is typed first: it holds a name that was guessed."""

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Select the text."""
        super().focusInEvent(event)
        QTimer.singleShot(0, self.selectAll)  # once the click that gave it the focus is over


class StartPage(QWidget):
    """Who reads, and which cohort: open one, make one, or try a made-up one."""

    open_wanted = Signal()
    zip_wanted = Signal()
    create_wanted = Signal()
    sample_wanted = Signal()
    recent_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        title = label("Annotate", role="start-title")
        what = label(
            "Paint what you see on a clip, and state how sure you are. Every stroke is saved as "
            "you make it."
        )
        self.reader = NameField()
        self.reader.setPlaceholderText("e.g. Dr. Ada Lovelace")
        self.reader.setMaxLength(80)
        self.reader.setToolTip("Your strokes are kept under this name; asked only once")
        self.reader.setAccessibleName("Your name")
        self.open = QPushButton("Open a study folder …")
        self.open.setProperty("role", "primary")
        self.open.setToolTip("A folder of clips that this program made  (…​.zarr)")
        self.zip = QPushButton("Open a zipped study folder …")
        self.zip.setToolTip("To read it; unpack the zip to paint in it")
        self.create = QPushButton("New study folder, from your scans …")
        self.create.setToolTip(
            "Choose where it shall lie and what goes into it: DICOM, videos, images"
        )
        self.sample = QPushButton("Try a sample")
        self.sample.setToolTip("Make a small study folder of synthetic lung ultrasound and open it")
        for made, signal in (
            (self.open, self.open_wanted),
            (self.zip, self.zip_wanted),
            (self.create, self.create_wanted),
            (self.sample, self.sample_wanted),
        ):
            made.setMinimumHeight(34)
            made.clicked.connect(lambda _on=False, s=signal: s.emit())
        self.drop = DropFrame("or drop a study folder here")
        self.drop.dropped.connect(self.recent_wanted)
        self.drop.setMinimumHeight(64)
        self._recent_title = label("Recently opened", role="title")
        self._recent = QVBoxLayout()
        self._recent.setSpacing(1)
        self.recent_buttons: list[QToolButton] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 10, 4, 8)
        layout.setSpacing(8)
        for widget in (title, what):
            layout.addWidget(widget)
        layout.addSpacing(6)
        layout.addWidget(QLabel("Your name"))
        layout.addWidget(self.reader)
        layout.addSpacing(6)
        for widget in (self.open, self.zip, self.create, self.sample, self.drop):
            layout.addWidget(widget)
        layout.addSpacing(6)
        layout.addWidget(self._recent_title)
        layout.addLayout(self._recent)
        layout.addStretch(1)

    def set_recent(self, locations: Sequence[str]) -> None:
        """Offer these cohorts, latest first."""
        for old in self.recent_buttons:
            self._recent.removeWidget(old)
            old.deleteLater()
        self.recent_buttons = []
        self._recent_title.setVisible(bool(locations))
        for location in locations:
            *_, folder, name = ["", *location.replace("\\", "/").rstrip("/").split("/")]
            made = button(f"{name}   in {folder}" if folder else name, location, flat=True)
            made.clicked.connect(lambda _on=False, at=location: self.recent_wanted.emit(at))
            self._recent.addWidget(made, 0, Qt.AlignmentFlag.AlignLeft)
            self.recent_buttons.append(made)
