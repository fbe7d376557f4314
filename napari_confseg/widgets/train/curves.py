"""Live curves of a run: how well it marks what it has not seen, and its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_confseg.annotate.train.runs import SCORE
from napari_confseg.widgets.common.plot import StillPlot, legend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.annotate.train.runs import Points, RunState
    from napari_confseg.store import ClassSpec

DICE_HEIGHT: Final = 150
LOSS_HEIGHT: Final = 80
_AXIS_WIDTH: Final = 38


class Curves(QWidget):
    """Two plots over the same steps: validation Dice in the classes' colours, and loss.

    The best checkpoint is marked by a star and a dashed line; the legend gives each class's Dice
    there.
    """

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._classes: tuple[ClassSpec, ...] = ()
        self._text = "#f0f1f2"
        self._shown: RunState | None = None
        self.dice = _plot("Dice", DICE_HEIGHT)
        self.dice.setYRange(0, 1, padding=0.02)
        self.loss = _plot("Loss", LOSS_HEIGHT)
        self.loss.setXLink(self.dice)
        self.loss.getAxis("bottom").setLabel("Step")
        self.dice.getAxis("bottom").setStyle(showValues=False)
        self._lines: dict[str, Any] = {}
        self._star = pg.ScatterPlotItem(symbol="star", size=15)
        self._best_line = pg.InfiniteLine(angle=90)
        for item in (self._best_line, self._star):
            item.setZValue(10)
            self.dice.addItem(item, ignoreBounds=True)
        self.legend = legend()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for widget in (self.legend, self.dice, self.loss):
            layout.addWidget(widget)
        self.setAccessibleName("Curves of the run")
        self.setToolTip(
            "Top: Dice on held-out frames, one line a class, the white line their mean.\n"
            "Star: the best so far, which is kept. Bottom: loss, learning (thin) and held-out."
        )

    def set_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        self._text = theme.text.as_hex()
        for plot in (self.dice, self.loss):
            plot.set_theme(theme)
        dashed = pg.mkPen(self._text, width=1, style=Qt.PenStyle.DashLine)
        self._best_line.setPen(dashed)
        self._star.setBrush(pg.mkBrush("#ffd166"))
        self._star.setPen(
            pg.mkPen("#4a3b00" if theme.type == "light" else theme.background.as_hex())
        )
        self._redraw()

    def set_classes(self, classes: Sequence[ClassSpec]) -> None:
        """Say which classes there are, for their colours and labels."""
        self._classes = tuple(classes)
        self._redraw()

    def show_run(self, state: RunState | None) -> None:
        """Draw the curves of `state`; nothing if None."""
        old, self._shown = self._shown, state
        same = old is not None and state is not None and old.record.curves == state.record.curves
        if not same or (state and old and state.best != old.best):
            self._redraw()

    def _redraw(self) -> None:
        curves = self._shown.record.curves if self._shown else {}
        for item, plot in self._lines.values():
            plot.removeItem(item)
        self._lines = {}
        for spec in self._classes:
            self._line(self.dice, f"{SCORE}/{spec.name}", curves, spec.color, 1.5)
        n_classes = len(self._lines)
        if n_classes != 1:
            self._line(self.dice, SCORE, curves, self._text, 2.5)
        faint = QColor(self._text)
        faint.setAlpha(130)
        self._line(self.loss, "loss", curves, faint, 1)
        self._line(self.loss, "val_loss", curves, self._text, 2)
        self._mark_best()
        steps = [points[-1][0] for points in curves.values() if points]
        progress = self._shown.record.progress if self._shown else None
        last = max([*steps, progress.maximum if progress and steps else 0, 1])
        self.dice.setXRange(0, last, padding=0.02)
        losses = [v for name in ("loss", "val_loss") for _, v in curves.get(name, ())]
        if losses:
            # The first few values tower above what matters later.
            top = float(np.quantile(losses, 0.98)) or 1.0
            self.loss.setYRange(0, top * 1.05, padding=0)

    def _line(self, plot: Any, name: str, curves: Any, color: Any, width: float) -> None:
        points: Points = curves.get(name, ())
        if not points:
            return
        x, y = np.asarray(points, float).T
        dots = {"symbol": "o", "symbolSize": 5, "symbolBrush": color, "symbolPen": None}
        few = dots if name != "loss" and len(points) <= 20 else {}
        item = plot.plot(x, y, pen=pg.mkPen(color, width=width), antialias=True, **few)
        self._lines[name] = item, plot

    def _mark_best(self) -> None:
        best = self._shown.best if self._shown else None
        on = best is not None and bool(self._lines)
        self._star.setVisible(on)
        self._best_line.setVisible(on)
        if best is None or not on:
            self.legend.setText("")
            return
        self._star.setData([best[0]], [best[1]])
        self._best_line.setValue(best[0])
        self.legend.setText(self._legend(best))

    def _legend(self, best: tuple[int, float]) -> str:
        assert self._shown is not None
        curves = self._shown.record.curves
        parts = [f'<span style="color:#ffd166">★</span>&nbsp;Best&nbsp;<b>{best[1]:.2f}</b>']
        for spec in self._classes:
            value = dict(curves.get(f"{SCORE}/{spec.name}", ())).get(best[0])
            if value is not None:
                square = f'<span style="color:{spec.color}">■</span>'
                label = spec.label.replace(" ", "&nbsp;").replace("-", "\N{NON-BREAKING HYPHEN}")
                parts.append(f"{square}&nbsp;{label}&nbsp;<b>{value:.2f}</b>")
        return "&ensp; ".join(parts)


def _plot(title: str, height: int) -> StillPlot:
    plot = StillPlot(title, x_grid=False)
    plot.setMinimumHeight(height)
    plot.setMaximumHeight(height + 30)
    plot.getAxis("left").setWidth(_AXIS_WIDTH)
    return plot
