"""What to import, for which patient, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.store import check_slug
from napari_confseg.widgets.parts.look import label

if TYPE_CHECKING:
    from collections.abc import Sequence

VIDEOS = "Videos (*.mp4 *.mov *.avi *.mpg *.mpeg *.m4v *.mkv *.wmv *.gif);;All files (*)"


class ImportDialog(QDialog):  # type: ignore[misc]
    """Gathers sources; accepted only when there is something to import."""

    def __init__(self, parent: QWidget, sources: Sequence[str] = ()) -> None:
        super().__init__(parent)
        self.setWindowTitle("Import clips")
        self.setMinimumWidth(440)
        self.list = QListWidget()
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        files, folder = QPushButton("Add videos …"), QPushButton("Add a folder of images …")
        files.clicked.connect(self._add_files)
        folder.clicked.connect(self._add_folder)
        self.patient = QLineEdit()
        self.patient.setPlaceholderText("e.g. p017; leave empty for one patient each")
        self.patient.textChanged.connect(self._check)
        self.crop = QCheckBox("Crop to the ultrasound sector")
        self.crop.setToolTip("Cuts away margins, where names and scanner settings are written")
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
        layout = QVBoxLayout(self)
        layout.addWidget(label("Videos, and folders of images in order. File names are not kept: "
                               "they often carry patients' names.", role="note"))  # fmt: skip
        layout.addWidget(self.list)
        layout.addLayout(row)
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(self.buttons)
        self.add(sources)

    def add(self, sources: Sequence[str]) -> None:
        """Add files or folders that are not in the list yet."""
        known = set(self.sources())
        self.list.addItems([s for s in sources if s and s not in known])
        self._check()

    def sources(self) -> list[str]:
        """Return what is in the list."""
        return [self.list.item(i).text() for i in range(self.list.count())]

    def patient_slug(self) -> str | None:
        """Return the patient's slug, or None for one each."""
        return self.patient.text().strip() or None

    def _check(self) -> None:
        problem = ""
        try:
            check_slug(self.patient_slug() or "none")
        except ValueError as error:
            problem = str(error)
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        ok.setEnabled(not problem and self.list.count() > 0)

    def _add_files(self) -> None:
        self.add(QFileDialog.getOpenFileNames(self, "Videos to import", "", VIDEOS)[0])

    def _add_folder(self) -> None:
        self.add([QFileDialog.getExistingDirectory(self, "Folder of images to import")])
