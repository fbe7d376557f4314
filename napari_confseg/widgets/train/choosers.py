"""Lists to choose one entry from, that never widen the panel."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox


def chooser(tip: str = "") -> QComboBox:
    """Return an empty list that may be narrower than its longest entry."""
    made = QComboBox()
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(6)
    made.setToolTip(tip)
    return made


def select(chooser: QComboBox, data: object) -> None:
    """Choose the entry that stands for `data`; the first if none does."""
    chooser.setCurrentIndex(max(chooser.findData(data), 0))
