"""Which method, with which numbers, loss and levels: rows of the form of the next run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.train.next_run import SIZES
from napari_confseg.methods import LEVELS, LOSSES, METHODS
from napari_confseg.widgets.common.choices import Choices, chooser, select
from napari_confseg.widgets.common.icons import note

if TYPE_CHECKING:
    from napari_confseg.annotate.train.model import TrainingState
    from napari_confseg.annotate.train.next_run import Wish


OWN: Final = "The method's own"


class MethodRows(QObject):  # type: ignore[misc]
    """Shows what is wished of method, loss and levels; `wished` carries what changes of it."""

    wished = Signal(dict)

    def __init__(self) -> None:
        super().__init__()
        self.chooser = chooser("How confidence becomes what the model learns")
        self.note = note()
        self.params = {p: QSpinBox() for about in METHODS.values() for p in about.parameters}
        self.labels = {name: QLabel() for name in self.params}
        self.loss, self.loss_note = chooser("How what is missing is measured"), note()
        self.levels, self.levels_note = chooser("Which percent is written in the end"), note()
        self._asks = {box: box.toolTip() for box in (self.loss, self.levels)}
        self._chosen: dict[str, float] = {}
        self._fill()
        self.chooser.activated.connect(
            lambda _: self.wished.emit({"method": self.chooser.currentData()})
        )
        self.loss.activated.connect(lambda _: self.wished.emit({"loss": self.loss.currentData()}))
        self.levels.activated.connect(
            lambda _: self.wished.emit({"levels": self.levels.currentData()})
        )
        for name, box in self.params.items():
            box.valueChanged.connect(
                lambda value, n=name: self.wished.emit({"params": self._chosen | {n: value}})
            )

    def _fill(self) -> None:
        for i, (name, about) in enumerate(METHODS.items()):
            self.chooser.addItem(_title(name), name)
            defaults = {p: f"{v.default:g}" for p, v in about.parameters.items()}
            tip = about.purpose.format(**defaults)
            self.chooser.setItemData(i, tip, Qt.ItemDataRole.ToolTipRole)
        for box, table in ((self.loss, LOSSES), (self.levels, LEVELS)):
            box.addItem(OWN, None)
            for name, purpose in table.items():
                box.addItem(_title(name), name)
                box.setItemData(box.count() - 1, purpose, Qt.ItemDataRole.ToolTipRole)

    def add_to(self, form: QFormLayout) -> None:
        """Add the rows to `form`."""
        self._form = form
        form.addRow("&Method", self.chooser)
        form.addRow(_lines(self.note, 3))
        for name, box in self.params.items():
            self.labels[name].setBuddy(box)
            form.addRow(self.labels[name], box)
        form.addRow("&Loss", self.loss)
        form.addRow(_lines(self.loss_note, 2))
        form.addRow("&Percent", self.levels)
        form.addRow(_lines(self.levels_note, 2))

    def show_wish(self, wish: Wish) -> None:
        """Show the chosen method, its numbers, the loss and the levels, each with what it does."""
        about = METHODS[wish.method]
        select(self.chooser, wish.method)
        self._show_choice(self.loss, self.loss_note, wish.loss, LOSSES[wish.loss or about.loss])
        self._show_choice(
            self.levels, self.levels_note, wish.levels, LEVELS[wish.levels or about.levels]
        )
        self._chosen = dict(wish.params)
        values = {p: wish.params.get(p, v.default) for p, v in about.parameters.items()}
        for name, box in self.params.items():
            self._form.setRowVisible(box, name in values)
        for name, parameter in about.parameters.items():
            box = self.params[name]
            box.blockSignals(True)
            box.setRange(round(parameter.low), round(parameter.high))
            box.setValue(round(values[name]))
            box.blockSignals(False)
            box.setSuffix(f" {parameter.unit}" if parameter.unit else "")
            box.setToolTip(f"{parameter.label}, {box.minimum()} to {box.maximum()}{box.suffix()}")
            box.setAccessibleName(f"{parameter.label}, of the method")
            self.labels[name].setText(parameter.label)
        self.note.setText(about.purpose.format(**{n: f"{v:g}" for n, v in values.items()}))

    def _show_choice(
        self, chooser: QComboBox, note: QLabel, chosen: str | None, purpose: str
    ) -> None:
        """Show a choice; what it does stands below it once it is not the method's own."""
        select(chooser, chosen)
        chooser.setToolTip(f"{self._asks[chooser]}. Now: {purpose}")
        note.setText(f"{purpose}.")
        self._form.setRowVisible(note, chosen is not None)


def _title(name: str) -> str:
    return name.capitalize().replace("-", " ")


def _lines(label: QLabel, n: int) -> QLabel:
    """Give a sentence room for `n` lines: a form would give it the height of a wide one."""
    label.setMinimumHeight(n * label.fontMetrics().lineSpacing() + 2)
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    return label


THIS_COHORT: Final = "This cohort, as it is now"
ANOTHER_FOLDER: Final = "Another dataset…"


class PlanForm(QWidget):  # type: ignore[misc]
    """Shows a plan and asks for changes of the wish: `wished` carries its changed fields."""

    wished = Signal(dict)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.data = chooser(
            "Learn from the open cohort as it is now, or from a frozen dataset: its frames, its "
            "raters, its parts"
        )
        self.data.setAccessibleName("Data")
        self.data.activated.connect(self._on_data)
        self._listed: tuple[tuple[str | None, str], ...] = ()
        self._chosen = 0
        self.classes = Choices("Learn")
        self.classes.chosen.connect(lambda names: self.wished.emit({"classes": names}))
        self.raters = Choices("Learn from")
        self.raters.chosen.connect(lambda names: self.wished.emit({"raters": names}))
        self.method = MethodRows()
        self.method.wished.connect(self.wished)
        self.size = chooser()
        self.device = chooser("Where to train. Automatic takes a GPU if there is one.")
        self._fill_choosers()
        self._lay_out()

    def _fill_choosers(self) -> None:
        for i, (name, text) in enumerate(SIZES.items()):
            self.size.addItem(name.capitalize(), name)
            self.size.setItemData(i, text, Qt.ItemDataRole.ToolTipRole)
        self.size.activated.connect(lambda _: self.wished.emit({"size": self.size.currentData()}))
        self.device.activated.connect(
            lambda _: self.wished.emit({"device": self.device.currentData()})
        )

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        self.method.add_to(form)
        form.addRow("Si&ze", self.size)
        form.addRow("&Device", self.device)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        data = QFormLayout()
        data.setContentsMargins(0, 0, 0, 0)
        data.addRow("D&ata", self.data)
        layout.addLayout(data)
        self._headings = [QLabel("Classes"), QLabel("Learn from")]
        for heading, choices in zip(self._headings, (self.classes, self.raters), strict=True):
            layout.addWidget(heading)
            layout.addWidget(choices)
        layout.addSpacing(4)
        layout.addLayout(form)

    def show_state(self, state: TrainingState) -> None:
        """Show the wish and what comes of it."""
        wish = state.wish
        self._show_data(state)
        self.classes.show_choices(state.plan.classes)
        self.raters.show_choices(state.plan.raters)
        self._headings[0].setVisible(bool(state.plan.classes))
        self._headings[1].setVisible(bool(state.plan.raters))
        self.method.show_wish(wish)
        select(self.size, wish.size)
        self.size.setToolTip(SIZES[wish.size])
        if self.device.count() != len(state.devices):
            self.device.clear()
            for name, text in state.devices:
                self.device.addItem(text, name)
        select(self.device, wish.device)

    def _show_data(self, state: TrainingState) -> None:
        chosen = state.wish.dataset
        listed: tuple[tuple[str | None, str], ...] = ((None, THIS_COHORT), *state.datasets)
        if chosen not in [place for place, _ in listed]:
            listed = (*listed, (chosen, str(chosen)))
        if listed != self._listed:
            self._listed = listed
            self.data.clear()
            for place, text in listed:
                self.data.addItem(text, place)
                self.data.setItemData(
                    self.data.count() - 1, place or "", Qt.ItemDataRole.ToolTipRole
                )
            self.data.addItem(ANOTHER_FOLDER)
        self._chosen = [place for place, _ in listed].index(chosen)
        self.data.setCurrentIndex(self._chosen)

    def _on_data(self, index: int) -> None:
        if index < len(self._listed):
            self.wished.emit({"dataset": self._listed[index][0]})
            return
        begin = str(Path(self._listed[1][0] or "").parent) if len(self._listed) > 1 else ""
        folder = QFileDialog.getExistingDirectory(self, "Folder of a frozen dataset", begin)
        if folder:
            self.wished.emit({"dataset": folder})
        else:  # the entry that asked for it is no choice
            self.data.setCurrentIndex(self._chosen)
