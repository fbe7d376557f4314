"""What is to be imported: files, folders, and the series of a DICOMDIR to tick."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTreeWidget, QTreeWidgetItem

from napari_confseg.ingest.decoded import IngestError
from napari_confseg.ingest.dicomdir import indexes_under, list_series, unlisted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_confseg.ingest.dicomdir import Series

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
        return list(dict.fromkeys(
            str(item.data(0, _FILES)) for item in self._leaves(self.invisibleRootItem())
            if item.checkState(0) == _TICKED
        ))  # fmt: skip

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
