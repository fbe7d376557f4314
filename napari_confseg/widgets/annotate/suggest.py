"""The section Suggest: a model's suggestions, and the process that makes them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import QCoreApplication, QEvent, QObject, QTimer
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_confseg.annotate.links import links_of
from napari_confseg.annotate.suggestion_work import model_to_ask
from napari_confseg.launcher import trainer_problem
from napari_confseg.store import StoreError
from napari_confseg.suggest.client import ModelProcess, SuggestError
from napari_confseg.suggest.protocol import Load
from napari_confseg.widgets.common.buttons import breakable, button, label, with_key
from napari_confseg.widgets.common.choices import TickBox
from napari_confseg.widgets.common.jobs import BackgroundJob, LatestJob

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qtpy.QtWidgets import QToolButton

    from napari_confseg.annotate.session import Session
    from napari_confseg.annotate.suggestion_work import SuggestWork
    from napari_confseg.suggest.client import Answer

WARM_AFTER_MS: Final = 3000
"""How long nobody acts on an open clip before the process is started, in case it is wanted."""

STARTING: Final = "The model is starting: its first suggestion takes some seconds."

_TIPS: Final = {
    "suggest": "Let the model propose on the frames that you look at, or no longer. Nothing is "
    "yours until you accept it",
    "suggest.accept": "Make what is hatched on this frame yours, at the model's confidence. One "
    "region of it: Shift and click in it. Undo takes it back",
    "suggest.dismiss": "Put away what is suggested on this frame",
}


class SuggestPart(QWidget):
    """Shows a session's suggestions, and asks a model's process for them.

    The process is started in the background once a clip is open and nobody acts for a moment, when
    the mouse comes to *Suggest*, or when the model is asked; it ends with this.

    Parameters
    ----------
    session : Session
        Where to propose.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._model = session.suggestions
        self._keys: Mapping[str, str] = {}
        self.process = ModelProcess()
        self._jobs = LatestJob(self)
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(WARM_AFTER_MS)
        self._idle.timeout.connect(self.warm)
        self.buttons: dict[str, QToolButton] = {}
        row = QHBoxLayout()
        row.setSpacing(3)
        row.addWidget(self._button("suggest", "Suggest", self._model.toggle, checkable=True), 1)
        row.addWidget(self._button("suggest.accept", "Accept", self._model.accept), 1)
        row.addWidget(self._button("suggest.dismiss", "Dismiss", self._model.dismiss), 1)
        self.learn = TickBox("Learn from my marks on this clip")
        self.learn.setToolTip(
            "After each stroke the model is adapted to what you marked on this clip, and proposes "
            "anew; of other clips it learns nothing"
        )
        self.learn.clicked.connect(self._model.set_learning)
        self.note = label(role="note")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.learn)
        layout.addWidget(self.note)
        self.destroyed.connect(self.process.close)  # with the window, whoever deletes it
        app = QCoreApplication.instance()
        if app is not None:  # before jobs are waited for: the one that asks ends with the process
            app.aboutToQuit.connect(self.process.close)
        events = session.events
        self._links = links_of(
            self,
            (self._model.wanted, self._ask),
            (self._model.changed, self.refresh),
            *((events[n], self.refresh) for n in ("clip", "save_state", "model_threshold")),
            *((events[n], self._on_act) for n in ("clip", "frame")),
            (session.editor.edited, self._on_act),
        )
        self.buttons["suggest"].installEventFilter(self)
        self.refresh()

    def _button(
        self, name: str, text: str, do: Callable[[], object], *, checkable: bool = False
    ) -> QToolButton:
        made = button(text, "", checkable=checkable)
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

        def on_click() -> None:
            do()
            self.refresh()  # Qt has toggled it, whatever came of it

        made.clicked.connect(on_click)
        self.buttons[name] = made
        return made

    def close_part(self) -> None:
        """Listen no more, and end the process."""
        self._links.cut()
        self._idle.stop()
        self._jobs.drop()
        self.process.close()

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """Name the keys in the tooltips."""
        self._keys = dict(keys)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show whether it is on, and what there is to accept."""
        model, why = self._model, self._model.why_not()
        there = model.on and bool(model.here())
        if not model.on:
            self._started()
        for name, made in self.buttons.items():
            able = not why if name == "suggest" else there
            made.setEnabled(able)
            tip = with_key(_TIPS[name], self._keys.get(name))
            made.setToolTip(f"{tip}\n{why}" if why else tip)
        self.buttons["suggest"].setChecked(model.on)
        self.learn.setChecked(model.learning)
        self.learn.setVisible(model.on)
        words = f"By {model.title}. {model.note}" if model.on and model.title else model.note
        self.note.setText(breakable(words))
        self.note.setVisible(bool(words))

    # ---- the process ----------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Get the model ready when the mouse comes to the button."""
        if event.type() == QEvent.Type.Enter:
            self.warm()
        return bool(super().eventFilter(watched, event))

    def _on_act(self, *_: object) -> None:
        if self.process.pid is None and not self._model.why_not():
            self._idle.start()
        else:
            self._idle.stop()

    def warm(self) -> None:
        """Start the process with the model that would be asked, if suggestions may be made here.

        What goes wrong is said when the model is asked for.
        """
        self._idle.stop()
        cohort, model = self._session.cohort, self._model.model
        able = cohort is not None and not self._model.why_not() and not trainer_problem()
        if cohort is None or not able or self.process.pid is not None:
            return

        def work(_: BackgroundJob) -> object:
            with suppress(SuggestError, StoreError, OSError):
                self.process.ask(Load(model=model_to_ask(cohort, model).location))
            return None

        BackgroundJob(work, self).start()

    # ---- asking ---------------------------------------------------------------------------

    def _ask(self) -> None:
        work = self._model.work()
        if work is None:
            return
        if self.process.pid is None:
            self._session.message = STARTING
        self._jobs.run(
            lambda job: work.run(self.process, job.cancelled),
            lambda answer: self._on_answer(work, answer),
            failed=self._on_failed,
        )

    def _on_answer(self, work: SuggestWork, answer: Answer | None) -> None:
        self._started()
        self._model.land(work, answer)

    def _on_failed(self, error: Exception) -> None:
        self._started()
        self._model.fail(error)

    def _started(self) -> None:
        if self._session.message == STARTING:
            self._session.message = ""
