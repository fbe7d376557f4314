"""The form *Accept*: another rater's marks become one's own, on many frames at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QSizePolicy, QSpinBox, QWidget

from napari_confseg.annotate.accepting import ByHand, Which
from napari_confseg.annotate.links import links_of
from napari_confseg.widgets.common.buttons import with_key
from napari_confseg.widgets.common.choices import Chooser
from napari_confseg.widgets.common.jobs import BackgroundJob
from napari_confseg.widgets.common.slider_row import SliderRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_confseg.annotate.accepting import AcceptWork, Taken
    from napari_confseg.annotate.session import Session

AT_ONCE: Final = 40
"""Planes that are read while the person waits; more are read beside the window."""

_BY_HAND: Final = {
    ByHand.KEEP: "What I painted by hand stays",
    ByHand.ADD: "Add to what I painted by hand",
    ByHand.OVERWRITE: "Overwrite what I painted by hand",
}
_WHICH: Final = {Which.THIS: "This frame", Which.RANGE: "Frames", Which.ALL: "All frames"}


class AcceptForm(QWidget):
    """Shows the settings of an :class:`~napari_confseg.annotate.accepting.Acceptor`; runs it.

    Parameters
    ----------
    session : Session
        Whose planes take the marks.
    """

    busy = Signal(object, str)  # the job, and what it does

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._acceptor = session.acceptor
        self._job: BackgroundJob | None = None
        self._keys: Mapping[str, str] = {}
        self._make()
        self._lay_out()
        events = session.events
        heard = [self._acceptor.changed]
        heard += [
            getattr(events, name)
            for name in (
                "clip",
                "class_name",
                "frame",
                "hidden",
                "marks_shown",
                "solo",
                "locked",
                "save_state",
                "confidence",
                "model_threshold",
            )
        ]
        self._links = links_of(self, *((signal, self.refresh) for signal in heard))
        self.refresh()

    def _make(self) -> None:
        configure = self._acceptor.configure
        self.source, self.classes, self.which = Chooser(), Chooser(), Chooser()
        self.confidence, self.by_hand = Chooser(), Chooser()
        self.source.setToolTip("Whose marks to take")
        self.classes.addItem("All shown", True)
        self.classes.addItem("", False)
        self.classes.setToolTip("Locked and hidden classes are left alone")
        for which, words in _WHICH.items():
            self.which.addItem(words, which)
        self.which.setToolTip("Reviewed frames other than the one on show stay as they are")
        self.confidence.addItem("Its own percent", False)
        self.confidence.addItem("", True)
        self.confidence.setToolTip("What is stated for it: the rater's percent, or yours")
        for by_hand, words in _BY_HAND.items():
            self.by_hand.addItem(words, by_hand)
        self.by_hand.setToolTip("Classes of frames that you painted by hand")
        self.first, self.last = QSpinBox(), QSpinBox()
        for box, words in ((self.first, "First frame"), (self.last, "Last frame")):
            box.setAccessibleName(words)
            box.setToolTip(words)
            box.setMinimum(1)
        for chooser, words in (
            (self.source, "Accept from"),
            (self.classes, "Classes to accept"),
            (self.which, "Frames to accept"),
            (self.confidence, "Confidence of what is accepted"),
            (self.by_hand, "Where I painted"),
        ):
            chooser.setAccessibleName(words)
            chooser.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            chooser.setMinimumContentsLength(6)
            chooser.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.threshold = SliderRow(
            "From", 1, 100, "%", "Nothing below is taken; a model's marks show from here on too"
        )
        self.accept = QPushButton("Accept")
        self.source.activated.connect(lambda _: configure(source=self.source.currentData()))
        self.classes.activated.connect(lambda _: configure(every_class=self.classes.currentData()))
        self.which.activated.connect(self._on_which)
        self.confidence.activated.connect(lambda _: self._on_confidence())
        self.by_hand.activated.connect(
            lambda _: configure(by_hand=ByHand(self.by_hand.currentData()))
        )
        self.first.valueChanged.connect(lambda n: configure(which=Which.RANGE, first=n - 1))
        self.last.valueChanged.connect(lambda n: configure(which=Which.RANGE, last=n - 1))
        self.threshold.wanted.connect(lambda v: setattr(self._session, "model_threshold", v))
        self.accept.clicked.connect(lambda: self.begin())

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 4, 0, 0)
        grid.setHorizontalSpacing(4)
        grid.setVerticalSpacing(3)
        grid.addWidget(QLabel("Accept from"), 0, 0)
        grid.addWidget(self.source, 0, 1, 1, 3)
        grid.addWidget(self.classes, 1, 0, 1, 2)
        grid.addWidget(self.confidence, 1, 2, 1, 2)
        grid.addWidget(self.which, 2, 0, 1, 2)
        grid.addWidget(self.first, 2, 2)
        grid.addWidget(self.last, 2, 3)
        grid.addWidget(self.threshold, 3, 0, 1, 4)
        grid.addWidget(self.by_hand, 4, 0, 1, 4)
        grid.addWidget(self.accept, 5, 0, 1, 4)
        for column in range(4):
            grid.setColumnStretch(column, 1)

    def close_part(self) -> None:
        """Listen no more, and stop what is under way."""
        self._links.cut()
        if self._job is not None:
            self._job.cancel()

    # ---- what is shown --------------------------------------------------------------------

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the key in the tooltip."""
        self._keys = keys
        self.refresh()

    def set_sources(self, sources: Sequence[tuple[str, str]]) -> None:
        """Offer these raters (slug, title)."""
        self.source.clear()
        for name, title in sources:
            self.source.addItem(title, name)
        self.setVisible(bool(sources))
        self.refresh()
        if sources:
            self.source.setCurrentIndex(self.source.findData(self._acceptor.source()))

    def refresh(self, *_: object) -> None:
        """Show what is asked for, and whether it can be done."""
        session, settings = self._session, self._acceptor.settings
        if self.source.findData(settings.source) >= 0:
            self.source.setCurrentIndex(self.source.findData(settings.source))
        label = next((c.label for c in session.classes if c.name == session.class_name), "")
        self.classes.setItemText(1, label)
        self.classes.setCurrentIndex(self.classes.findData(settings.every_class))
        self.which.setCurrentIndex(self.which.findData(settings.which))
        self.confidence.setItemText(1, f"At {session.confidence} %")
        self.confidence.setCurrentIndex(0 if settings.confidence is None else 1)
        self.by_hand.setCurrentIndex(self.by_hand.findData(settings.by_hand))
        n = max(len(session.status), 1)
        for box, frame in ((self.first, settings.first), (self.last, settings.last)):
            box.blockSignals(True)
            box.setMaximum(n)
            box.setValue(frame + 1)
            box.blockSignals(False)
        self.threshold.set_value(session.model_threshold)
        why = self._acceptor.why_not() or ("Under way." if self._job is not None else "")
        self.accept.setEnabled(not why)
        tip = with_key(
            "Takes these marks as mine, as one edit; undo takes it back. Nothing is reviewed by "
            "it.\nThis frame, all classes at once",
            self._keys.get("accept"),
        )
        self.accept.setToolTip(f"{tip}\n{why}" if why else tip)

    def _on_which(self, _index: int) -> None:
        # Qt gives back the plain string of what it was given.
        which, settings = Which(self.which.currentData()), self._acceptor.settings
        changes: dict[str, object] = {"which": which}
        if which is Which.RANGE and settings.first == settings.last:
            here, n = self._session.view().frame, len(self._session.status)
            changes |= {"first": here, "last": n - 1}
        self._acceptor.configure(**changes)

    def _on_confidence(self) -> None:
        own = not self.confidence.currentData()
        self._acceptor.configure(confidence=None if own else self._session.confidence)

    # ---- accepting ------------------------------------------------------------------------

    def begin(self) -> None:
        """Accept what is asked for, beside the window if it is much."""
        if self._job is not None:
            return
        settings = self._acceptor.settings
        if settings.confidence is not None:  # "At ..." follows the slider
            self._acceptor.configure(confidence=self._session.confidence)
        work = self._acceptor.work()
        if work is None:
            return
        job = BackgroundJob(lambda job: self._acceptor.run(work, job.report, job.cancelled), self)
        self._job = job
        job.done.connect(lambda taken: self._on_done(work, taken))
        job.failed.connect(lambda error: self._on_failed(work, error))
        self.busy.emit(job, f"Accepting from {work.title} …")
        self.refresh()
        job.start()
        if len(work.frames) * len(work.classes) <= AT_ONCE:
            job.wait(0.2)  # a frame or a few: no progress flashes by

    def _on_done(self, work: AcceptWork, taken: Taken | None) -> None:
        self._job = None
        self._acceptor.land(work, taken)
        self.refresh()

    def _on_failed(self, work: AcceptWork, error: object) -> None:
        self._job = None
        self._session.message = f"{work.title} can't be read: {error}"
        self.refresh()
