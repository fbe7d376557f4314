"""Classes or raters to tick."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QStyle,
    QStyleOptionButton,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

from napari_confseg.widgets.common.icons import swatch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from qtpy.QtGui import QPaintEvent

    from napari_confseg.annotate.train.next_run import Choice


def frames_in_words(n: int) -> str:
    """Return a number of reviewed frames as people read it."""
    return {0: "none reviewed", 1: "1 frame"}.get(n, f"{n} frames")


class TickBox(QCheckBox):
    """A box to tick whose text ends in dots where it has no room; whole in the tooltip."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        # Rather a name cut short than a panel wider than the window.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the box with as much of the text as there is room for."""
        option = QStyleOptionButton()
        self.initStyleOption(option)
        element = QStyle.SubElement.SE_CheckBoxContents
        room = self.style().subElementRect(element, option, self).width()
        if not option.icon.isNull():
            room -= option.iconSize.width() + 4
        option.text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, room)
        QStylePainter(self).drawControl(QStyle.ControlElement.CE_CheckBox, option)


class Chooser(QComboBox):
    """A list to choose from, whose text ends in dots where it has no room."""

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the list with as much of the chosen entry as there is room for."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        control, field = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(control, option, field, self).width() - 4
        if not option.currentIcon.isNull():
            room -= option.iconSize.width() + 4
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideRight, room
        )
        painter = QStylePainter(self)
        painter.drawComplexControl(control, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


class Choices(QWidget):
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
            box, count = TickBox(choice.label), QLabel()
            box.setAccessibleName(f"{self._what} {choice.label}")
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


class TickList(QListWidget):
    """Emits `chosen` with the set of ticked names when a person changes one."""

    chosen = Signal(object)

    def __init__(self, what: str) -> None:
        super().__init__()
        self.setAccessibleName(what)
        self.setFixedHeight(140)
        self.setUniformItemSizes(True)
        self.itemChanged.connect(self._on_changed)

    def show_names(self, names: Sequence[str], ticked: Collection[str]) -> None:
        """Show `names`; rows are made anew only if there are others."""
        self.blockSignals(True)
        if self.names() != list(names):
            self.clear()
            for name in names:
                self.addItem(QListWidgetItem(name))
        for i, name in enumerate(names):
            on = Qt.CheckState.Checked if name in ticked else Qt.CheckState.Unchecked
            self.item(i).setCheckState(on)
        self.blockSignals(False)

    def names(self) -> list[str]:
        """Return all names."""
        return [self.item(i).text() for i in range(self.count())]

    def _on_changed(self, _: QListWidgetItem) -> None:
        on = Qt.CheckState.Checked
        items = (self.item(i) for i in range(self.count()))
        self.chosen.emit(frozenset(i.text() for i in items if i.checkState() == on))


def chooser(tip: str = "") -> QComboBox:
    """Return an empty list that may be narrower than its longest entry."""
    made = Chooser()
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(6)
    made.setToolTip(tip)
    return made


def select(chooser: QComboBox, data: object) -> None:
    """Choose the entry that stands for `data`; the first if none does."""
    chooser.setCurrentIndex(max(chooser.findData(data), 0))
