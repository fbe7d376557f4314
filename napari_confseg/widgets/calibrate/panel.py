"""The Calibrate panel: a short set of frames with a known answer, and how sure against how right.

Shows the exercises of the session that it shares with the Annotate panel, where one paints as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.agreement.exercise import references
from napari_confseg.annotate.calibration import CalibrationSession
from napari_confseg.store import StoreError
from napari_confseg.widgets.calibrate.result import ResultView
from napari_confseg.widgets.common.buttons import label
from napari_confseg.widgets.common.jobs import BackgroundJob
from napari_confseg.widgets.common.section import Section, still_wheel
from napari_confseg.widgets.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from napari_confseg.agreement.exercise import Reference

FRAMES: Final = 10
MIN_WIDTH: Final = 290

_NO_COHORT: Final = (
    "Open a cohort in the Annotate panel, and say who reads: exercises are kept by reader."
)
_ABOUT: Final = (
    "Some frames are asked whose answer is known and hidden. Mark on each what you see, as sure as "
    "you are, and say that it is reviewed. Then you see how sure you were against how right."
)
_NOBODY: Final = (
    "Nobody in this cohort is held for right yet. Make a consensus of its readers (the Dataset "
    "panel, or `confseg consensus COHORT`), adjudicate some clips, or try the sample cohort, which "
    "comes with a truth."
)
_NONE_LEFT: Final = (
    "You have been on every frame that this reference has reviewed. An exercise asks what you have "
    "not seen: choose another reference, or let more clips be read."
)


class CalibratePanel(Panel):
    """Begin an exercise, step through it, see how it came out.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose session this is.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self._looking: BackgroundJob | None = None
        self._found: list[Reference] = []
        self.exercising = CalibrationSession(self.session)
        self._build()
        self._wire()
        self._look()
        self._show()

    # ---- the widgets ----------------------------------------------------------------------

    def _build(self) -> None:
        self.note, self.trouble = label(role="note"), label(role="caution")
        self.new = Section("New exercise", label(_ABOUT, role="note"), self._new_form())
        self.under_way = Section("Under way", self._steps_form())
        self.result = ResultView()
        self.result_section = Section("How it came out", self.result)
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.setContentsMargins(10, 8, 10, 8)
        for widget in (self.note, self.under_way, self.trouble, self.result_section, self.new):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.scroll(body)
        self.setMinimumWidth(MIN_WIDTH)
        still_wheel(self)
        for box in body.findChildren(QComboBox):
            box.setMinimumContentsLength(24)
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )

    def _new_form(self) -> QWidget:
        self.reference, self.frames = QComboBox(), QSpinBox()
        self.reference.setToolTip(
            "A consensus, an adjudicated reading or a truth; with how many frames are new to you"
        )
        self.frames.setToolTip("How many frames are asked; fewer if there are not so many")
        self.frames.setRange(2, 50)
        self.frames.setValue(FRAMES)
        self.begin = QPushButton("Begin")
        self.begin.setProperty("role", "primary")
        self.begin.setToolTip("Goes to the first frame; others are hidden until the end")
        form = QWidget()
        rows = QFormLayout(form)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        rows.addRow("Held for right", self.reference)
        rows.addRow("Frames", self.frames)
        rows.addRow(self.begin)
        return form

    def _steps_form(self) -> QWidget:
        self.where, self.bar = QLabel(), QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.back, self.reviewed = QPushButton("‹"), QPushButton("Reviewed, next")
        self.forth, self.finish, self.drop = QPushButton("›"), QPushButton(), QPushButton("Drop it")
        self.reviewed.setProperty("role", "primary")
        self.reviewed.setToolTip("What is not marked on this frame, is not there; on to the next")
        self.back.setToolTip("The frame asked before")
        self.forth.setToolTip("The next frame asked")
        self.drop.setToolTip("Ends the exercise without a result; your marks stay")
        steps, end = QHBoxLayout(), QHBoxLayout()
        for made, stretch in ((self.back, 0), (self.reviewed, 1), (self.forth, 0)):
            steps.addWidget(made, stretch)
        for made in (self.back, self.forth):
            made.setFixedWidth(32)
        end.addWidget(self.finish, 1)
        end.addWidget(self.drop)
        form = QWidget()
        column = QVBoxLayout(form)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.where)
        column.addWidget(self.bar)
        column.addLayout(steps)
        column.addLayout(end)
        return form

    def _wire(self) -> None:
        self.begin.clicked.connect(lambda: self._try(self._on_begin))
        self.back.clicked.connect(lambda: self._try(lambda: self._step(-1)))
        self.forth.clicked.connect(lambda: self._try(lambda: self._step(1)))
        self.reviewed.clicked.connect(lambda: self._try(self._on_reviewed))
        self.finish.clicked.connect(lambda: self._try(self._on_finish))
        self.drop.clicked.connect(lambda: self._try(self._on_drop))
        self.reference.currentIndexChanged.connect(lambda *_: self._show())
        events = self.session.events
        self.listen(
            (self.exercising.changed, self._show),
            (events.cohort, self._look),
            (events.rater, self._look),
        )

    def let_go(self) -> None:
        """Close the exercise that is under way: it is kept, and gone on with."""
        self.exercising.close()

    # ---- what is shown --------------------------------------------------------------------

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        super().show_theme(theme)
        self.result.set_theme(theme)

    def _look(self, *_: object) -> None:
        """Find out who can be the reference, beside the event loop: every clip is looked at."""
        if self._looking is not None:
            self._looking.cancel()
        cohort, reader = self.session.cohort, self.session.rater
        self._found = []
        if cohort is None or not reader:
            self._looking = None
            self._show()
            return
        chore = BackgroundJob(lambda _chore: references(cohort, reader), self)
        self._looking = chore
        chore.done.connect(lambda found: self._on_found(chore, found))
        chore.failed.connect(lambda error: self._on_found(chore, [], error))
        chore.start()
        self._show()

    def _on_found(self, chore: BackgroundJob, found: list[Reference], error: object = None) -> None:
        if chore is not self._looking:
            return  # of another cohort or reader
        self._looking, self._found = None, found
        chosen = self.reference.currentData()
        self.reference.blockSignals(True)
        self.reference.clear()
        for each in found:
            self.reference.addItem(f"{each.title} · {each.frames} new frames", each.name)
        self.reference.setCurrentIndex(max(self.reference.findData(chosen), 0) if found else -1)
        self.reference.blockSignals(False)
        self.trouble.setText(str(error) if error else "")
        self._show()

    def _show(self) -> None:
        session, current = self.session, self.exercising.current
        ready = session.cohort is not None and bool(session.rater)
        self.note.setText(self._saying(ready))
        self.note.setVisible(bool(self.note.text()))
        self.new.setVisible(ready and current is None)
        self.under_way.setVisible(current is not None)
        self.trouble.setVisible(bool(self.trouble.text()))
        chosen = next((f for f in self._found if f.name == self.reference.currentData()), None)
        self.begin.setEnabled(chosen is not None and chosen.frames > 0)
        if current is not None:
            self._show_steps(len(current.frames))
        finished = self.exercising.finished
        self.result.set_classes(session.classes)
        self.result.set_exercises(finished)
        self.result_section.setVisible(bool(finished) and current is None)

    def _saying(self, ready: bool) -> str:
        if not ready:
            return _NO_COHORT
        if self.exercising.current is not None or self._looking is not None:
            return "" if self._looking is None else "Looking for frames with a known answer …"
        if not self._found:
            return _NOBODY
        return "" if any(f.frames for f in self._found) else _NONE_LEFT

    def _show_steps(self, n: int) -> None:
        done, here = self.exercising.done(), self.exercising.position()
        k = sum(done)
        self.bar.setRange(0, n)
        self.bar.setValue(k)
        at = "Not on a frame that is asked" if here is None else f"Frame {here + 1} of {n}"
        self.where.setText(f"{at}  ·  {k} reviewed")
        writable = self.session.writable
        self.reviewed.setText("Reviewed, next" if here is not None else "Go on")
        self.reviewed.setEnabled(k < n and (writable or here is None))
        self.finish.setText("See how it came out" if k == n else f"End with {k} of {n}")
        self.finish.setEnabled(k > 0)
        self.finish.setToolTip(
            "Shows the result of what is reviewed" if k else "Review at least one frame first"
        )

    # ---- edits -----------------------------------------------------------------------------

    def _try(self, edit: Callable[[], object]) -> None:
        self.trouble.setText("")
        try:
            edit()
        except StoreError as error:
            self.trouble.setText(str(error.problems[0]))
        except (ValueError, OSError) as error:
            self.trouble.setText(str(error))
        self._show()

    def _on_begin(self) -> None:
        self.exercising.begin(self.reference.currentData(), self.frames.value())

    def _step(self, by: int) -> None:
        here, n = self.exercising.position(), len(self.exercising.done())
        self.exercising.go(0 if here is None else (here + by) % n)

    def _on_reviewed(self) -> None:
        if self.exercising.position() is not None:
            self.session.mark_reviewed()
        following = self.exercising.next_open()
        if following is not None:
            self.exercising.go(following)

    def _on_finish(self) -> None:
        self.exercising.finish()
        self._look()

    def _on_drop(self) -> None:
        self.exercising.drop()
        self._look()
