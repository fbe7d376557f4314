"""The Train panel: learn from what was marked, watch it learn, take its answer into the clip.

Shows the states of :class:`~napari_confseg.annotate.train.model.Training` and of the session that
it shares with the Annotate panel, and passes requests on; it owns nothing but its widgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_confseg.annotate.preferences import Preferences, account_name
from napari_confseg.annotate.train.inventory import Reviewed
from napari_confseg.annotate.train.model import Training, TrainingState
from napari_confseg.annotate.train.model_marks import ModelMarks
from napari_confseg.store import Status
from napari_confseg.widgets.common.icons import note
from napari_confseg.widgets.common.problem_box import ProblemBox
from napari_confseg.widgets.common.section import Section, still_wheel
from napari_confseg.widgets.panel import Panel
from napari_confseg.widgets.train.active import ActiveModelView
from napari_confseg.widgets.train.form import FitForm
from napari_confseg.widgets.train.model import ModelOnClip
from napari_confseg.widgets.train.run import RunList, RunView
from napari_confseg.widgets.train.run_follower import RunFollower

if TYPE_CHECKING:
    import napari
    from numpy.typing import NDArray

FLUSH_SECONDS: Final = 5.0
"""How long Start waits for the latest strokes to reach the store, which the trainer reads."""


class TrainPanel(Panel):
    """Train from the open cohort, follow the run, and use its answer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose session this is.
    """

    SIZE = (340, 600)

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self._reviewed: NDArray[np.bool_] | None = None
        self.training = Training()
        self.marks = ModelMarks(self.session, self.training)
        self.follower = RunFollower(self.training, self)
        self._build()
        self._connect()
        self.listen(*self._heard())
        self._on_cohort()

    # ---- the widgets ----------------------------------------------------------------------

    def _build(self) -> None:
        self.cohort_name, self.counts = QLabel(), note()
        self.cohort_name.setProperty("role", "title")
        self.form, self.run, self.model, self.runs = FitForm(), RunView(), ModelOnClip(), RunList()
        self.form.where.offer(Preferences.load().schedulers)
        self.start = QPushButton("&Start training")
        self.start.setProperty("role", "primary")
        self.start.setToolTip(
            "Train in a process of its own: you can go on marking, or close napari"
        )
        self.reason, self.caution, self.problem = note(), note(), ProblemBox()
        self.caution.setProperty("role", "caution")
        self.plan_section = Section("New run", self.form)
        # Below the page that scrolls: to start is in sight whatever the height of the window.
        self.foot = QWidget()
        foot = QVBoxLayout(self.foot)
        foot.setContentsMargins(10, 4, 10, 8)
        foot.setSpacing(4)
        for widget in (self.caution, self.problem, self.start, self.reason):
            foot.addWidget(widget)
        self.plan_section.header.toggled.connect(self.foot.setVisible)
        self.run_section = Section("Run", self.run)
        self.model_section = Section("The model on this clip", self.model)
        self.active = ActiveModelView()
        self.runs_section = Section("Runs of this cohort", self._runs_and_active())
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(6)
        for widget in (
            self.cohort_name,
            self.counts,
            self.plan_section,
            self.run_section,
            self.model_section,
            self.runs_section,
        ):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.page = self.scroll(body)
        self.layout().addWidget(self.foot)
        paint = QVBoxLayout()
        paint.setContentsMargins(10, 2, 10, 8)
        self.add_paint_strip(paint)
        self.layout().addLayout(paint)
        still_wheel(self)

    def _runs_and_active(self) -> QWidget:
        both = QWidget()
        layout = QVBoxLayout(both)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.runs)
        layout.addWidget(self.active)
        return both

    def _connect(self) -> None:
        session, training = self.session, self.training
        self.form.edited.connect(lambda changes: training.change_settings(**changes))
        self.start.clicked.connect(self.start_run)
        self.run.stop_wanted.connect(training.stop)
        self.run.resume_wanted.connect(self.resume_run)
        self.runs.picked.connect(self._on_picked)
        self.active.activate_wanted.connect(self.make_active)
        self.active.back_wanted.connect(self.go_back)
        model = self.model
        model.show_wanted.connect(lambda on: training.show(on))
        model.threshold_wanted.connect(lambda v: setattr(session, "model_threshold", v))
        model.opacity_wanted.connect(lambda v: setattr(session, "model_opacity", v / 100))
        model.accept_wanted.connect(self.accept)
        model.undo_wanted.connect(self.undo)
        model.predict_wanted.connect(self.predict)
        self._on_threshold(session.model_threshold)
        self._on_opacity(session.model_opacity)
        self._on_confidence(session.confidence)

    def _heard(self) -> list[tuple[Any, Any]]:
        session, training = self.session, self.training
        return [
            (training.changed, self._on_training),
            (training.marked, self.marks.read_anew),
            (session.events.cohort, self._on_cohort),
            (session.events.clip, self._on_clip),
            (session.events.overlays, self._show_marks),
            (session.events.frame, self._show_marks),
            (session.events.class_name, self._on_class),
            (session.events.confidence, self._on_confidence),
            (session.events.model_threshold, self._on_threshold),
            (session.events.model_opacity, self._on_opacity),
            (session.editor.progress_changed, self._on_reviewed),
        ]

    def let_go(self) -> None:
        """Look at the runs no longer; they go on."""
        self.follower.stop()
        self.training.close()

    def came_to_front(self) -> None:
        """Look anew at what other panels have made meanwhile: raters and datasets."""
        self.training.survey()
        self.training.look_for_datasets()
        self.follower.hurry()

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        super().show_theme(theme)
        self.run.curves.set_theme(theme)

    # ---- what the session tells -----------------------------------------------------------

    def _on_cohort(self, *_: object) -> None:
        cohort = self.session.cohort
        self.run.curves.set_classes(self.session.classes)
        self.training.open(cohort)
        self.plan_section.open(not self.training.state.runs)
        self._on_clip()
        self.follower.hurry()

    def _on_clip(self, *_: object) -> None:
        clip = self.session.clip
        self.model.show_accepted("")
        self.training.show_clip(clip.name if clip else None)
        self._reviewed = None
        self._on_reviewed()
        self.marks.sync()
        self._on_training(self.training.state)

    def _on_reviewed(self) -> None:
        session = self.session
        if session.clip is not None and session.rater:
            frames = session.status == Status.REVIEWED
            if self._reviewed is not None and np.array_equal(frames, self._reviewed):
                return  # a stroke, most likely
            self._reviewed = frames
            # Not in the store before the first stroke: it is what the session would make it.
            me = session.reader.identity()
            self.training.note_reviewed(
                Reviewed(
                    session.clip.name,
                    session.clip.meta.patient,
                    session.rater,
                    me.label,
                    me.kind,
                    me.learnt,
                    frames,
                )
            )

    def _on_class(self, name: str) -> None:
        self.model.choose_class(name)

    def _on_confidence(self, confidence: int) -> None:
        self.model.accept_confidence.setValue(confidence)

    def _on_threshold(self, threshold: int) -> None:
        self.model.threshold.setValue(threshold)
        self._show_marks()

    def _on_opacity(self, opacity: float) -> None:
        self.model.opacity.setValue(round(opacity * 100))

    # ---- what the runs tell ---------------------------------------------------------------

    def _on_training(self, state: TrainingState) -> None:
        session = self.session
        cohort = session.cohort
        self.cohort_name.setText(cohort.meta.name if cohort else "No study folder is open")
        self.counts.setText(state.next_run.counts)
        self.counts.setVisible(bool(state.next_run.counts))
        self.form.setVisible(cohort is not None)
        self.form.show_state(state)
        self.start.setEnabled(state.next_run.request is not None)
        self.start.setVisible(cohort is not None)
        self.reason.setText(state.next_run.reason)
        self.reason.setVisible(bool(state.next_run.reason))
        self.caution.setText(state.next_run.caution)
        self.caution.setVisible(bool(state.next_run.caution))
        self.problem.show_problem(state.problem)
        watched = state.watched
        self.run_section.setVisible(watched is not None)
        self.run.show_run(watched, state.settings.where)
        self.model_section.setVisible(watched is not None)
        if watched is not None:
            clip = session.clip.name if session.clip else None
            self.model.show_run(watched, state.predicting, clip, shown=state.shown)
            self._show_marks()
        model = state.activation.model
        # Without any run as well: the active model may lie elsewhere, or be gone.
        chosen = model is not None and model.chosen is not None
        self.runs_section.setVisible(bool(state.runs) or chosen)
        self.runs.setVisible(bool(state.runs))
        self.runs.show_runs(
            state.runs, watched.name if watched else None, model.location if model else ""
        )
        self.active.show_activation(state.activation, watched, read_only=self.training.read_only)
        self.marks.sync()

    def _show_marks(self, *_: object) -> None:
        if self.marks.run is not None:
            self.model.show_marks(self.marks.classes(), self.marks.in_words())

    # ---- requests -------------------------------------------------------------------------

    def start_run(self) -> None:
        """Start the planned run; strokes that still wait for the store get there first."""
        self.session.flush(FLUSH_SECONDS)
        if self.training.start() is not None:
            where = self.training.state.settings.where
            if where:
                remembered = Preferences.load().with_scheduler(where)
                remembered.save()
                self.form.where.offer(remembered.schedulers)
            self.model.show_accepted("")
            self.plan_section.open(False)
            self.page.ensureVisible(0, 0)
        self.follower.hurry()

    def resume_run(self) -> None:
        """Go on with the run on show."""
        self.training.resume()
        self.follower.hurry()

    def make_active(self, insist: str) -> None:
        """Let the run on show become the active model, once it is compared with the one that is."""
        self.session.flush(FLUSH_SECONDS)
        self.training.make_active(self._me(), insist=insist)
        self.follower.hurry()

    def go_back(self) -> None:
        """Take back the latest change of the active model."""
        self.training.go_back(self._me())
        self.follower.hurry()

    def _me(self) -> str:
        return Preferences.load().reader or account_name() or "unknown"

    def predict(self, everything: bool) -> None:
        """Let the run on show mark the clip on screen, or all clips."""
        if self.session.clip is not None or everything:
            clips = () if everything or self.session.clip is None else (self.session.clip.name,)
            self.training.predict(clips)
            self.follower.hurry()

    def accept(self, class_name: str, confidence: int) -> None:
        """Take the model's marks of a class on the frame on screen as the reader's own."""
        accepted = self.marks.accept(class_name, confidence)
        if accepted is not None:
            self.model.show_accepted(accepted.words, undoable=accepted.undoable)

    def undo(self) -> None:
        """Take the latest edit back."""
        self.session.undo()
        self.model.show_accepted("Taken back.")

    def _on_picked(self, name: str) -> None:
        self.model.show_accepted("")
        self.training.watch(name)
