"""What the next run shall be: classes, raters, method and loss, size, device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.plan import SIZES
from napari_confseg.widgets.parts.choices import Choices
from napari_confseg.widgets.train.choosers import chooser, select
from napari_confseg.widgets.train.method import MethodRows

if TYPE_CHECKING:
    from napari_confseg.annotate.training import TrainingState


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
