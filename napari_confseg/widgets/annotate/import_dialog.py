"""Import dialog: files, folders and series of a DICOMDIR; options; the result list."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.ingest.decoded import IngestError
from napari_confseg.ingest.options import ImportOptions
from napari_confseg.ingest.patients import Census, CensusTaker
from napari_confseg.ingest.sources import indexes_under, list_series, unlisted
from napari_confseg.store import StoreError
from napari_confseg.widgets.annotate.sheet_dialog import SheetDialog, trial_sheet
from napari_confseg.widgets.annotate.study_place import StudyPlace
from napari_confseg.widgets.common.buttons import label
from napari_confseg.widgets.common.jobs import LatestJob, ProgressRow
from napari_confseg.widgets.common.request_form import RequestForm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_confseg.ingest.pipeline import ImportReport
    from napari_confseg.ingest.sources import Series


_FILES = Qt.ItemDataRole.UserRole
_TICKED, _NOT = Qt.CheckState.Checked, Qt.CheckState.Unchecked


class ImportList(QTreeWidget):
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


_FIELDS = (
    "patient",
    "patient_per",
    "patient_pattern",
    "patient_table",
    "crop",
    "mask",
    "fps",
)
_TOLD = ("patient_per", "patient_pattern", "patient_table")
"""Fields that say nothing once the patient is named."""

_SETTLED = 300
"""Milliseconds without a change before files and patients are counted."""


class ImportDialog(QDialog):
    """Gathers sources and says, and shows, what they come to, before anything is written.

    Accepted only when there is something to import, or a study folder to make.

    Parameters
    ----------
    parent : QWidget
        The window.
    sources : sequence of str
        Files and folders to begin with.
    place : Path, optional
        Where a new study folder is to lie, as a proposal; none is to be made if not given.
    """

    def __init__(
        self, parent: QWidget, sources: Sequence[str] = (), place: Path | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("New study folder, from your scans" if place else "Import clips")
        self.setMinimumWidth(440)
        self.resize(560, 640)
        self.census: Census | None = None
        self._taker = CensusTaker()
        self._counting = LatestJob(self, delay=_SETTLED)
        self.place = None if place is None else StudyPlace(place)
        self.progress = ProgressRow()
        self._looking = LatestJob(self, row=self.progress)
        self.sheet: SheetDialog | None = None
        self.list = ImportList()
        self.list.itemChanged.connect(self._check)
        files, folder = QPushButton("Add files …"), QPushButton("Add a folder …")
        files.setToolTip("DICOM, a DICOMDIR, videos, stacks of images")
        folder.setToolTip(
            "A disc or folder with DICOM, videos and images, searched with its subfolders"
        )
        self.look = QPushButton("Look first …")
        self.look.setToolTip(
            "The sheet of these clips, cropped and blacked out as chosen below: is the sector "
            "right, do letters show? Nothing is written to the study folder"
        )
        self.look.clicked.connect(self._look)
        files.clicked.connect(self._add_files)
        folder.clicked.connect(self._add_folder)
        self.form = RequestForm(ImportOptions, _FIELDS, notes=("mask",))
        letters = ImportOptions.model_fields["mask"].description or ""
        self.form.notes["mask"].setText(f"{letters[0].upper()}{letters[1:]}.")
        self.form.edited.connect(self._check)
        self.form.set_request(ImportOptions())
        self.comes_to, self.problem = label(), label(role="caution")
        buttons = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(buttons.Ok | buttons.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        row = QHBoxLayout()
        row.addWidget(files)
        row.addWidget(folder)
        row.addStretch(1)
        row.addWidget(self.look)
        layout = QVBoxLayout(self)
        if self.place is not None:
            self.place.changed.connect(self._check)
            layout.addWidget(label("New study folder"))
            layout.addWidget(self.place)
        layout.addWidget(
            label(
                "DICOM, a DICOMDIR or its disc, videos, folders of images. File names and DICOM "
                "headers are not kept: they carry patients' names.",
                role="note",
            )
        )
        layout.addWidget(self.list)
        layout.addLayout(row)
        layout.addWidget(self.form)
        for widget in (self.comes_to, self.problem, self.progress):
            layout.addWidget(widget)
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

    def options(self) -> ImportOptions | None:
        """Return how to import; None if a field is not legal, which the form then says."""
        return self.form.request()

    def _check(self, *_: object) -> None:
        options, sources = self.options(), self.sources()
        for name in _TOLD:
            self.form.show_row(name, not self.form.editors["patient"].value())
        new, self._unfit = self.place is not None, self.place.problem() if self.place else ""
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        ok.setText("Make it, empty" if new and not sources else "Import")
        ok.setEnabled(options is not None and (new or bool(sources)) and not self._unfit)
        self.look.setEnabled(options is not None and bool(sources))
        self.census = None
        if options is None or not sources:
            self._counting.drop()
            self._show("")
            return
        self._show("Counting files and patients …")
        self._counting.run(
            lambda job: self._taker.count(sources, options, cancelled=job.cancelled),
            self._on_counted,
            failed=self._on_not_counted,
        )

    def _on_counted(self, census: Census | None) -> None:
        self.census = census
        if census is not None:
            self._show(census.words(), census.warning(), census.listing())

    def _on_not_counted(self, error: object) -> None:
        text = str(error.problems[0]) if isinstance(error, StoreError) else str(error)
        self._show("", text)
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(False)

    def _show(self, comes_to: str, caution: str = "", listing: str = "") -> None:
        """Say what the import comes to, and what is to be cared for."""
        none = self.list.topLevelItemCount() and not self.sources() and not self.list.problem
        nothing = "Nothing is ticked. Series other than ultrasound are not ticked at first."
        every = (self._unfit, self.list.problem, none and nothing, caution)
        cautions = [text for text in every if text]
        for line, text in ((self.comes_to, comes_to), (self.problem, "\n".join(cautions))):
            line.setText(text)
            line.setVisible(bool(text))
        self.comes_to.setToolTip(listing)

    def _look(self) -> None:
        options, sources = self.options(), self.sources()
        if options is not None and sources:
            self._looking.run(
                lambda job: trial_sheet(sources, options, job),
                self._on_looked,
                failed=self._on_not_looked,
                words="Looking …",
            )

    def _on_looked(self, sheet: Any) -> None:
        if isinstance(sheet, str):
            self._show(self.comes_to.text(), sheet)
            return
        self.sheet = SheetDialog(self, sheet, "Before the import")
        self.sheet.show()

    def _on_not_looked(self, error: object) -> None:
        text = str(error.problems[0]) if isinstance(error, StoreError) else str(error)
        self._show(self.comes_to.text(), text)

    def done(self, result: int) -> None:
        """Close; what is being counted or looked at is of no use any more."""
        self._counting.drop()
        self._looking.drop()
        super().done(result)

    def _add_files(self) -> None:
        self.add(QFileDialog.getOpenFileNames(self, "Clips to import", "", FILTER)[0])

    def _add_folder(self) -> None:
        self.add([QFileDialog.getExistingDirectory(self, "Disc or folder to import")])


class ImportResult(QDialog):
    """List of what an import took, refused and left out; it does not hold up the work."""

    def __init__(self, parent: QWidget, report: ImportReport) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Result of the import")
        self.list = QTreeWidget()
        self.list.setHeaderLabels(["Source or clip", "Reason"])
        self.list.setAccessibleName("Result of the import")
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setColumnWidth(0, 280)
        self.list.setWordWrap(True)
        taken = [(name, f"patient {report.patients[name]}") for name in report.imported]
        waiting = list(report.waiting.items())
        left_out = [(path, "the import was stopped before it") for path in report.left_out]
        passed = [(path, f"no picture or video: {kind}") for path, kind in report.passed_over]
        for title, rows in (
            ("Refused", report.refused),
            ("Left out", left_out),
            ("Waiting for you", waiting),
            ("Imported", taken),
            ("Passed over", passed),
        ):
            self._add(title, rows)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addWidget(label(summary(report), role="note"))
        layout.addWidget(self.list, 1)
        layout.addWidget(self.buttons)
        self.resize(720, 420)

    def _add(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        if not rows:
            return
        group = QTreeWidgetItem(self.list, [f"{title} ({len(rows)})"])
        group.setExpanded(True)
        for name, reason in rows:
            row = QTreeWidgetItem(group, [Path(name).name, reason])
            row.setToolTip(0, name)
            row.setToolTip(1, reason)


def summary(report: ImportReport) -> str:
    """Return in one sentence how much was imported, of how many patients, refused and left out."""
    n = len(report.imported)
    patients = len(set(report.patients.values()))
    whose = f" of {patients} patient{'s' * (patients != 1)}" if n else ""
    parts = [f"{n} new clip{'s' * (n != 1)}{whose}"]
    parts += [f"{len(report.refused)} refused"] if report.refused else []
    parts += [f"{len(report.left_out)} left out"] if report.left_out else []
    parts += [f"{len(report.waiting)} waiting for you"] if report.waiting else []
    parts += [f"{len(report.passed_over)} passed over"] if report.passed_over else []
    return f"{', '.join(parts)}."
