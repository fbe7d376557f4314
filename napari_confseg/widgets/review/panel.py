"""Review panel: disagreements between raters, and decisions on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.preferences import Preferences, slug_of
from napari_confseg.annotate.review.model import Review
from napari_confseg.store import StoreError
from napari_confseg.widgets.common.buttons import button, label
from napari_confseg.widgets.common.docking import notify_in_front
from napari_confseg.widgets.common.jobs import ProgressRow
from napari_confseg.widgets.common.page import Page
from napari_confseg.widgets.common.section import Section, still_wheel
from napari_confseg.widgets.layers.review_layers import ReviewLayers
from napari_confseg.widgets.panel import Panel
from napari_confseg.widgets.review.clips import ClipsDue
from napari_confseg.widgets.review.compare import CanvasForm, CompareForm
from napari_confseg.widgets.review.jobs import ReviewJobs
from napari_confseg.widgets.review.pictures import RowPictures
from napari_confseg.widgets.review.queue import PICTURE, DisagreementList
from napari_confseg.widgets.review.shortcuts import ReviewKeys
from napari_confseg.widgets.review.verdicts import Verdicts
from napari_confseg.widgets.shared import close_with, follower_for, layers_for

if TYPE_CHECKING:
    import napari
    from qtpy.QtGui import QShowEvent

    from napari_confseg.annotate.review.state import ReviewState


class ReviewPanel(Panel):
    """Shows a :class:`~napari_confseg.annotate.review.model.Review` and passes requests on.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose session this is.
    """

    SIZE = (340, 600)

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self._sight_linked = False
        self._set_aside: frozenset[str] = frozenset()  # raters of the Annotate panel, out of sight
        self.review = Review(self.session)
        self.layers = ReviewLayers(self.review, layers_for(napari_viewer), napari_viewer)
        self._build()
        self.keys = ReviewKeys(self.review, self)
        self.jobs = ReviewJobs(self.review, self.progress, self)
        for part in (self.queue, self.verdicts, self.canvas):
            self.keys.changed.connect(part.set_keys)
        self._bound: object = None
        self._connect()
        self.listen(
            (follower_for(napari_viewer).raters_changed, self._on_raters),
            (self.review.changed, self._on_changed),
            (self.session.events.message, self._on_message),
            (self.session.events.bands, lambda *_: self._on_changed(self.review.state)),
        )
        self._on_changed(self.review.state)

    # ---- the widgets ----------------------------------------------------------------------

    def _build(self) -> None:
        self.place, self.reason, self.message = label(role="title"), label(role="note"), label()
        self.message.setProperty("role", "caution")
        self.who = label(role="note")
        self.begin = QPushButton("Begin adjudicating")
        self.begin.setProperty("role", "primary")
        self.begin.setToolTip(
            "What all agree on is copied, at its mean confidence, as marks of a rater of its own, "
            "adjudicated; then you decide the rest"
        )
        self.end = button("Stop", "Go back to reading under your own name")
        self.copy = button("Copy what all agree on", "", flat=True)
        self.clips = ClipsDue(self.review)
        self.compare, self.canvas = CompareForm(), CanvasForm()
        self.queue, self.verdicts, self.progress = DisagreementList(), Verdicts(), ProgressRow()
        self.sections = [
            Section("Compare", self.compare),
            Section("Disagreements", self.queue),
            Section("On the canvas", self.canvas),
            Section("Clips", self.clips),
        ]
        self.pictures = RowPictures(self.review, self.queue.tree, PICTURE)
        self.queue.shown.connect(self.pictures.follow)
        self._lay_out()
        still_wheel(self)

    def _lay_out(self) -> None:
        body = QWidget()
        inside = QVBoxLayout(body)
        inside.setContentsMargins(8, 6, 8, 6)
        inside.setSpacing(3)
        head = QHBoxLayout()
        head.addWidget(self.place, 1)
        head.addWidget(self.end)
        # Whatever one presses, nothing beneath it moves: Stop keeps its room, and who adjudicates
        # stands where Begin was.
        policy = self.end.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.end.setSizePolicy(policy)
        self.acting = QStackedWidget()
        self.acting.addWidget(self.begin)
        self.acting.addWidget(self.who)
        self.acting.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        inside.addLayout(head)
        inside.addWidget(self.acting)
        inside.addWidget(self.reason)
        for section in self.sections:
            section.layout().setSpacing(1)
            inside.addWidget(section)
        inside.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(Page(body), 1)
        foot = QVBoxLayout()
        foot.setContentsMargins(8, 2, 8, 6)
        foot.setSpacing(4)
        # Always in sight while one decides, and what changes its height above what is pressed.
        for widget in (self.message, self.progress, self.copy, self.verdicts):
            foot.addWidget(widget)
        self.add_paint_strip(foot)
        layout.addLayout(foot)

    def _connect(self) -> None:
        review, session = self.review, self.session
        for form in (self.compare, self.canvas):
            form.edited.connect(lambda changes: review.configure(**changes))
        self.canvas.bands_wanted.connect(lambda on: setattr(session, "bands", on))
        self.compare.refresh_wanted.connect(review.refresh)
        self.queue.picked.connect(review.go)
        self.queue.step_wanted.connect(review.step)
        verdicts = self.verdicts
        verdicts.decided.connect(lambda verdict, who: review.decide(verdict, who or None))
        verdicts.correct_wanted.connect(review.correct)
        verdicts.skip_wanted.connect(review.step)
        verdicts.undo_wanted.connect(session.undo)
        verdicts.whole_wanted.connect(lambda whole: review.configure(whole=whole))
        self.begin.clicked.connect(self._on_begin)
        self.end.clicked.connect(self._on_end)
        self.copy.clicked.connect(review.copy_agreed)
        self.clips.turn_wanted.connect(self.turn)
        self.clips.clip_wanted.connect(self._on_clip_wanted)

    def showEvent(self, event: QShowEvent) -> None:
        """Bind the keys to the window we are docked in."""
        super().showEvent(event)
        self._bind_keys()
        if not self._sight_linked:
            notify_in_front(self, self._on_front)
            self._sight_linked = True
            self._on_front(True)

    def _on_front(self, in_front: bool) -> None:
        """Show what Review shows, and nothing of it where one reads; back, the reverse."""
        session = self.session
        self.layers.set_in_sight(in_front)
        if in_front:  # others ticked to read beside would lie over the disagreement
            shown = {o.name for o in session.overlays} - session.overlays_hidden
            self._set_aside |= shown
            session.overlays_hidden |= shown
        else:
            session.overlays_hidden -= self._set_aside
            self._set_aside = frozenset()

    def let_go(self) -> None:
        """Free the keys, take the layers away; what was decided is saved already."""
        self.session.overlays_hidden -= self._set_aside
        self.keys.release()
        self.jobs.close()
        self.clips.close_down()
        self.pictures.close_down()
        self.layers.close()
        self.review.finish_correcting()
        self.review.close()

    def _bind_keys(self) -> None:
        window = self.main_window()
        close_with(window, self.session)
        self.keys.bind(window)

    # ---- state ----------------------------------------------------------------------------

    def show_theme(self, theme: Any) -> None:
        """Take the colours of a napari theme."""
        super().show_theme(theme)
        for part in (self.compare, self.queue):
            part.set_icon_color(theme.icon.as_hex())
        self.canvas.legend.set_text_color(theme.text.as_hex())

    def _on_changed(self, state: ReviewState) -> None:
        session = self.session
        clip = session.clip
        self.place.setText(clip.name if clip else "Review")
        self.who.setText(f"You adjudicate as {session.adjudicator}.")
        self.reason.setText(state.reason)
        self.reason.setVisible(bool(state.reason))
        for section in self.sections[:-1]:
            section.setVisible(clip is not None and bool(state.raters))
        self.sections[-1].setVisible(session.cohort is not None)
        self.verdicts.setVisible(state.adjudicating and bool(state.raters))
        self.acting.setVisible(clip is not None)
        self.acting.setCurrentWidget(self.who if state.adjudicating else self.begin)
        self.begin.setEnabled(not state.reason)
        self.end.setVisible(state.adjudicating)
        self.copy.setVisible(state.adjudicating and state.untouched > 0 and state.pending is None)
        self.copy.setText(f"Copy what all agree on ({state.untouched} frames)")
        self.compare.show_state(state, session.classes)
        self.canvas.show_state(state)
        views = [self.review.views.get(row.name) for row in state.raters]
        guaranteed = any(v is not None and v.rater.meta.guarantee for v in views)
        self.canvas.show_bands(session.bands, any_guaranteed=guaranteed)
        self.queue.show_state(state, session.classes, clip)
        self.clips.show_due()
        self.verdicts.show_state(state, can_undo=session.editor.can_undo)
        if self.isVisible() and session.cohort is not self._bound:
            self._bound = session.cohort
            self._bind_keys()

    def _on_raters(self) -> None:
        if not self.review.state.correcting:  # what is being painted is compared when it is done
            self.review.refresh()

    def _on_message(self, words: str, *_: object) -> None:
        self.message.setText(words)
        self.message.setVisible(bool(words))

    # ---- requests -------------------------------------------------------------------------

    def _on_begin(self) -> None:
        try:
            self.review.begin(Preferences.load().reader or self.session.rater)
        except (StoreError, ValueError) as error:
            self._show_error(error)
        else:
            self.sections[0].open(False)  # chosen: deciding needs the room

    def _on_end(self) -> None:
        try:
            self.review.end(slug_of(Preferences.load().reader))
        except (StoreError, ValueError) as error:
            self._show_error(error)

    def turn(self, step: int) -> None:
        """Open the next clip (`step` -1: the one before)."""
        try:
            self.review.turn(step)
        except (StoreError, OSError) as error:
            self._show_error(error)

    def _on_clip_wanted(self, name: str) -> None:
        try:
            self.review.open(name)
        except (StoreError, OSError) as error:
            self._show_error(error)

    def _show_error(self, error: Exception) -> None:
        known = isinstance(error, StoreError)
        self.session.message = str(error.problems[0] if known else error)  # type: ignore[attr-defined]
