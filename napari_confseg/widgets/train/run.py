"""The run on show (state, progress, curves), and the list of all runs."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_confseg.annotate.train.runs import Phase
from napari_confseg.job import FitRequest
from napari_confseg.widgets.common.icons import note
from napari_confseg.widgets.common.problem_box import ProblemBox
from napari_confseg.widgets.train.curves import Curves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.annotate.train.runs import RunState

SYMBOLS: Final = {
    Phase.STARTING: "◌",
    Phase.RUNNING: "▶",
    Phase.STOPPING: "◼",
    Phase.STOPPED: "◼",
    Phase.FINISHED: "✔",
    Phase.FAILED: "✖",
    Phase.ENDED: "✖",
}
"""Told apart by shape as well as by words."""

WORDS: Final = {Phase.ENDED: "ended"}


def phase_words(state: RunState) -> str:
    """Return the phase as a list shows it, e.g. ``"▶ running 40 %"``."""
    words = f"{SYMBOLS[state.phase]} {WORDS.get(state.phase, state.phase.value)}"
    return f"{words} {100 * state.done:.0f} %" if state.phase is Phase.RUNNING else words


def summary(state: RunState) -> str:
    """Return in one line what a run learns and how."""
    request = state.request
    if not isinstance(request, FitRequest):
        return ""
    method, takes = request.method, request.method.about.parameters
    numbers = ", ".join(f"{v:g} {takes[k].unit}".rstrip() for k, v in method.settings.items())
    how = f"{method.name.replace('-', ' ')} {numbers}".rstrip()
    how += f" + {method.loss}" if method.loss else ""
    n = len(request.classes)
    what = request.classes[0] if n == 1 else f"{n} classes"
    base = request.base and PurePath(request.base).name
    how_large = f"from {base}" if base else request.size or "quick"
    where = f" · at {state.where}" if state.where else ""
    return f"{how} · {what} · {how_large} · {request.device}{where}"


class RunView(QWidget):
    """One run. Emits `stop_wanted` and `resume_wanted`."""

    stop_wanted = Signal()
    resume_wanted = Signal()

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.name = QElidingLabel()
        self.name.setProperty("role", "title")
        self.summary = note()
        self.phase = QLabel()
        self.phase.setAccessibleName("State of the run")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName("Progress")
        self.message = note()
        self.stop = QPushButton("S&top")
        self.stop.setToolTip("Finish the step, keep the best checkpoint. You can resume later.")
        self.stop.clicked.connect(self.stop_wanted)
        self.resume = QPushButton("&Resume")
        self.resume.clicked.connect(self.resume_wanted)
        self.problem = ProblemBox()
        self.curves = Curves()
        self._lay_out()

    def _lay_out(self) -> None:
        title = QHBoxLayout()
        title.addWidget(self.name, 1)
        title.addWidget(self.phase)
        work = QHBoxLayout()
        work.addWidget(self.bar, 1)
        work.addWidget(self.stop)
        work.addWidget(self.resume)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(title)
        layout.addWidget(self.summary)
        layout.addLayout(work)
        for widget in (self.message, self.problem, self.curves):
            layout.addWidget(widget)

    def show_run(self, state: RunState | None, where: str = "") -> None:
        """Show `state`, nothing if None; `where` is the scheduler at which it would be resumed."""
        at = f", at {where}" if where else ""
        self.resume.setToolTip(f"Go on from the last saved step{at}")
        self.setVisible(state is not None)
        self.curves.show_run(state)
        if state is None:
            return
        self.name.setText(state.name)
        self.name.setToolTip(f"{state.folder.path}")
        self.summary.setText(summary(state))
        self.phase.setText(f"{SYMBOLS[state.phase]} {WORDS.get(state.phase, state.phase.value)}")
        self.phase.setProperty("phase", state.phase.name.lower())
        self.phase.style().unpolish(self.phase)
        self.phase.style().polish(self.phase)
        self._show_progress(state)
        self.stop.setVisible(state.phase.live)
        self.stop.setEnabled(state.phase is not Phase.STOPPING)
        self.resume.setVisible(state.phase in (Phase.STOPPED, Phase.FAILED, Phase.ENDED))
        self.problem.show_problem(state.error, state.hint)
        self.curves.setVisible(any(state.record.curves.values()))

    def _show_progress(self, state: RunState) -> None:
        progress = state.record.progress
        waiting = state.phase is Phase.STARTING or (state.phase.live and progress is None)
        self.bar.setVisible(state.phase is not Phase.FINISHED)
        self.bar.setRange(0, 0 if waiting else 1000)
        self.bar.setValue(round(state.done * 1000))
        self.bar.setFormat(f"{100 * state.done:.0f} %")
        if state.phase is Phase.STARTING:
            text = (progress.message if progress else "") or "Starting the trainer…"
        elif state.phase is Phase.STOPPING:
            text = "Finishing the step it is in…"
        elif state.phase is Phase.FINISHED and state.result is not None:
            text = f"{state.result.steps} steps, the best after {state.result.best_step}"
        elif progress is None:
            text = ""
        else:
            step = f"step {progress.current} of {progress.maximum}" if progress.maximum else ""
            left = f"about {state.time_left} left" if state.time_left else ""
            message = progress.message if state.phase is Phase.RUNNING else ""
            text = " · ".join(p for p in (message, step, left) if p)
        self.message.setText(text)
        self.message.setVisible(bool(text))


class RunList(QTreeWidget):
    """All runs of the cohort, newest first; emits `picked` with the name of the one to show."""

    picked = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setHeaderLabels(["Run", "State", "Best"])
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAlternatingRowColors(False)
        self.setAccessibleName("Runs of this cohort")
        self.setToolTip("Choose a run to see its curves and what it marked")
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.currentItemChanged.connect(self._on_current)

    def show_runs(self, runs: Sequence[RunState], current: str | None, active: str = "") -> None:
        """Show `runs`, with the one called `current` chosen; `active` is where that model lies."""
        self.blockSignals(True)
        names = [self.topLevelItem(i).text(0) for i in range(self.topLevelItemCount())]
        if names != [r.name for r in runs]:
            self.clear()
            self.addTopLevelItems([QTreeWidgetItem([r.name, "", ""]) for r in runs])
        for i, run in enumerate(runs):
            item = self.topLevelItem(i)
            is_active = str(run.folder.path) == active
            item.setText(1, "★ active" if is_active else phase_words(run))
            item.setText(2, f"{run.best[1]:.2f}" if run.best else "–")
            item.setToolTip(0, summary(run))
            if run.name == current and self.currentItem() is not item:
                self.setCurrentItem(item)
        rows = min(max(len(runs), 1), 5)
        self.setFixedHeight(self.header().sizeHint().height() + rows * 24 + 6)
        self.blockSignals(False)

    def _on_current(self, item: QTreeWidgetItem | None) -> None:
        if item is not None:
            self.picked.emit(item.text(0))
