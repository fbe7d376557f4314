"""What the next run shall be: classes, raters, method and loss, size, device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QGridLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.plan import SIZES
from napari_confseg.widgets.parts.signs import swatch
from napari_confseg.widgets.train.choosers import chooser, select
from napari_confseg.widgets.train.method import MethodRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.annotate.plan import Choice
    from napari_confseg.annotate.training import TrainingState


def frames_in_words(n: int) -> str:
    """Return a number of reviewed frames as people read it."""
    return {0: "none reviewed", 1: "1 frame"}.get(n, f"{n} frames")


class Choices(QWidget):  # type: ignore[misc]
    """Boxes to tick, each with its colour and how many frames were reviewed.

    Emits `chosen` with the set of ticked names when a person changes one.
    """

    chosen = Signal(object)

    def __init__(self, what: str, parent: Any = None) -> None:
        super().__init__(parent)
        self._what = what
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(0, 1)
        self.boxes: dict[str, QCheckBox] = {}
        self._counts: dict[str, QLabel] = {}

    def show_choices(self, choices: Sequence[Choice], *, counted: bool = True) -> None:
        """Show `choices`; rows are made anew only if there are others.

        Where they are not `counted`, nothing is said of frames and all can be chosen.
        """
        if list(self.boxes) != [c.name for c in choices]:
            self._rebuild(choices)
        for choice in choices:
            box, count = self.boxes[choice.name], self._counts[choice.name]
            box.blockSignals(True)
            box.setChecked(choice.chosen)
            box.blockSignals(False)
            count.setVisible(counted)
            if not counted:
                box.setToolTip(f"{self._what} {choice.label}")
                continue
            box.setEnabled(choice.frames > 0)
            count.setEnabled(choice.frames > 0)
            count.setText(frames_in_words(choice.frames))
            tip = f"{self._what} {choice.label}: {choice.frames} reviewed frames"
            none = f"{choice.label}: no frame is reviewed for it, so it can't be learnt"
            box.setToolTip(tip if choice.frames else none)

    def _rebuild(self, choices: Sequence[Choice]) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            item.widget().hide()
            item.widget().deleteLater()
        self.boxes, self._counts = {}, {}
        for row, choice in enumerate(choices):
            box, count = QCheckBox(choice.label), QLabel()
            box.setAccessibleName(f"{self._what} {choice.label}")
            # Rather a name cut short, whole in its tip, than a panel wider than the window.
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            if choice.color:
                box.setIcon(swatch(choice.color))
            box.toggled.connect(self._on_toggled)
            count.setProperty("role", "note")
            count.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self._grid.addWidget(box, row, 0)
            self._grid.addWidget(count, row, 1)
            self.boxes[choice.name], self._counts[choice.name] = box, count

    def _on_toggled(self) -> None:
        self.chosen.emit(frozenset(n for n, b in self.boxes.items() if b.isChecked()))


class PlanForm(QWidget):  # type: ignore[misc]
    """Shows a plan and asks for changes of the wish: `wished` carries its changed fields."""

    wished = Signal(dict)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
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
        self._headings = [QLabel("Classes"), QLabel("Learn from")]
        for heading, choices in zip(self._headings, (self.classes, self.raters), strict=True):
            layout.addWidget(heading)
            layout.addWidget(choices)
        layout.addSpacing(4)
        layout.addLayout(form)

    def show_state(self, state: TrainingState) -> None:
        """Show the wish and what comes of it."""
        wish = state.wish
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
