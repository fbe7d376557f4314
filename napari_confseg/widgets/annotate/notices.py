"""Notices of the Annotate panel: a finished clip; the result of an import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QToolButton,
    QWidget,
)

from napari_confseg.annotate.links import links_of
from napari_confseg.widgets.annotate.import_dialog import ImportResult, summary
from napari_confseg.widgets.annotate.sheet_dialog import MOST, SheetDialog
from napari_confseg.widgets.common.buttons import button, label, with_key
from napari_confseg.widgets.common.jobs import BackgroundJob

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image

    from napari_confseg.annotate.session import Session
    from napari_confseg.ingest.pipeline import ImportReport
    from napari_confseg.store import Cohort


class Finished(QWidget):
    """Shows itself when every frame of the open clip is reviewed in every class."""

    wanted = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.words = label(role="note")
        self.go: QToolButton = button("Next to do", "")
        self.go.clicked.connect(self.wanted)
        self.set_keys({})
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

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the key in the tooltip."""
        words = "Open the next clip of the work list with work left"
        self.go.setToolTip(with_key(words, keys.get("next-to-do")))

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


class ImportNotice(QWidget):
    """Result of the last import, in one line; it stays until the cohort is left."""

    busy = Signal(object, str)  # BackgroundJob, str: the sheet is being drawn

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._names: list[str] = []
        self._report: ImportReport | None = None
        self._cohort: Cohort | None = None  # into which it was imported
        self.dialog: SheetDialog | None = None
        self.result: ImportResult | None = None
        self.words = label(role="note")
        self.list: QToolButton = button(
            "List …", "What was imported, what was refused and why, what was left out"
        )
        self.list.clicked.connect(lambda: self.show_result())
        self.open_sheet: QToolButton = button(
            "Open the sheet",
            "Every new clip with the sector found: is it right, do letters show?",
        )
        self.open_sheet.clicked.connect(lambda: self.draw())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 2, 0, 2)
        row.addWidget(self.words, 1, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.list)
        row.addWidget(self.open_sheet)
        self._links = links_of(self, (session.events.cohort, self._on_cohort))
        self._on_cohort()

    def close_part(self) -> None:
        """Let go of the session."""
        self._links.cut()
        for dialog in (self.dialog, self.result):
            if dialog is not None and isalive(dialog):  # a child of the window may go first
                dialog.close()

    def offer(self, report: ImportReport) -> None:
        """Show the result of an import; what was refused is listed at once."""
        self._names, self._report = list(report.imported), report
        check = " Check sectors and letters." if self._names else ""
        self.words.setText(f"{summary(report)}{check}")
        self.open_sheet.setVisible(bool(self._names))
        self.show()
        if report.refused or report.left_out:
            self.show_result()

    def show_result(self) -> None:
        """Show the list of what was imported, refused and left out."""
        if self._report is not None:
            if self.result is not None and isalive(self.result):
                self.result.close()
            self.result = ImportResult(self.window(), self._report)
            self.result.show()

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
        self.dialog = SheetDialog(self.window(), sheet, "Sheet of the new clips")
        self.dialog.show()
        self.open_sheet.hide()

    def _on_cohort(self, *_: object) -> None:
        if self._session.cohort is None or self._session.cohort is not self._cohort:
            self._cohort = self._session.cohort  # else its classes changed, no more
            self._names, self._report = [], None
            self.hide()
