"""Export page: a frozen version in another format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_confseg.annotate.dataset.requests import rater_of_export
from napari_confseg.formats import FORMATS
from napari_confseg.formats.export import ExportRequest
from napari_confseg.widgets.common.folder_field import FolderField
from napari_confseg.widgets.common.icons import note
from napari_confseg.widgets.common.request_form import ComboEditor, PairEditor, RequestForm

if TYPE_CHECKING:
    from napari_confseg.annotate.dataset.model import DatasetState
    from napari_confseg.annotate.dataset.results import VersionLine


class ExportPage(QWidget):
    """Form of an export.

    `requested` carries the request, the version (None: the newest) and the folder (empty: beside
    the dataset) whenever a person has changed one.
    """

    requested = Signal(object, object, str)
    export_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._version, self._rater = ComboEditor("Version"), ComboEditor("Rater")
        band = PairEditor(
            "from",
            "up to",
            (1, 101),
            (30, 70),
            names=("Ignore from", "Ignore up to, not including"),
            unit=" %",
        )
        self.form = RequestForm(
            ExportRequest,
            ("format", "rater", "threshold", "band"),
            editors={"rater": self._rater, "band": band},
        )
        self.version, self.format = self._version.box, self.form["format"]
        self.rater = self._rater.box
        self.place = FolderField("An empty or new folder")
        self._folder = ""
        self.form.add_row("Version", self.version, first=True)
        self.form.add_row("Folder", self.place)
        self.form.edited.connect(self._on_edited)
        self._version.edited.connect(self._on_edited)
        self.place.chosen.connect(self._on_folder)
        self.export = QPushButton("&Export")
        self.export.setProperty("role", "primary")
        self.export.clicked.connect(self.export_wanted)
        self.facts = note()
        layout = QVBoxLayout(self)
        for widget in (self.form, self.export, self.facts):
            layout.addWidget(widget)
        layout.addStretch(1)

    def _on_folder(self, folder: str) -> None:
        self._folder = folder
        self._on_edited()

    def _on_edited(self) -> None:
        request = self.form.request()
        if request is None:
            self.export.setEnabled(False)
        else:
            self.requested.emit(request, self._version.value(), self._folder)

    def show_state(
        self, state: DatasetState, version: VersionLine | None, place: str, *, busy: bool
    ) -> None:
        """Show the request and what the last export was.

        Parameters
        ----------
        state : DatasetState
            All that the panel shows.
        version : VersionLine or None
            The version that would be exported; None if there is none.
        place : str
            The folder that it would go to.
        busy : bool
            Whether a task is running.
        """
        self._folder = state.export_folder
        self._version.show_choices(
            [
                (f"v{v.number} · {v.clips} clips, {v.frames} frames", v.number)
                for v in state.versions
            ]
        )
        self._version.set_value(version.number if version else None)
        raters = version.raters if version else ()
        self._rater.show_choices([(r.title, r.name) for r in raters])
        rater = rater_of_export(state.export, version.raters if version else ())
        self.form.set_request(state.export.model_copy(update={"rater": rater}))
        takes = FORMATS[state.export.format].options
        self.form.show_row("rater", len(raters) > 1)
        self.form.show_row("threshold", "threshold" in takes)
        self.form.show_row("band", "band" in takes)
        self.place.show_place(place)
        self.export.setEnabled(self.form.valid and not busy and version is not None)
        none = "Build a version first: exports are made of frozen datasets."
        self.facts.setText("\n".join(state.exported) if version else none)
