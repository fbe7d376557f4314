"""What to import, for which patient, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.store import check_slug
from napari_confseg.widgets.annotate.import_list import ImportList
from napari_confseg.widgets.parts.look import label

if TYPE_CHECKING:
    from collections.abc import Sequence

VIDEOS = "*.mp4 *.mov *.avi *.mpg *.mpeg *.m4v *.mkv *.wmv *.gif"
FILTER = (
    "All files, DICOM often has no ending (*);;DICOM (*.dcm *.dicom *.ima DICOMDIR)"
    f";;Videos ({VIDEOS});;Images (*.png *.jpg *.jpeg *.bmp *.tif *.tiff)"
)
MASKING = (
    "Letters beside the ultrasound, names among them, are gone for good. Stills, and clips in "
    "which no sector is found, are left out."
)


class ImportDialog(QDialog):  # type: ignore[misc]
    """Gathers sources; accepted only when there is something to import."""

    def __init__(self, parent: QWidget, sources: Sequence[str] = ()) -> None:
        super().__init__(parent)
        self.setWindowTitle("Import clips")
        self.setMinimumWidth(440)
        self.resize(540, 560)
        self.list = ImportList()
        self.list.itemChanged.connect(self._check)
        files, folder = QPushButton("Add files …"), QPushButton("Add a folder …")
        files.setToolTip("DICOM, a DICOMDIR, videos, stacks of images")
        folder.setToolTip(
            "A disc or folder with DICOM, videos and images, searched with its subfolders"
        )
        files.clicked.connect(self._add_files)
        folder.clicked.connect(self._add_folder)
        self.patient = QLineEdit()
        self.patient.setPlaceholderText("e.g. p017; leave empty for one patient each")
        self.patient.textChanged.connect(self._check)
        self.crop = QCheckBox("Crop to the ultrasound sector")
        self.crop.setToolTip("Cuts away margins, where names and scanner settings are written")
        self.mask = QCheckBox("Black out what lies outside the sector")
        self.mask.setToolTip(MASKING)
        self.problem = label(role="caution")
        buttons = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(buttons.Ok | buttons.Cancel)
        self.buttons.button(buttons.Ok).setText("Import")
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        row = QHBoxLayout()
        row.addWidget(files)
        row.addWidget(folder)
        row.addStretch(1)
        form = QFormLayout()
        form.addRow("Patient", self.patient)
        form.addRow("", self.crop)
        form.addRow("", self.mask)
        form.addRow("", label(MASKING, role="note"))
        layout = QVBoxLayout(self)
        layout.addWidget(label(
            "DICOM, a DICOMDIR or its disc, videos, folders of images. File names and DICOM "
            "headers are not kept: they carry patients' names.", role="note"))  # fmt: skip
        layout.addWidget(self.list)
        layout.addLayout(row)
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(self.buttons)
        self.add(sources)

    def add(self, sources: Sequence[str]) -> None:
        """Add files or folders that are not in the list yet."""
        QApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)  # a disc takes its time
        try:
            for source in sources:
                self.list.add(source)
        finally:
            QApplication.restoreOverrideCursor()
        self._check()

    def sources(self) -> list[str]:
        """Return the files and folders to import."""
        return self.list.sources()

    def patient_slug(self) -> str | None:
        """Return the patient's slug, or None for one each."""
        return self.patient.text().strip() or None

    def _check(self, *_: object) -> None:
        problem = self.list.problem
        if self.list.topLevelItemCount() and not self.sources() and not problem:
            problem = "Nothing is ticked. Series other than ultrasound are not ticked at first."
        try:
            check_slug(self.patient_slug() or "none")
            good = True
        except ValueError as error:
            problem, good = str(error), False
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        ok.setEnabled(good and bool(self.sources()))

    def _add_files(self) -> None:
        self.add(QFileDialog.getOpenFileNames(self, "Clips to import", "", FILTER)[0])

    def _add_folder(self) -> None:
        self.add([QFileDialog.getExistingDirectory(self, "Disc or folder to import")])
