"""The banner of a conflict: who met whom, a look at either version, and the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout

from napari_confseg.annotate.conflict import describe_conflict
from napari_confseg.annotate.links import links_of
from napari_confseg.store import StoreError
from napari_confseg.store.errors import sentence
from napari_confseg.widgets.common.buttons import breakable, button, icon, label
from napari_confseg.widgets.common.jobs import BackgroundJob
from napari_confseg.widgets.common.theme import CALM, WAIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Choice

_CHOICES: Final[dict[Choice, str]] = {
    "mine": "Keep mine",
    "theirs": "Keep theirs",
    "both": "Keep both",
}
LINKED: Final = 12
"""Frames that are listed; the arrows lead to all of them."""


class ConflictBanner(QFrame):
    """Shows itself while older strokes have met newer ones and nobody has decided yet.

    Parameters
    ----------
    session : Session
        Whose conflict is shown and decided.
    """

    busy = Signal(object, str)  # the job, and what it does

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._theme, self._color = "dark", "#ffffff"
        self._job: BackgroundJob | None = None
        self.setProperty("role", "conflict")
        self.setAccessibleName("Conflict")
        self._make()
        self._lay_out()
        self._links = links_of(
            self,
            (session.events.save_state, self.show_now),
            (session.events.clip, self.show_now),
            (session.events.frame, self._on_frame),
            (session.conflict.changed, self.show_now),
        )
        self.show_now()

    def _make(self) -> None:
        self.symbol, self.title, self.detail = QLabel(), label(role="title"), label()
        self.frames, self.seen = label(), label(role="note")
        self.frames.setTextFormat(Qt.TextFormat.RichText)
        self.frames.setTextInteractionFlags(
            Qt.TextInteractionFlag.LinksAccessibleByMouse
            | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        self.frames.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.frames.setAccessibleName("Contested frames")
        self.frames.setToolTip("Frames that both versions changed; a click goes there")
        # Queued: the answer gives the label another text, which its handling of the click outlives.
        self.frames.linkActivated.connect(self._on_frame_wanted, Qt.ConnectionType.QueuedConnection)
        self.previous = button("", "Previous contested frame")
        self.next = button("", "Next contested frame")
        for made, step in ((self.previous, -1), (self.next, 1)):
            made.setAccessibleName(made.toolTip())
            made.clicked.connect(lambda _on=False, s=step: self._on_step_wanted(s))
        self.mine = button(
            "Show mine",
            "A look at the older strokes on top of what is stored. Nothing is changed by it",
            checkable=True,
        )
        self.mine.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.mine.clicked.connect(self._on_mine_wanted)
        self.choices: dict[Choice, QToolButton] = {}
        for choice, text in _CHOICES.items():
            self.choices[choice] = made = button(text, "")
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            made.clicked.connect(lambda _on=False, c=choice: self._on_decided(c))

    def _lay_out(self) -> None:
        head, where, decide = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        head.setSpacing(6)
        head.addWidget(self.symbol, 0, Qt.AlignmentFlag.AlignTop)
        head.addWidget(self.title, 1)
        where.setSpacing(3)
        where.addWidget(self.frames, 1)
        where.addWidget(self.previous, 0, Qt.AlignmentFlag.AlignTop)
        where.addWidget(self.next, 0, Qt.AlignmentFlag.AlignTop)
        decide.setSpacing(3)
        for made in self.choices.values():
            decide.addWidget(made, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addWidget(self.detail)
        layout.addLayout(where)
        layout.addWidget(self.mine)
        layout.addWidget(self.seen)
        layout.addLayout(decide)

    def close_part(self) -> None:
        """Let go of the session."""
        self._links.cut()

    def set_theme(self, theme: str, color: str) -> None:
        """Draw for a ``"dark"`` or ``"light"`` theme whose icons have `color`."""
        self._theme, self._color = theme, color
        self.show_now()

    def show_now(self, *_: object) -> None:
        """Show the conflict that there is, or nothing."""
        model = self._session.conflict
        current = model.current
        self.setVisible(current is not None)
        if current is None:
            return
        described = describe_conflict(current)
        self.symbol.setPixmap(icon("warning", WAIT[self._theme]).pixmap(16, 16))
        self.previous.setIcon(icon("previous", self._color))
        self.next.setIcon(icon("next", self._color))
        self.title.setText(described.title)
        self.detail.setText(breakable(described.detail))
        for choice, made in self.choices.items():
            made.setToolTip(described.outcomes[choice])
            made.setAccessibleDescription(described.outcomes[choice])
        self.mine.setChecked(model.showing_mine)
        for made in (self.mine, *self.choices.values()):
            made.setEnabled(self._job is None)
        self.seen.setText(self._what_is_seen())
        self._on_frame()

    def _what_is_seen(self) -> str:
        model = self._session.conflict
        if not model.showing_mine:
            return "On the canvas: theirs, as stored."
        differ = model.status_frames
        review = f" Review marks differ on {_list(differ)}." if differ else ""
        return f"On the canvas: mine on top, for a look.{review}"

    def _on_frame(self, *_: object) -> None:
        frames, here = self._session.conflict.frames, self._session.frame
        color = CALM[self._theme]
        links = [
            f'<a href="{f}" style="color: {color};">{f"<b>{f + 1}</b>" if f == here else f + 1}</a>'
            for f in frames[:LINKED]
        ]
        more = f" and {len(frames) - LINKED} more" if len(frames) > LINKED else ""
        text = f"Frame{'s' * (len(frames) != 1)} {', '.join(links)}{more}"
        if text != self.frames.text():  # else the link that has the keyboard would lose it
            self.frames.setText(text)

    # ---- requests -------------------------------------------------------------------------

    def _on_frame_wanted(self, link: str) -> None:
        self._session.frame = int(link)

    def _on_step_wanted(self, step: int) -> None:
        found = self._session.conflict.beside(self._session.frame, step)
        if found is not None:
            self._session.frame = found

    def _on_mine_wanted(self, on: bool) -> None:
        model = self._session.conflict
        if on and not model.showing_mine:
            self._run(
                lambda job: model.look(job.report),
                model.show,
                "Mine can't be shown: ",
                "Reading both versions …",
            )
        else:
            model.show(None)
        self.show_now()

    def _on_decided(self, choice: Choice) -> None:
        session = self._session
        try:
            decision = session.handover.begin_deciding(choice)
        except ValueError as error:  # the clip was closed
            session.message = str(error)
            return
        self._run(
            lambda _job: decision.make(),
            lambda _: session.handover.finish_deciding(decision),
            "",
            "Storing the decision and reading anew …",
            lambda: session.handover.finish_deciding(decision),
        )

    def _run(
        self,
        work: Callable[[BackgroundJob], object],
        done: Callable[[Any], object],
        words: str,
        doing: str,
        undone: Callable[[], object] = lambda: None,
    ) -> None:
        """Do `work` beside the window; meanwhile nothing else can be asked for."""
        job = BackgroundJob(work, self)
        self._job = job

        def end(then: Callable[[], object]) -> None:
            self._job = None
            then()
            self.show_now()

        def failed(error: Exception) -> None:
            undone()
            self._session.message = f"{words}{_reason(error)}"

        job.done.connect(lambda result: end(lambda: done(result)))
        job.failed.connect(lambda error: end(lambda: failed(error)))
        self.busy.emit(job, doing)
        self.show_now()
        job.start()


def _reason(error: Exception) -> str:
    return str(error.problems[0]) if isinstance(error, StoreError) else sentence(error)


def _list(frames: Iterable[int]) -> str:
    numbers = [str(f + 1) for f in frames]
    more = f" and {len(numbers) - LINKED} more" if len(numbers) > LINKED else ""
    return f"frame{'s' * (len(numbers) != 1)} {', '.join(numbers[:LINKED])}{more}"
