"""Calibrate panel: exercises on frames with a reference, and their results."""

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
from napari_confseg.widgets.common.choices import Chooser
from napari_confseg.widgets.common.jobs import LatestJob
from napari_confseg.widgets.common.section import Section, still_wheel
from napari_confseg.widgets.panel import Panel
from napari_confseg.widgets.shared import follower_for

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from napari_confseg.agreement.exercise import Reference

FRAMES: Final = 10

_NO_COHORT: Final = (
    "Open a study folder in the Annotate panel and choose a reader: exercises are kept by reader."
)
_ABOUT: Final = (
    "Mark what you see on some frames whose reference is hidden, as confident as you are, and mark "
    "each frame as reviewed. Then your confidence is compared with the reference."
)
_NOBODY: Final = (
    "This study folder has no reference yet. Make a consensus of its readers (Dataset panel, or "
    "`confseg consensus COHORT`), adjudicate some clips, or try the sample, which has a "
    "truth."
)
_NONE_LEFT: Final = (
    "You have marked every frame that this reference has reviewed. An exercise needs frames that "
    "you have not marked: choose another reference, or have more clips reviewed."
)


class CalibratePanel(Panel):
    """Begins an exercise, steps through it and shows the result.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose session this is.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self._search = LatestJob(self)
        self._found: list[Reference] = []
        self.calibration = CalibrationSession(self.session)
        self._build()
        self._wire()
        self._find_references()
        self._show()

    # ---- the widgets ----------------------------------------------------------------------

    def _build(self) -> None:
        self.note, self.trouble = label(role="note"), label(role="caution")
        self.new = Section("New exercise", label(_ABOUT, role="note"), self._new_form())
        self.under_way = Section("Exercise", self._steps_form())
        self.result = ResultView()
        self.result_section = Section("Result", self.result)
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.setContentsMargins(10, 8, 10, 8)
        for widget in (self.note, self.under_way, self.trouble, self.result_section, self.new):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.scroll(body)
        foot = QVBoxLayout()
        foot.setContentsMargins(10, 2, 10, 8)
        self.add_paint_strip(foot)
        self.layout().addLayout(foot)
        still_wheel(self)
        for box in body.findChildren(QComboBox):
            box.setMinimumContentsLength(24)
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )

    def _new_form(self) -> QWidget:
        self.reference, self.frames = Chooser(), QSpinBox()
        self.reference.setToolTip(
            "A consensus, adjudicated marks or a truth, with the number of frames new to you"
        )
        self.frames.setToolTip("Number of frames; fewer if there are not so many")
        self.frames.setRange(2, 50)
        self.frames.setValue(FRAMES)
        self.begin = QPushButton("Begin")
        self.begin.setProperty("role", "primary")
        self.begin.setToolTip("Goes to the first frame; other raters are hidden until the end")
        form = QWidget()
        rows = QFormLayout(form)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        rows.addRow("Reference", self.reference)
        rows.addRow("Frames", self.frames)
        rows.addRow(self.begin)
        return form

    def _steps_form(self) -> QWidget:
        self.where, self.bar = QLabel(), QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.back, self.reviewed = QPushButton("‹"), QPushButton("Reviewed, next")
        self.forth, self.finish, self.discard = (
            QPushButton("›"),
            QPushButton(),
            QPushButton("Discard"),
        )
        self.reviewed.setProperty("role", "primary")
        self.reviewed.setToolTip(
            "Marks the frame as reviewed (nothing else is there) and goes to the next"
        )
        self.back.setToolTip("Previous frame of the exercise")
        self.forth.setToolTip("Next frame of the exercise")
        self.discard.setToolTip("Ends the exercise without a result; your marks stay")
        steps, end = QHBoxLayout(), QHBoxLayout()
        for made, stretch in ((self.back, 0), (self.reviewed, 1), (self.forth, 0)):
            steps.addWidget(made, stretch)
        for made in (self.back, self.forth):
            made.setFixedWidth(32)
        end.addWidget(self.finish, 1)
        end.addWidget(self.discard)
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
        self.discard.clicked.connect(lambda: self._try(self._on_discard))
        self.reference.currentIndexChanged.connect(lambda *_: self._show())
        events = self.session.events
        self.listen(
            (self.calibration.changed, self._show),
            (events.cohort, self._find_references),
            (follower_for(self._viewer).raters_changed, self._find_references),
            (events.rater, self._find_references),
        )

    def let_go(self) -> None:
        """Close the exercise; one under way is kept."""
        self._search.drop()
        self.calibration.close()

    # ---- what is shown --------------------------------------------------------------------

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        super().show_theme(theme)
        self.result.set_theme(theme)

    def _find_references(self, *_: object) -> None:
        """Find the raters that can be the reference, in the background: every clip is read."""
        cohort, reader = self.session.cohort, self.session.rater
        self._search.drop()
        self._found = []
        if cohort is not None and reader:
            self._search.run(
                lambda _: references(cohort, reader), self._on_found, failed=self._on_failed
            )
        self._show()

    def _on_failed(self, error: object) -> None:
        self.trouble.setText(str(error))
        self._on_found([])

    def _on_found(self, found: list[Reference]) -> None:
        self._found = found
        chosen = self.reference.currentData()
        self.reference.blockSignals(True)
        self.reference.clear()
        for each in found:
            self.reference.addItem(f"{each.title} · {each.frames} new frames", each.name)
        self.reference.setCurrentIndex(max(self.reference.findData(chosen), 0) if found else -1)
        self.reference.blockSignals(False)
        self._show()

    def _show(self) -> None:
        session, current = self.session, self.calibration.current
        ready = session.cohort is not None and bool(session.rater)
        self.note.setText(self._note(ready))
        self.note.setVisible(bool(self.note.text()))
        self.new.setVisible(ready and current is None)
        self.under_way.setVisible(current is not None)
        self.trouble.setVisible(bool(self.trouble.text()))
        chosen = next((f for f in self._found if f.name == self.reference.currentData()), None)
        self.begin.setEnabled(chosen is not None and chosen.frames > 0)
        if current is not None:
            self._show_steps(len(current.frames))
        finished = self.calibration.finished
        self.result.set_classes(session.classes)
        self.result.set_exercises(finished)
        self.result_section.setVisible(bool(finished) and current is None)

    def _note(self, ready: bool) -> str:
        if not ready:
            return _NO_COHORT
        if self._search.busy:
            return "Looking for frames with a reference …"
        if self.calibration.current is not None:
            return ""
        if not self._found:
            return _NOBODY
        return "" if any(f.frames for f in self._found) else _NONE_LEFT

    def _show_steps(self, n: int) -> None:
        done, here = self.calibration.done(), self.calibration.position()
        k = sum(done)
        self.bar.setRange(0, n)
        self.bar.setValue(k)
        at = "Not on a frame of the exercise" if here is None else f"Frame {here + 1} of {n}"
        self.where.setText(f"{at}  ·  {k} reviewed")
        writable = self.session.writable
        self.reviewed.setText("Reviewed, next" if here is not None else "Go on")
        self.reviewed.setEnabled(k < n and (writable or here is None))
        self.finish.setText("Show result" if k == n else f"End with {k} of {n}")
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
        self.calibration.begin(self.reference.currentData(), self.frames.value())

    def _step(self, by: int) -> None:
        here, n = self.calibration.position(), len(self.calibration.done())
        self.calibration.go(0 if here is None else (here + by) % n)

    def _on_reviewed(self) -> None:
        if self.calibration.position() is not None:
            self.session.progress.mark_reviewed()
        following = self.calibration.next_open()
        if following is not None:
            self.calibration.go(following)

    def _on_finish(self) -> None:
        self.calibration.finish()
        self._find_references()

    def _on_discard(self) -> None:
        self.calibration.discard()
        self._find_references()
