"""Form of the next run: classes, raters, method with its parameters, size and device."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.train.next_run import SIZES
from napari_confseg.job import FitRequest
from napari_confseg.job.scheduler import address_of
from napari_confseg.methods import LEVELS, LOSSES, METHODS
from napari_confseg.request_fields import none_of
from napari_confseg.widgets.common.buttons import button
from napari_confseg.widgets.common.choices import Choices, chooser, select
from napari_confseg.widgets.common.icons import note
from napari_confseg.widgets.common.request_form import (
    TIP_WIDTH,
    ComboEditor,
    RequestForm,
    narrow,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.annotate.train.model import TrainingState
    from napari_confseg.annotate.train.next_run import RunSettings


OWN: Final = "The method's own"


class MethodRows(QObject):
    """Shows what is edited of method, loss and levels; `edited` carries what changes of it."""

    edited = Signal(dict)

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
            lambda _: self.edited.emit({"method": self.chooser.currentData()})
        )
        self.loss.activated.connect(lambda _: self.edited.emit({"loss": self.loss.currentData()}))
        self.levels.activated.connect(
            lambda _: self.edited.emit({"levels": self.levels.currentData()})
        )
        for name, box in self.params.items():
            box.valueChanged.connect(
                lambda value, n=name: self.edited.emit({"params": self._chosen | {n: value}})
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
        """Add the rows at the top of `form`."""
        self._form = form
        rows: list[tuple[Any, ...]] = [("&Method", self.chooser), (_lines(self.note, 3),)]
        for name, box in self.params.items():
            self.labels[name].setBuddy(box)
            rows.append((self.labels[name], box))
        rows += [("&Loss", self.loss), (_lines(self.loss_note, 2),)]
        rows += [("&Percent", self.levels), (_lines(self.levels_note, 2),)]
        for i, row in enumerate(rows):
            form.insertRow(i, *row)

    def show_settings(self, settings: RunSettings) -> None:
        """Show the chosen method, its numbers, the loss and the levels, each with what it does."""
        about = METHODS[settings.method]
        select(self.chooser, settings.method)
        self._show_choice(
            self.loss, self.loss_note, settings.loss, LOSSES[settings.loss or about.loss]
        )
        self._show_choice(
            self.levels, self.levels_note, settings.levels, LEVELS[settings.levels or about.levels]
        )
        self._chosen = dict(settings.params)
        values = {p: settings.params.get(p, v.default) for p, v in about.parameters.items()}
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


THIS_COMPUTER: Final = "This computer"


class WhereBox(QComboBox):
    """Where runs are carried out: on this computer, or by a scheduler whose address is typed.

    `edited` carries the address, empty for this computer.
    """

    edited = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setCompleter(None)  # it would make "t", of tcp, this computer
        narrow(self)
        self.setAccessibleName("Where")
        self.setToolTip(
            fill(
                "Where to train and predict: on this computer, or on a worker of the dask "
                "scheduler whose address you type, tcp://HOST:8786. Workers are started by "
                "'confseg-train worker ADDRESS', and must see cohort and runs under the same path "
                "as this computer",
                TIP_WIDTH,
            )
        )
        self._where = ""
        self.offer(())
        self.activated.connect(lambda _: self._on_edited())
        self.lineEdit().editingFinished.connect(self._on_edited)

    def offer(self, addresses: Sequence[str]) -> None:
        """List addresses to choose from, below this computer."""
        self.clear()
        self.addItems([THIS_COMPUTER, *addresses])
        self.show_where(self._where)

    def show_where(self, where: str) -> None:
        """Show an address, unless a person is typing another."""
        if where == self._where and self.lineEdit().isModified():
            return
        self._where = where
        text = where or THIS_COMPUTER
        self.setCurrentIndex(self.findText(text))  # from which the arrow keys go on
        self.setEditText(text)
        self.lineEdit().setCursorPosition(0)

    def _on_edited(self) -> None:
        text = self.currentText().strip()
        where = "" if text == THIS_COMPUTER else address_of(text)
        self.lineEdit().setModified(False)
        if where != self._where:
            self.edited.emit(where)
        self.show_where(where)


SCRATCH: Final = none_of(FitRequest.model_fields["base"])
THIS_COHORT: Final = "This cohort, as it is now"


class FitForm(QWidget):
    """Form of the next run; `edited` carries the settings that a person has changed."""

    edited = Signal(dict)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.data = chooser(
            "Learn from the open cohort as it is now, or from a frozen dataset: its frames, its "
            "raters, its parts"
        )
        self.data.setAccessibleName("Data")
        self.data.activated.connect(self._on_data)
        self.other_data: QToolButton = button(
            "Other…", "Choose the folder of another frozen dataset"
        )
        self.other_data.clicked.connect(lambda: self._ask_for_dataset())
        self._listed: tuple[tuple[str | None, str], ...] = ()
        self.classes = Choices("Learn")
        self.classes.chosen.connect(lambda names: self.edited.emit({"classes": names}))
        self.raters = Choices("Learn from")
        self.raters.chosen.connect(lambda names: self.edited.emit({"raters": names}))
        self.method = MethodRows()
        self.method.edited.connect(self.edited)
        self._device = ComboEditor("Device")
        start_from = FitRequest.model_fields["base"]
        self._base = ComboEditor(start_from.title or "")
        self._base.box.setToolTip(fill((start_from.description or "").capitalize(), TIP_WIDTH))
        self.begins = note()
        self.fields = RequestForm(
            FitRequest,
            ("size", "device"),
            editors={"base": self._base, "device": self._device},
            notes=("size",),
        )
        self.fields.edited.connect(lambda: self.edited.emit(self.fields.values()))
        self.where = WhereBox()
        self.where.edited.connect(lambda where: self.edited.emit({"where": where}))
        above, _ = self.fields.rows.getWidgetPosition(self._device.native)
        self.fields.rows.insertRow(above, "&Where", self.where)
        self.method.add_to(self.fields.rows)
        self.size, self.device = self.fields["size"], self._device.box
        self.base = self._base.box
        self._lay_out()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        data = QFormLayout()
        data.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.data, 1)
        row.addWidget(self.other_data)
        heading = QLabel("D&ata")
        heading.setBuddy(self.data)
        data.addRow(heading, row)
        start_from = QLabel(FitRequest.model_fields["base"].title)
        start_from.setBuddy(self.base)
        data.addRow(start_from, self.base)
        layout.addLayout(data)
        layout.addWidget(self.begins)
        self._headings = [QLabel("Classes"), QLabel("Learn from")]
        for heading, choices in zip(self._headings, (self.classes, self.raters), strict=True):
            layout.addWidget(heading)
            layout.addWidget(choices)
        layout.addSpacing(4)
        layout.addWidget(self.fields)

    def show_state(self, state: TrainingState) -> None:
        """Show the settings and what comes of them."""
        settings, coming = state.settings, state.next_run
        self._show_data(state)
        self.classes.show_choices(coming.classes)
        self.raters.show_choices(coming.raters)
        self._headings[0].setVisible(bool(coming.classes))
        self._headings[1].setVisible(bool(coming.raters))
        self.method.show_settings(settings)
        self._device.show_choices([(text, name) for name, text in state.devices])
        self._base.show_choices(
            [(SCRATCH, None), *((base.label, base.location) for base in state.bases)]
        )
        self.fields.set_values(
            {"base": settings.base, "size": settings.size, "device": settings.device}
        )
        self.where.show_where(settings.where)
        self.begins.setText(coming.begins)
        self.begins.setVisible(bool(coming.begins))
        self.fields.notes["size"].setText(SIZES[settings.size])
        scratch = settings.base is None  # else the size is that of the model which it starts from
        self.fields.show_row("size", scratch)
        self.fields.rows.setRowVisible(self.fields.notes["size"], scratch)

    def _show_data(self, state: TrainingState) -> None:
        chosen = state.settings.dataset
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
        self.data.setCurrentIndex([place for place, _ in listed].index(chosen))

    def _on_data(self, index: int) -> None:
        self.edited.emit({"dataset": self._listed[index][0]})

    def _ask_for_dataset(self) -> None:
        begin = str(Path(self._listed[1][0] or "").parent) if len(self._listed) > 1 else ""
        folder = QFileDialog.getExistingDirectory(self, "Folder of a frozen dataset", begin)
        if folder:
            self.edited.emit({"dataset": folder})
