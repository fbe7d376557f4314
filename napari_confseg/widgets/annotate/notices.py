"""Notices: a finished clip, new clips to check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.links import links_of
from napari_confseg.widgets.common.buttons import button, label, with_key
from napari_confseg.widgets.common.jobs import BackgroundJob

if TYPE_CHECKING:
    from PIL.Image import Image

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
        self._links = links_of(
            self,
            (session.events.clip, self.show_now),
            (session.editor.progress_changed, self.show_now),
            (session.worklist.changed, self.show_now),
        )
        self.show_now()

    def set_key(self, key: str) -> None:
        """Name the key in the tooltip."""
        self.go.setToolTip(with_key("Open the next clip of the list with work left", key))

    def close_part(self) -> None:
        """Let go of the session."""
        self._links.cut()

    def show_now(self, *_: object) -> None:
        """Show or hide the notice."""
        session = self._session
        done = session.clip is not None and session.access.visibility().complete
        self.setVisible(done)
        if done and session.clip is not None:
            more = session.worklist.to_do_after(session.clip.name) is not None
            self.words.setText(
                "✓ Clip finished."
                if more
                else "✓ Clip finished, and with it every clip of this list."
            )
            self.go.setVisible(more)


MOST = 60
"""Clips on one sheet in a window; ``confseg sectors`` draws them all."""


class SheetNotice(QWidget):  # type: ignore[misc]
    """Shows itself once clips were imported, until it is looked at or the cohort is left."""

    busy = Signal(object, str)  # BackgroundJob, str: the sheet is being drawn

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._names: list[str] = []
        self.dialog: SheetDialog | None = None
        self.words = label(role="note")
        self.open_sheet: QToolButton = button(
            "Open the sheet",
            "Every new clip with the sector found: is it right, do letters show?",
        )
        self.open_sheet.clicked.connect(lambda: self.draw())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 2, 0, 2)
        row.addWidget(self.words, 1, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.open_sheet)
        self._links = links_of(self, (session.events.cohort, self._on_cohort))
        self._on_cohort()

    def close_part(self) -> None:
        """Let go of the session."""
        self._links.cut()
        if self.dialog is not None and isalive(self.dialog):  # a child of the window may go first
            self.dialog.close()

    def offer(self, report: Any) -> None:
        """Offer the sheet of what an import brought."""
        self._names = list(report.imported)
        n = len(self._names)
        self.words.setText(f"{n} new clip{'s' * (n != 1)}: check sectors and letters.")
        self.setVisible(n > 0)

    def draw(self) -> None:
        """Draw the sheet beside the event loop, and show it. Nothing of it is stored."""
        cohort, names = self._session.cohort, self._names[:MOST]
        if cohort is None:
            return

        def work(job: BackgroundJob) -> Image:
            from napari_confseg.ingest.contact_sheet import (
                contact_sheet,  # loads Pillow: when needed
            )

            return contact_sheet(cohort, names, progress=job.report)

        job = BackgroundJob(work, self)
        job.done.connect(self._show)
        job.failed.connect(lambda e: setattr(self._session, "message", f"No sheet: {e}"))
        self.busy.emit(job, "Drawing the sheet …")
        job.start()

    def _show(self, sheet: Image) -> None:
        self.dialog = SheetDialog(self.window(), sheet)
        self.dialog.show()
        self.hide()

    def _on_cohort(self, *_: object) -> None:
        self._names = []
        self.hide()


class SheetDialog(QDialog):  # type: ignore[misc]
    """The sheet in a window of its own, which does not hold up the work."""

    def __init__(self, parent: QWidget, sheet: Image) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Sheet of the new clips")
        self.sheet = sheet
        picture, scroll = QLabel(), QScrollArea()
        data = sheet.tobytes()
        image = QImage(
            data, sheet.width, sheet.height, 3 * sheet.width, QImage.Format.Format_RGB888
        )
        picture.setPixmap(QPixmap.fromImage(image))
        scroll.setWidget(picture)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        save = self.buttons.addButton("Save as …", QDialogButtonBox.ButtonRole.ActionRole)
        save.setToolTip(
            "Letters in the pictures are on it too: keep it where patients' data may be"
        )
        save.clicked.connect(lambda: self._ask())
        self.buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addWidget(
            label(
                "Each pixel at its brightest over the clip, so that letters show. Amber: the "
                "sector as found; green: confirmed. To correct one: open the clip, section Sector.",
                role="note",
            )
        )
        layout.addWidget(scroll, 1)
        layout.addWidget(self.buttons)
        self.resize(min(sheet.width + 60, 1240), min(sheet.height + 140, 680))

    def _ask(self) -> None:
        name = QFileDialog.getSaveFileName(self, "Save the sheet", "sheet.png", "PNG (*.png)")[0]
        if name:
            self.sheet.save(name, format="PNG", optimize=True)
