"""Plots to look at: nothing to zoom or click, in napari's colours."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QSizePolicy


class StillPlot(pg.PlotWidget):
    """Axes with a faint grid that mouse and keys leave alone.

    Parameters
    ----------
    left, bottom : str
        What the axes say.
    x_grid : bool
        Whether the grid has lines that stand, too.
    """

    def __init__(self, left: str, bottom: str = "", *, x_grid: bool = True) -> None:
        super().__init__()
        self.setMouseEnabled(False, False)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.showGrid(x=x_grid, y=True, alpha=0.15)
        for side, words in (("bottom", bottom), ("left", left)):
            axis = self.getAxis(side)
            axis.enableAutoSIPrefix(False)
            if words:
                axis.setLabel(words)

    def set_theme(self, theme: Any) -> QColor:
        """Take the colours of a napari theme; return that of the words, for what else is drawn."""
        faint = QColor(theme.text.as_hex())
        faint.setAlpha(170)
        self.setBackground(theme.background.as_hex())
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.setPen(pg.mkPen(theme.secondary.as_hex()))
            axis.setTextPen(faint)
        return faint


def legend() -> QLabel:
    """Return a label of rich text that wraps and never widens the panel."""
    made = QLabel()
    made.setWordWrap(True)
    made.setTextFormat(Qt.TextFormat.RichText)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return made
