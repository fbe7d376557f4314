"""The sheet of an import's clips: of those that are there, and of those that would come."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.store import Cohort
from napari_confseg.widgets.common.buttons import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from napari_confseg.ingest.options import ImportOptions
    from napari_confseg.widgets.common.jobs import BackgroundJob

MOST = 60
"""Clips on one sheet in a window; ``confseg sectors`` draws them all."""


def trial_sheet(sources: Sequence[str], options: ImportOptions, job: BackgroundJob) -> Image | str:
    """Return the sheet of what `sources` would become, or why there is none.

    They are imported into a folder of their own, which is gone afterwards; of many files the first
    ``MOST``.
    """
    from napari_confseg.ingest import import_sources  # load decoders and Pillow: when needed
    from napari_confseg.ingest.contact_sheet import contact_sheet
    from napari_confseg.ingest.sources import look_through

    found = [one.path for one in look_through(sources).found[:MOST]]
    with tempfile.TemporaryDirectory(prefix="confseg-look-") as folder:
        cohort = Cohort.create(Path(folder) / "look.zarr", name="look")
        report = import_sources(
            found, cohort, options, progress=job.report, cancelled=job.cancelled
        )
        if report.imported:
            return contact_sheet(cohort, report.imported, progress=job.report)
    reasons = "; ".join(f"{Path(path).name}: {why}" for path, why in report.refused[:3])
    return f"Nothing to look at. {reasons}".strip()


class SheetDialog(QDialog):
    """The sheet in a window of its own, which does not hold up the work."""

    def __init__(self, parent: QWidget, sheet: Image, title: str) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
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
