"""The import dialog: files, folders, series of a DICOMDIR."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
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
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.ingest.decoded import IngestError
from napari_confseg.ingest.sources import indexes_under, list_series, unlisted
from napari_confseg.store import check_slug
from napari_confseg.widgets.common.buttons import label

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_confseg.ingest.sources import Series


_FILES = Qt.ItemDataRole.UserRole
_TICKED, _NOT = Qt.CheckState.Checked, Qt.CheckState.Unchecked


class ImportList(QTreeWidget):  # type: ignore[misc]
    """Sources as rows to tick; a DICOMDIR as patients, studies, series and clips.

    Patients are numbered, not named. Series other than ultrasound are not ticked at first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderHidden(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.problem = ""
        self._given: list[str] = []
        self._listed: dict[Path, list[Series]] = {}

    def add(self, source: str) -> None:
        """Add a file or folder that is not in the list yet."""
        if not source or source in self._given:
            return
        self._given.append(source)
        indexes = indexes_under(source)
        for index in indexes:
            if index not in self._listed and (series := self._series_of(index)):
                self._listed[index] = series
                self._add_series(_group(self, f"DICOMDIR of {index.parent}"), series)
        if not any(index in self._listed for index in indexes):
            _leaf(self, source, Path(source), ticked=True)
        elif Path(source).is_dir():
            self._add_beside(Path(source))
        for root in (self.topLevelItem(i) for i in range(self.topLevelItemCount())):
            root.setExpanded(True)
            for i in range(root.childCount()):
                root.child(i).setExpanded(True)

    def _series_of(self, index: Path) -> list[Series]:
        """Return what a DICOMDIR lists; of one that is of no use, say so."""
        try:
            series = list_series(index)
        except IngestError as error:
            self.problem = f"{index.parent}: {error}. Its folder is searched instead."
            return []
        if not series:
            self.problem = f"{index.parent}: none of the files that {index.name} lists is there."
        return series

    def _add_beside(self, folder: Path) -> None:
        beside = unlisted(folder, self._listed, chain.from_iterable(self._listed.values()))
        if not beside:
            return
        others = _group(self, "Not listed in a DICOMDIR")
        for path in beside:
            _leaf(others, str(path.relative_to(folder.absolute())), path, ticked=True)

    def _add_series(self, root: QTreeWidgetItem, series: list[Series]) -> None:
        groups: dict[tuple[int, ...], QTreeWidgetItem] = {}
        for one in series:
            patient, study = (one.patient,), (one.patient, one.study)
            if patient not in groups:
                groups[patient] = _group(root, f"Patient {one.patient}")
            if study not in groups:
                groups[study] = _group(groups[patient], one.when)
                groups[study].setExpanded(True)
            n = len(one.clips)
            words = f"Series {one.number}: {one.modality}, {n} file{'s' * (n != 1)}"
            row = _group(groups[study], words)
            for i, (path, frames) in enumerate(one.clips, 1):
                length = "" if frames is None else f": {frames} frame{'s' * (frames != 1)}"
                _leaf(row, f"File {i}{length}", path, ticked=one.modality in ("US", "IVUS"))

    def sources(self) -> list[str]:
        """Return the files and folders that are ticked."""
        return list(
            dict.fromkeys(
                str(item.data(0, _FILES))
                for item in self._leaves(self.invisibleRootItem())
                if item.checkState(0) == _TICKED
            )
        )

    def _leaves(self, item: QTreeWidgetItem) -> Iterator[QTreeWidgetItem]:
        if item.data(0, _FILES):
            yield item
        for i in range(item.childCount()):
            yield from self._leaves(item.child(i))


def _group(parent: QTreeWidget | QTreeWidgetItem, words: str) -> QTreeWidgetItem:
    item = QTreeWidgetItem(parent, [words])
    item.setFlags(item.flags() | Qt.ItemFlag.ItemIsAutoTristate | Qt.ItemFlag.ItemIsUserCheckable)
    return item


def _leaf(parent: QTreeWidget | QTreeWidgetItem, words: str, path: Path, *, ticked: bool) -> None:
    item = QTreeWidgetItem(parent, [words])
    item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
    item.setData(0, _FILES, str(path))
    item.setCheckState(0, _TICKED if ticked else _NOT)


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
        layout.addWidget(
            label(
                "DICOM, a DICOMDIR or its disc, videos, folders of images. File names and DICOM "
                "headers are not kept: they carry patients' names.",
                role="note",
            )
        )
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
