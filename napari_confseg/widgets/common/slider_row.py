"""A slider with its name and its value in words."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget


class SliderRow(QWidget):
    """A name, a slider and its value in words."""

    wanted = Signal(int)

    def __init__(self, name: str, low: int, high: int, unit: str, tip: str) -> None:
        super().__init__()
        self._unit = unit
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(low, high)
        self.slider.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.slider.setAccessibleName(name)
        self.slider.valueChanged.connect(self._on_value)
        self.value = QLabel()
        self.value.setMinimumWidth(self.value.fontMetrics().horizontalAdvance("100 px  "))
        self.value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        title = QLabel(name)
        title.setMinimumWidth(title.fontMetrics().horizontalAdvance("Show from  x"))
        self._showing = False
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(title)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.value)
        self.setToolTip(tip)

    def set_range(self, low: int, high: int) -> None:
        """Let values be from `low` to `high`; nothing is asked for by it."""
        self._showing = True
        self.slider.setRange(low, high)
        self._showing = False

    def set_value(self, value: int, words: str = "") -> None:
        """Show `value`, or `words` in its place."""
        self._showing = True
        self.slider.setValue(value)
        self._showing = False
        self.value.setText(words or f"{value} {self._unit}")

    def _on_value(self, value: int) -> None:
        if not self._showing:
            self.wanted.emit(value)
