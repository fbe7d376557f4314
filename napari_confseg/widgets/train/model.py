"""The model on the clip on screen: show its marks, accept them, predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.widgets.common.choices import Chooser
from napari_confseg.widgets.common.icons import note, swatch
from napari_confseg.widgets.common.problem_box import ProblemBox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_confseg.annotate.train.runs import RunState
    from napari_confseg.store import ClassSpec


class ModelOnClip(QWidget):
    """Controls for one run's marks on one clip; every settings leaves as a signal.

    Signals
    -------
    show_wanted : bool
    threshold_wanted, opacity_wanted : int
        In percent.
    accept_wanted : (str, int)
        Class and confidence, for the frame on screen.
    undo_wanted
    predict_wanted : bool
        True for all clips, False for the one on screen.
    """

    show_wanted = Signal(bool)
    threshold_wanted = Signal(int)
    opacity_wanted = Signal(int)
    accept_wanted = Signal(str, int)
    undo_wanted = Signal()
    predict_wanted = Signal(bool)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.show = QCheckBox("Show what it &marks here")
        self.show.setToolTip("The model's marks are hatched, in the colour of the class")
        self.show.clicked.connect(self.show_wanted)
        self.state = note()
        self.threshold, threshold = _slider("Only marks at least this probable", 1)
        self.threshold.valueChanged.connect(self.threshold_wanted)
        self.opacity, opacity = _slider("How strongly the model's marks are drawn", 5)
        self.opacity.valueChanged.connect(self.opacity_wanted)
        self.predict_clip = QPushButton("This &clip")
        self.predict_clip.setToolTip("Let the best checkpoint mark every frame of this clip")
        self.predict_clip.clicked.connect(lambda: self.predict_wanted.emit(False))
        self.predict_all = QPushButton("&All clips")
        self.predict_all.setToolTip("Let the best checkpoint mark every clip of the cohort")
        self.predict_all.clicked.connect(lambda: self.predict_wanted.emit(True))
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the prediction")
        self.problem = ProblemBox()
        self.accept = self._accept_row()
        self.sliders = QWidget()
        sliders = QFormLayout(self.sliders)
        sliders.setContentsMargins(0, 0, 0, 0)
        sliders.addRow("At least", threshold)
        sliders.addRow("Opacity", opacity)
        predict = QHBoxLayout()
        predict.addWidget(QLabel("Predict"))
        predict.addWidget(self.predict_clip, 1)
        predict.addWidget(self.predict_all, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.show)
        layout.addWidget(self.state)
        layout.addWidget(self.sliders)
        layout.addWidget(self.accept)
        layout.addLayout(predict)
        layout.addWidget(self.bar)
        layout.addWidget(self.problem)

    def _accept_row(self) -> QWidget:
        self._class = ""  # the class being painted
        self.accept_class, self.accept_confidence = Chooser(), QSpinBox()
        self.accept_class.setAccessibleName("Class to accept")
        self.accept_class.setToolTip("Whose marks to take over")
        self.accept_class.setMinimumContentsLength(6)
        self.accept_confidence.setRange(1, 100)
        self.accept_confidence.setValue(60)
        self.accept_confidence.setSuffix(" %")
        self.accept_confidence.setAccessibleName("Confidence of what is accepted")
        self.accept_confidence.setToolTip("How sure you are of it: this becomes your confidence")
        self.accept_button = QPushButton("Acc&ept as mine")
        self.accept_button.setToolTip(
            "Take the marks of this class on this frame over as yours, at this confidence"
        )
        self.accept_button.clicked.connect(
            lambda: self.accept_wanted.emit(
                self.accept_class.currentData() or "", self.accept_confidence.value()
            )
        )
        self.accepted = note()
        self.undo = QPushButton("&Undo")
        self.undo.setToolTip("Take the acceptance back (as any stroke)")
        self.undo.clicked.connect(self.undo_wanted)
        widget = QWidget()
        grid = QGridLayout(widget)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(0, 1)
        grid.addWidget(self.accept_class, 0, 0)
        grid.addWidget(QLabel("at"), 0, 1)
        grid.addWidget(self.accept_confidence, 0, 2)
        self.accept_confidence.setSizePolicy(
            QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred
        )
        grid.addWidget(self.accept_button, 1, 0)
        grid.addWidget(self.undo, 1, 1, 1, 2)
        grid.addWidget(self.accepted, 2, 0, 1, 3)
        self.show_accepted("")
        return widget

    def show_accepted(self, text: str, *, undoable: bool = False) -> None:
        """Say what has just been accepted, and offer to take it back."""
        self.accepted.setText(text)
        self.accepted.setVisible(bool(text))
        self.undo.setEnabled(undoable)

    def show_run(
        self, run: RunState, predicting: RunState | None, clip: str | None, *, shown: bool
    ) -> None:
        """Show what can be done with `run` on `clip`.

        Parameters
        ----------
        run : RunState
            The run on show.
        predicting : RunState or None
            Its latest prediction job.
        clip : str or None
            The clip on screen.
        shown : bool
            Whether its marks are to show.
        """
        self.show.setChecked(shown)
        busy = run.phase.live or (predicting is not None and predicting.phase.live)
        can_predict = run.checkpoint and not busy
        self.predict_clip.setEnabled(can_predict and clip is not None)
        self.predict_all.setEnabled(can_predict)
        at_work = predicting is not None and predicting.phase.live
        self.bar.setVisible(at_work)
        if predicting is not None:
            waiting = predicting.record.progress is None
            self.bar.setRange(0, 0 if waiting else 1000)
            self.bar.setValue(round(predicting.done * 1000))
            left = f" · about {predicting.time_left} left" if predicting.time_left else ""
            self.bar.setFormat(f"{100 * predicting.done:.0f} %{left}")
            self.problem.show_problem(predicting.error, predicting.hint)
        else:
            self.problem.show_problem("")

    def show_marks(self, classes: Sequence[ClassSpec], text: str) -> None:
        """Show which classes can be accepted, and a sentence about the marks on this clip."""
        if [self.accept_class.itemData(i) for i in range(self.accept_class.count())] != [
            c.name for c in classes
        ]:
            chosen = self.accept_class.currentData() or self._class
            self.accept_class.clear()
            for spec in classes:
                self.accept_class.addItem(swatch(spec.color), spec.label, spec.name)
            self.accept_class.setCurrentIndex(max(self.accept_class.findData(chosen), 0))
        self.accept.setVisible(bool(classes))
        self.sliders.setVisible(bool(classes))
        self.state.setText(text)
        self.state.setVisible(bool(text))

    def choose_class(self, name: str) -> None:
        """Choose the class that is being painted, if the model knows it."""
        self._class = name
        index = self.accept_class.findData(name)
        if index >= 0:
            self.accept_class.setCurrentIndex(index)


def _slider(tip: str, low: int) -> tuple[QSlider, QWidget]:
    slider, value = QSlider(Qt.Orientation.Horizontal), QLabel()
    slider.setRange(low, 100)
    slider.setPageStep(10)
    slider.setToolTip(tip)
    slider.setAccessibleName(tip)
    value.setMinimumWidth(value.fontMetrics().horizontalAdvance("100 %"))
    value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    slider.valueChanged.connect(lambda v: value.setText(f"{v} %"))
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(slider, 1)
    layout.addWidget(value)
    return slider, row
