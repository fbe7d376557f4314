"""Result of an exercise: reliability plot, sentences and history."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_confseg.agreement.exercise import curve, describe_curve
from napari_confseg.widgets.common.choices import Chooser
from napari_confseg.widgets.common.plot import StillPlot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.agreement.exercise import Curve
    from napari_confseg.annotate.calibration import Exercise
    from napari_confseg.store import ClassSpec


HEIGHT: Final = 230
_SMALL, _LARGE = 6.0, 22.0


class ReliabilityPlot(QWidget):
    """Reliability curve: larger points have more pixels, the diagonal is perfect calibration."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = StillPlot("Present, %", "Stated confidence, %")
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
        above, below = pg.TextItem("underconfident"), pg.TextItem("overconfident")
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
            "Each point: marks of about this confidence, and the share present in the reference.\n"
            "Larger points have more pixels. The dashed line is perfect calibration.\n"
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
    return 100 * np.array(curve.stated)[some], 100 * np.array(curve.present)[some], pixels[some]


class ResultView(QWidget):
    """One finished exercise beside the one before it."""

    def __init__(self) -> None:
        super().__init__()
        self._exercises: list[Exercise] = []
        self._classes: tuple[ClassSpec, ...] = ()
        self._text = "#f0f1f2"
        self.which, self.class_name = Chooser(), Chooser()
        self.plot = ReliabilityPlot()
        self.words, self.history = _text(), _text()
        self.which.currentIndexChanged.connect(lambda *_: self._show())
        self.class_name.currentIndexChanged.connect(lambda *_: self._show())
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow("Exercise", self.which)
        form.addRow("Class", self.class_name)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        for widget in (self.plot, self.words, self.history):
            layout.addWidget(widget)

    def set_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        self._text = theme.text.as_hex()
        self.plot.set_theme(theme)
        self._show()

    def set_classes(self, classes: Sequence[ClassSpec]) -> None:
        """Set the classes to choose from."""
        if tuple(classes) == self._classes:
            return
        self._classes = tuple(classes)
        self.class_name.blockSignals(True)
        self.class_name.clear()
        self.class_name.addItem("All together", "")
        for spec in classes:
            self.class_name.addItem(spec.label, spec.name)
        self.class_name.blockSignals(False)

    def set_exercises(self, exercises: Sequence[Exercise]) -> None:
        """Offer these, oldest first; the latest is shown if there is a new one."""
        if list(exercises) == self._exercises:
            return
        self._exercises = list(exercises)
        self.which.blockSignals(True)
        self.which.clear()
        for number, exercise in enumerate(self._exercises, 1):
            self.which.addItem(f"{number}: {_when(exercise)}, {_frames(exercise)}")
        self.which.setCurrentIndex(len(self._exercises) - 1)
        self.which.blockSignals(False)
        self._show()

    def _show(self) -> None:
        at, name = self.which.currentIndex(), self.class_name.currentData() or None
        if not 0 <= at < len(self._exercises):
            return
        chosen = self._exercises[at]
        before = self._exercises[at - 1] if at else None
        color = next((c.color for c in self._classes if c.name == name), self._text)
        self.plot.show_curve(curve(chosen.sums(name)), before and curve(before.sums(name)), color)
        self.words.setText("".join(self._sentence(chosen, c) for c in self._classes))
        self.history.setText(self._history(name))

    def _sentence(self, exercise: Exercise, spec: ClassSpec) -> str:
        sums = exercise.sums(spec.name)
        if not sums[:, 1:].any() and not sums[1].any():
            return ""  # neither marked nor there
        words = escape(describe_curve(curve(sums))).replace(" %", "&nbsp;%")
        return (
            f'<p style="margin:3px 0"><span style="color:{spec.color}">■</span> '
            f"<b>{escape(spec.label)}</b>: {words}</p>"
        )

    def _history(self, name: str | None) -> str:
        errors = [curve(e.sums(name)).error for e in self._exercises]
        texts = ["nothing marked" if np.isnan(e) else f"{100 * e:.0f} points" for e in errors]
        rows = "".join(
            f"<br>{number}: {_when(e)}: {words}"
            for number, (e, words) in enumerate(zip(self._exercises, texts, strict=True), 1)
        )
        what = "all classes" if name is None else self.class_name.currentText()
        return (
            f"Calibration error of {escape(what)} (mean distance of stated confidence from share "
            f"present, in percentage points, over all you marked):{rows}"
        )


def _when(exercise: Exercise) -> str:
    return f"{exercise.finished or exercise.begun:%d %b %Y}"


def _frames(exercise: Exercise) -> str:
    n = len(exercise.frames)
    return f"{n} frame{'s' * (n != 1)}"


def _text() -> QLabel:
    made = QLabel()
    made.setWordWrap(True)
    made.setTextFormat(Qt.TextFormat.RichText)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return made
