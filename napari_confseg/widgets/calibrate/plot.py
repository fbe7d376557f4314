"""The reliability plot: stated confidence against the share of it that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_confseg.widgets.parts.plot import StillPlot

if TYPE_CHECKING:
    from napari_confseg.dataset.exercise import Curve

HEIGHT: Final = 230
_SMALL, _LARGE = 6.0, 22.0


class ReliabilityPlot(QWidget):  # type: ignore[misc]
    """Points as large as there are pixels, joined; the diagonal is who is as sure as right."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = StillPlot("Was there, %", "You said, %")
        self.plot.setMinimumHeight(HEIGHT)
        self.plot.setMaximumHeight(HEIGHT + 80)
        self.plot.setRange(xRange=(0, 100), yRange=(0, 100), padding=0.08)
        for side in ("bottom", "left"):
            self.plot.getAxis(side).setTickSpacing(20, 20)
        self._diagonal = self.plot.plot([0, 100], [0, 100])
        self._before = self.plot.plot([], [])
        self._line = self.plot.plot([], [])
        self.points = pg.ScatterPlotItem()
        self.plot.addItem(self.points)
        above, below = pg.TextItem("less sure than right"), pg.TextItem("surer than right")
        above.setPos(3, 99)
        below.setPos(97, 12)
        below.setAnchor((1, 0))
        self._texts = (above, below)
        for text in self._texts:
            self.plot.addItem(text, ignoreBounds=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.setAccessibleName("Reliability plot")
        self.setToolTip(
            "Each point: marks of about this confidence, and how much of them was there.\n"
            "The larger, the more pixels. On the dashed line you are as sure as you are right.\n"
            "Dotted: the exercise before."
        )

    def set_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        faint = self.plot.set_theme(theme)
        self._diagonal.setPen(pg.mkPen(faint, width=1, style=Qt.PenStyle.DashLine))
        for words in self._texts:
            words.setColor(faint)

    def show_curve(self, curve: Curve | None, before: Curve | None, color: str) -> None:
        """Draw `curve` in `color` over the one `before`; nothing where there is none."""
        x, y, pixels = _points(curve)
        self._line.setData(x, y)
        self._line.setPen(pg.mkPen(color, width=2))
        size = _SMALL + (_LARGE - _SMALL) * np.sqrt(pixels / max(pixels.max(initial=1), 1))
        self.points.setData(x=x, y=y, size=size, brush=pg.mkBrush(color), pen=None)
        old_x, old_y, _ = _points(before)
        self._before.setData(old_x, old_y)
        self._before.setPen(pg.mkPen(color, width=1.5, style=Qt.PenStyle.DotLine))


def _points(curve: Curve | None) -> tuple[Any, Any, Any]:
    if curve is None:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    pixels = np.array(curve.pixels)
    some = pixels > 0
    return 100 * np.array(curve.stated)[some], 100 * np.array(curve.right)[some], pixels[some]
