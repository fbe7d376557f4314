"""A frozen version in the formats people use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.dataset.requests import FORMATS, chosen_for_export
from napari_confseg.widgets.common.folder_field import FolderField
from napari_confseg.widgets.common.icons import note

if TYPE_CHECKING:
    from napari_confseg.annotate.dataset.model import DatasetState


class ExportPage(QWidget):  # type: ignore[misc]
    """Shows a wish for an export and asks for its changes: `wished` carries changed fields."""

    wished = Signal(dict)
    export_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.version, self.format, self.rater = QComboBox(), QComboBox(), QComboBox()
        for name, (text, exact) in FORMATS.items():
            self.format.addItem(f"{text}{'' if exact else ' · cut at a threshold'}", name)
        for field, chooser in (
            ("version", self.version),
            ("format", self.format),
            ("rater", self.rater),
        ):
            chooser.setAccessibleName(field.capitalize())
            chooser.activated.connect(
                lambda _, f=field, c=chooser: self.wished.emit({f: c.currentData()})
            )
        self.threshold = _percent(50, "Marks of at least this count")
        self.threshold.valueChanged.connect(lambda v: self.wished.emit({"threshold": v}))
        self.banded = QCheckBox("ignore from")
        self.banded.setToolTip("Confidences in this band become nnU-Net's ignore label")
        self.low, self.high = _percent(30, "Band from"), _percent(70, "Band up to, not including")
        self.banded.clicked.connect(self._on_band)
        self.low.valueChanged.connect(self._on_band)
        self.high.valueChanged.connect(self._on_band)
        self.place = FolderField("An empty or new folder")
        self.place.chosen.connect(lambda text: self.wished.emit({"out": text}))
        self.export = QPushButton("&Export")
        self.export.setProperty("role", "primary")
        self.export.clicked.connect(self.export_wanted)
        self.facts = note()
        self._lay_out()

    def _on_band(self, *_: object) -> None:
        band = (self.low.value(), self.high.value()) if self.banded.isChecked() else None
        self.wished.emit({"band": band})

    def _lay_out(self) -> None:
        self._band = QWidget()
        band = QHBoxLayout(self._band)
        band.setContentsMargins(0, 0, 0, 0)
        for widget in (self.banded, self.low, self.high):
            band.addWidget(widget)
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self._form.addRow("Version", self.version)
        self._form.addRow("Format", self.format)
        self._form.addRow("Rater", self.rater)
        self._form.addRow("Cut at", self.threshold)
        self._form.addRow("Doubt", self._band)
        self._form.addRow("Folder", self.place)
        layout = QVBoxLayout(self)
        layout.addLayout(self._form)
        layout.addWidget(self.export)
        layout.addWidget(self.facts)
        layout.addStretch(1)

    def show_state(self, state: DatasetState, place: str, *, busy: bool) -> None:
        """Show the wish and what the last export said; `place` is where it would go."""
        wish, versions = state.export, state.versions
        _fill(
            self.version,
            [(f"v{v.number} · {v.clips} clips, {v.frames} frames", v.number) for v in versions],
            wish.version,
        )
        chosen, rater = chosen_for_export(wish, versions)
        raters = chosen.raters if chosen else ()
        _fill(self.rater, [(r.title, r.name) for r in raters], rater)
        self.format.setCurrentIndex(self.format.findData(wish.format))
        self._form.setRowVisible(self.rater, len(raters) > 1)
        self._form.setRowVisible(self.threshold, not FORMATS[wish.format][1])
        self._form.setRowVisible(self._band, wish.format == "nnunet")
        self.threshold.blockSignals(True)
        self.threshold.setValue(wish.threshold)
        self.threshold.blockSignals(False)
        self.banded.setChecked(wish.band is not None)
        for spin in (self.low, self.high):
            spin.setEnabled(wish.band is not None)
        self.place.show_place(place)
        self.export.setEnabled(not busy and chosen is not None)
        none = "Build a version first: exports are made of frozen datasets."
        self.facts.setText("\n".join(state.exported) if chosen else none)


def _fill(chooser: QComboBox, rows: list[tuple[str, object]], chosen: object) -> None:
    if [chooser.itemData(i) for i in range(chooser.count())] != [data for _, data in rows]:
        chooser.clear()
        for text, data in rows:
            chooser.addItem(text, data)
    chooser.setCurrentIndex(max(chooser.findData(chosen), 0) if chooser.count() else -1)


def _percent(value: int, tip: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(1, 100)
    spin.setValue(value)
    spin.setSuffix(" %")
    spin.setProperty("role", "narrow")
    spin.setToolTip(tip)
    spin.setAccessibleName(tip)
    return spin
