"""Several raters become one more: see it first, then write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.dataset.requests import METHODS, chosen_for_consensus, rater_choices
from napari_confseg.widgets.common.choices import Choices
from napari_confseg.widgets.common.icons import note

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_confseg.agreement.consensus import ConsensusReport
    from napari_confseg.annotate.dataset.model import DatasetState
    from napari_confseg.store import ClassSpec


class ConsensusPage(QWidget):  # type: ignore[misc]
    """Shows a wish for a consensus and asks for its changes: `wished` carries changed fields."""

    wished = Signal(dict)
    preview_wanted = Signal()
    write_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._made: ConsensusReport | None = None
        self.raters = Choices("Consensus of")
        self.raters.chosen.connect(lambda names: self.wished.emit({"raters": names}))
        self.method, self.method_note = QComboBox(), note()
        for name in METHODS:
            self.method.addItem(
                name.replace("-", " ")
                .capitalize()
                .replace("staple", "STAPLE")
                .replace("Staple", "STAPLE"),
                name,
            )
        self.method.setToolTip("How the marks of several become one")
        self.method.activated.connect(
            lambda _: self.wished.emit({"method": self.method.currentData()})
        )
        self.threshold = self._spin("threshold", (1, 100), " %", "From here on a rater says yes")
        self.least = self._spin("least", (1, 20), " raters", "Who must have reviewed a frame")
        self.name = QLineEdit()
        self.name.setToolTip("Name of the new rater; a consensus of that name is replaced")
        self.name.textEdited.connect(lambda text: self.wished.emit({"name": text}))
        self.preview = QPushButton("&Preview on this clip")
        self.preview.setToolTip("Show it on the clip on screen; nothing is written")
        self.preview.clicked.connect(self.preview_wanted)
        self.write = QPushButton("&Write as rater")
        self.write.setProperty("role", "primary")
        self.write.setToolTip("Write it into the cohort, on every clip that enough have reviewed")
        self.write.clicked.connect(self.write_wanted)
        self.facts = note()
        self.fitted = QTreeWidget()
        self.fitted.setHeaderLabels(["Class, rater", "estimated"])
        self.fitted.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.fitted.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.fitted.setAccessibleName("What was estimated of the raters")
        self.fitted.setMinimumHeight(160)
        self._lay_out()

    def _spin(self, field: str, limits: tuple[int, int], suffix: str, tip: str) -> QSpinBox:
        spin = QSpinBox()
        spin.setRange(*limits)
        spin.setSuffix(suffix)
        spin.setToolTip(tip)
        spin.setAccessibleName(tip)
        spin.valueChanged.connect(lambda value: self.wished.emit({field: value}))
        return spin

    def _lay_out(self) -> None:
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self._form.addRow("Method", self.method)
        self._form.addRow(self.method_note)
        self._form.addRow("Yes from", self.threshold)
        self._form.addRow("At least", self.least)
        self._form.addRow("Name", self.name)
        buttons = QHBoxLayout()
        buttons.addWidget(self.preview, 1)
        buttons.addWidget(self.write, 1)
        layout = QVBoxLayout(self)
        layout.addWidget(self.raters)
        layout.addLayout(self._form)
        layout.addLayout(buttons)
        layout.addWidget(self.facts)
        layout.addWidget(self.fitted)
        layout.addStretch(1)

    def show_state(
        self, state: DatasetState, classes: Sequence[ClassSpec], clip: str | None, *, busy: bool
    ) -> None:
        """Show the wish, and what was made last; `clip` is the one on screen."""
        wish = state.consensus
        chosen = chosen_for_consensus(wish, state.found)
        self.raters.show_choices(rater_choices(state.found, chosen))
        self.method.setCurrentIndex(self.method.findData(wish.method))
        self.method_note.setText(METHODS[wish.method])
        self._form.setRowVisible(self.threshold, wish.method in ("majority", "staple"))
        for spin, value in ((self.threshold, wish.threshold), (self.least, wish.least)):
            spin.blockSignals(True)
            spin.setValue(value)
            spin.blockSignals(False)
        if self.name.text() != wish.name:
            self.name.setText(wish.name)
        self.name.setPlaceholderText(wish.method)
        enough = len(chosen) >= wish.least
        self.preview.setEnabled(not busy and enough and clip is not None)
        self.write.setEnabled(not busy and enough)
        self._show_made(state.made, classes)
        if not enough:
            self.facts.setText(f"Tick at least {wish.least} raters, or ask for fewer.")

    def _show_made(self, made: ConsensusReport | None, classes: Sequence[ClassSpec]) -> None:
        self.fitted.setVisible(bool(made and made.fitted))
        self.facts.setText("" if made is None else _words(made))
        if made is self._made:
            return
        self._made = made
        self.fitted.clear()
        labels = {c.name: c.label for c in classes}
        for class_name, fitted in made.fitted.items() if made else ():
            parent = QTreeWidgetItem([labels.get(class_name, class_name)])
            for rater, words in _estimates(fitted["raters"]):
                parent.addChild(QTreeWidgetItem([rater, words]))
            self.fitted.addTopLevelItem(parent)
        self.fitted.expandAll()


def _words(made: ConsensusReport) -> str:
    who = ", ".join(made.raters)
    if not made.clips:
        return f"No clip was reviewed by enough of {who}: nothing was written."
    return (
        f"{made.rater} ({made.method} of {who}) stands on {len(made.clips)} clips, "
        f"{made.frames} frames and classes."
    )


def _estimates(raters: dict[str, dict[str, float]]) -> Iterator[tuple[str, str]]:
    for name, found in raters.items():
        if "overlooked" in found:
            yield name, f"overlooks {found['overlooked']:.0%}"
        else:
            yield (
                name,
                (f"sensitivity {found['sensitivity']:.2f}, specificity {found['specificity']:.3f}"),
            )
