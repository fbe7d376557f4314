"""Agreement page: scores of each pair of raters, curves, and the worst disagreements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.dataset.requests import compared, rater_choices
from napari_confseg.widgets.common.choices import Choices, Chooser
from napari_confseg.widgets.common.icons import note, swatch
from napari_confseg.widgets.common.section import Section
from napari_confseg.widgets.dataset.plots import CurvePlot, reliability_lines, threshold_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.intervals import Estimate
    from napari_confseg.agreement.summary import PairSummary
    from napari_confseg.annotate.dataset.model import DatasetState
    from napari_confseg.annotate.dataset.results import Compared, Disagreement
    from napari_confseg.store import ClassSpec

PICTURE: Final = QSize(300, 104)
NUMBERED: Final = ("soft Dice", "Dice", "HD95")


class AgreementPage(QWidget):
    """Comparison of raters; each request leaves as a signal.

    Signals
    -------
    raters_wanted : frozenset of str
    compare_wanted, report_wanted
    frame_wanted : Disagreement
        Show that frame of that clip, with both raters' marks.
    """

    raters_wanted = Signal(object)
    compare_wanted = Signal()
    report_wanted = Signal()
    frame_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._compared: Compared | None = None
        self._classes: tuple[ClassSpec, ...] = ()
        self.raters = Choices("Compare")
        self.raters.chosen.connect(self.raters_wanted)
        self.compare = QPushButton("&Compare")
        self.compare.setProperty("role", "primary")
        self.compare.setToolTip("Measure how far these raters agree, on what two of them reviewed")
        self.compare.clicked.connect(self.compare_wanted)
        self.report = QPushButton("&Report …")
        self.report.setToolTip("Write all of it as one HTML page, and open it")
        self.report.clicked.connect(self.report_wanted)
        self.facts = note()
        self.class_name, self.threshold = Chooser(), Chooser()
        for chooser, name in ((self.class_name, "Class"), (self.threshold, "Threshold")):
            chooser.setAccessibleName(name)
            chooser.currentIndexChanged.connect(self._show_scores)
        self.scores = self._table()
        tip = "Dice of each pair, by the confidence a mark needs to count"
        self.dice = CurvePlot("marks of at least … %", "Dice", tip)
        self.reliability = CurvePlot(
            "stated confidence, %",
            "others agree",
            "How often the others agree where a rater stated this confidence.\n"
            "Below the dashed line a rater is bolder than the others bear out.",
            diagonal=True,
        )
        self.pictures: list[QToolButton] = []
        self._lay_out()

    def _table(self) -> QTreeWidget:
        table = QTreeWidget()
        table.setHeaderLabels(["Raters", *NUMBERED])
        table.setRootIsDecorated(False)
        table.setSelectionMode(QTreeWidget.SelectionMode.NoSelection)
        table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        table.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        table.header().setStretchLastSection(False)
        table.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.setAccessibleName("Scores of each pair")
        table.setToolTip(
            "Means over clips; a dash is undefined. Hold the mouse on a score for its "
            "95 % interval and the number of clips it rests on."
        )
        return table

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.compare, 1)
        buttons.addWidget(self.report)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Class", self.class_name)
        form.addRow("Cut at", self.threshold)
        self.results = QWidget()
        results = QVBoxLayout(self.results)
        results.setContentsMargins(0, 0, 0, 0)
        results.addLayout(form)
        results.addWidget(self.scores)
        results.addWidget(self.dice)
        results.addWidget(self.reliability)
        self._gallery = QWidget()
        QVBoxLayout(self._gallery).setContentsMargins(0, 0, 0, 0)
        self.worst = Section(
            "Worst disagreements",
            note(
                "Frame, first rater, second rater, difference: orange only the first, blue only "
                "the second. Click to open the frame."
            ),
            self._gallery,
        )
        layout = QVBoxLayout(self)
        layout.addWidget(self.raters)
        layout.addLayout(buttons)
        layout.addWidget(self.facts)
        layout.addWidget(self.results)
        layout.addWidget(self.worst)
        layout.addStretch(1)

    def set_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        self.dice.set_theme(theme)
        self.reliability.set_theme(theme)

    def show_state(self, state: DatasetState, classes: Sequence[ClassSpec], *, busy: bool) -> None:
        """Show who can be compared and what came of the last comparison."""
        chosen = compared(state.found) if state.to_compare is None else state.to_compare
        self.raters.show_choices(rater_choices(state.found, chosen))
        self.compare.setEnabled(not busy and len(chosen) > 1)
        self.report.setEnabled(not busy and state.compared is not None)
        self.facts.setText(_facts(state, chosen))
        for part in (self.results, self.worst):
            part.setVisible(state.compared is not None)
        if state.compared is not self._compared:
            self._compared, self._classes = state.compared, tuple(classes)
            self._fill_choosers()
            self._show_scores()
            self._show_pictures()

    def _fill_choosers(self) -> None:
        agreement = self._compared.agreement if self._compared else None
        for chooser in (self.class_name, self.threshold):
            chooser.blockSignals(True)
            chooser.clear()
        if agreement is not None:
            for spec in self._classes:
                if spec.name in agreement.classes:
                    self.class_name.addItem(swatch(spec.color), spec.label, spec.name)
            for t in agreement.thresholds:
                self.threshold.addItem(f"marks of at least {t} %", t)
        for chooser in (self.class_name, self.threshold):
            chooser.blockSignals(False)

    def _show_scores(self, *_: object) -> None:
        self.scores.clear()
        if self._compared is None:
            return
        summary, name = self._compared.summary, self.class_name.currentData()
        cut = {
            (p.a, p.b): p
            for p in summary.pairs
            if (p.class_name, p.threshold) == (name, self.threshold.currentData())
        }
        for soft in (s for s in summary.soft if s.class_name == name):
            pair = cut.get((soft.a, soft.b))
            if pair is not None:
                self.scores.addTopLevelItem(_score_row(soft.soft_dice, pair))
        rows = self.scores.topLevelItemCount()
        row = self.scores.sizeHintForRow(0) if rows else 20
        height = self.scores.header().sizeHint().height()
        self.scores.setFixedHeight(height + max(rows, 1) * row + 10)
        self.dice.show_lines(threshold_lines(summary.soft, name))
        self.reliability.show_lines(reliability_lines(summary.reliability, name))

    def _show_pictures(self) -> None:
        layout = self._gallery.layout()
        for old in self.pictures:
            layout.removeWidget(old)
            old.hide()
            old.deleteLater()
        labels = {c.name: c.label for c in self._classes}
        worst = self._compared.worst if self._compared else ()
        self.pictures = [self._picture(d, labels[d.score.class_name]) for d in worst]
        for picture in self.pictures:
            layout.addWidget(picture)

    def _picture(self, shown: Disagreement, label: str) -> QToolButton:
        made, score = QToolButton(), shown.score
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        made.setIcon(picture_icon(shown.picture, PICTURE))
        made.setIconSize(PICTURE)
        made.setText(
            f"{label}, {score.clip}, frame {shown.frame + 1}\n{score.a} – {score.b}, "
            f"{score.worst_pixels:.0f} px apart"
        )
        made.setToolTip("Open this frame, with the marks of both")
        made.setAccessibleName(f"Open {score.clip} frame {shown.frame + 1}")
        made.clicked.connect(lambda: self.frame_wanted.emit(shown))
        return made


def _facts(state: DatasetState, chosen: Sequence[str]) -> str:
    if not state.found:
        return "Nobody has marked a clip of this cohort yet."
    if len(chosen) < 2:
        return "Agreement needs two raters: let a second person read, or tick a consensus or model."
    if state.compared is None:
        return ""
    clips = state.compared.agreement.clips
    frames = sum(max((s.frames for s in c.soft), default=0) for c in clips)
    patients = len({c.patient for c in clips})
    if not frames:
        return "No frame was reviewed by two of them: there is nothing to compare yet."
    return f"{len(clips)} clips of {patients} patients, {frames} frames compared."


def _score_row(soft: Estimate, pair: PairSummary) -> QTreeWidgetItem:
    row = QTreeWidgetItem([f"{pair.a} – {pair.b}"])
    for column, (value, digits, unit) in enumerate(
        ((soft, 2, ""), (pair.dice, 2, ""), (pair.hd95, 1, f" {pair.unit}")), 1
    ):
        known = not np.isnan(value.value)
        row.setText(column, f"{value.value:.{digits}f}{unit}" if known else f"– (n {value.n})")
        row.setToolTip(column, f"{value}, {value.n} clips")
        row.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return row


def picture_icon(image: NDArray[np.uint8], size: QSize) -> QIcon:
    """Return an icon of ``uint8 (Y, X, 3)``, as large as fits."""
    data = np.ascontiguousarray(image)
    height, width = data.shape[:2]
    shown = QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(
        QPixmap.fromImage(
            shown.scaled(
                2 * size,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        )
    )
