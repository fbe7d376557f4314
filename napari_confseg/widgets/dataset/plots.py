"""Plots of the Dataset panel: curves by pyqtgraph, and bars of how much there is of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_confseg.agreement.overlap import CURVE
from napari_confseg.widgets.common.plot import StillPlot, legend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.agreement.reliability import Reliability
    from napari_confseg.agreement.summary import SoftSummary
    from napari_confseg.store import ClassSpec

    Line = tuple[str, Sequence[float], Sequence[float]]

# Okabe and Ito's colours that show on dark and on light ground; classes have colours of their own.
COLORS: Final = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2")
HEIGHT: Final = 140
ROW: Final = 24


class CurvePlot(QWidget):
    """A few curves over 0..100 % with a legend of who is who above them.

    Parameters
    ----------
    x_label, y_label, tip : str
        What people read.
    diagonal : bool
        Whether to draw where stated and true are the same.
    """

    def __init__(self, x_label: str, y_label: str, tip: str, *, diagonal: bool = False) -> None:
        super().__init__()
        self._lines: list[Line] = []
        self._items: list[Any] = []
        self.legend = legend()
        self.plot = StillPlot(y_label, x_label)
        self.plot.setFixedHeight(HEIGHT)
        self.plot.setXRange(0, 100, padding=0.02)
        self.plot.setYRange(0, 1, padding=0.04)
        self.plot.getAxis("left").setWidth(38)
        self._diagonal = pg.PlotDataItem([0, 100], [0, 1])
        if diagonal:
            self.plot.addItem(self._diagonal)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.legend)
        layout.addWidget(self.plot)
        self.setToolTip(tip)
        self.setAccessibleName(f"{y_label} against {x_label}")

    def set_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        faint = self.plot.set_theme(theme)
        self._diagonal.setPen(pg.mkPen(faint, width=1, style=Qt.PenStyle.DashLine))

    def show_lines(self, lines: Sequence[Line]) -> None:
        """Draw (name, x in percent, y 0..1) each; points that are NaN are left out."""
        for item in self._items:
            self.plot.removeItem(item)
        self._items, names = [], []
        for i, (name, x, y) in enumerate(lines):
            color = COLORS[i % len(COLORS)]
            known = ~np.isnan(y)
            if not known.any():
                continue
            self._items.append(
                self.plot.plot(
                    np.asarray(x)[known],
                    np.asarray(y)[known],
                    pen=pg.mkPen(color, width=2),
                    symbol="o",
                    symbolSize=4,
                    symbolBrush=color,
                    symbolPen=None,
                    antialias=True,
                )
            )
            words = name.replace(" ", "&nbsp;").replace("-", "\N{NON-BREAKING HYPHEN}")
            names.append(f'<span style="color:{color}">●</span>&nbsp;{words}')
        self.legend.setText("&ensp; ".join(names) or "Nothing to draw for this class.")


def threshold_lines(rows: Sequence[SoftSummary], class_name: str) -> list[Line]:
    """Return Dice against the threshold for each pair."""
    return [(f"{r.a} – {r.b}", CURVE, r.dice_curve) for r in rows if r.class_name == class_name]


def reliability_lines(rows: Sequence[Reliability], class_name: str) -> list[Line]:
    """Return how often the others agree against stated confidence, for each rater."""
    return [
        (r.rater, [100 * s for s in r.stated], r.agreed) for r in rows if r.class_name == class_name
    ]


class ClassBars(QWidget):
    """For each class, how many of the reviewed frames show it, and how many are empty of it."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[tuple[ClassSpec, int, int], ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Filled: reviewed frames with the class. Outlined: reviewed, and empty.")
        self.setAccessibleName("Balance of the classes")

    def show_counts(self, rows: Sequence[tuple[ClassSpec, int, int]]) -> None:
        """Show (class, frames with it, frames reviewed for it)."""
        self.rows = tuple(rows)
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Return a height for all rows."""
        return QSize(200, ROW * len(self.rows))

    minimumSizeHint = sizeHint  # noqa: N815, Qt's name

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: D102
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = self.fontMetrics()
        left = max((metrics.horizontalAdvance(s.label) for s, _, _ in self.rows), default=0) + 10
        counts = [f"{marked} of {reviewed}" for _, marked, reviewed in self.rows]
        right = max((metrics.horizontalAdvance(c) for c in counts), default=0) + 10
        most = max((reviewed for _, _, reviewed in self.rows), default=0) or 1
        space = self.width() - left - right
        text = self.palette().color(self.foregroundRole())
        for i, (spec, marked, reviewed) in enumerate(self.rows):
            top, middle = i * ROW, Qt.AlignmentFlag.AlignVCenter
            painter.setPen(text)
            painter.drawText(QRectF(0, top, left, ROW), int(middle), spec.label)
            painter.drawText(
                QRectF(self.width() - right, top, right, ROW),
                int(middle | Qt.AlignmentFlag.AlignRight),
                counts[i],
            )
            color = QColor(spec.color)
            bar = QRectF(left, top + 6, max(space * reviewed / most, 1), ROW - 12)
            painter.setPen(color)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(bar)
            bar.setWidth(space * marked / most)
            painter.fillRect(bar, color)
        painter.end()
