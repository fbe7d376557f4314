"""What a reader says of a clip, how long they take, what is left to do, and whom they may see."""

from __future__ import annotations

import time
from collections.abc import Callable  # noqa: TC003
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import PrivateAttr, ValidationError

from napari_confseg.annotate.activity import ActivityTimer
from napari_confseg.annotate.blinding import BlindedError, Role, Standing
from napari_confseg.annotate.preferences import Preferences
from napari_confseg.annotate.review_progress import reviewed_frames
from napari_confseg.annotate.state import SessionState
from napari_confseg.annotate.worklist import WorkList, facts_of
from napari_confseg.store import StoreError, Unblinded, kind_rank, rater_label

if TYPE_CHECKING:
    from napari_confseg.annotate.clip_editor import Work
    from napari_confseg.annotate.overlays import Overlay
    from napari_confseg.store import Edit, RaterKind
    from napari_confseg.store.schema import Blinding

_SIGNS: Final = (
    "class_name",
    "tool",
    "confidence",
    "brush_size",
    "threshold",
    "opacity",
    "hidden",
    "marks_shown",
    "playing",
    "overlays",
    "merge",
    "locked",
    "solo",
    "band_widths",
    "follow_bright",
    "reach",
    "every_class",
    "clipboard",
)
"""Wishes whose change shows that somebody is there."""


class Telling(SessionState):
    """A session that knows who it serves: words on the clip, time, and blinding."""

    _watch: ActivityTimer | None = PrivateAttr(default=None)
    _worklist: WorkList = PrivateAttr(default_factory=WorkList)
    _clock: Callable[[], float] = PrivateAttr(default=time.monotonic)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        for name in _SIGNS:
            self.events[name].connect(self.stir)
        self.events.frame.connect(self._on_frame_turned)
        for signal in (self.events.clip, self.events.about, self.progress_changed):
            signal.connect(self.note_facts)

    # ---- words ----------------------------------------------------------------------------

    def describe(self, **changes: object) -> bool:
        """Change what I say of the clip (:class:`~napari_confseg.store.ClipNotes`); safe on return.

        Returns
        -------
        bool
            False if it is refused; the message says why.
        """
        if not self._may_write():
            return False
        try:
            self.about = self._mine.writer.tell(**changes)
        except ValidationError as error:
            e = error.errors()[0]
            self.message = f"Not kept: {'.'.join(map(str, e['loc']))}: {e['msg']}"
            return False
        except StoreError as error:
            self.message = str(error.problems[0])
            return False
        self.stir()
        return True

    @property
    def worklist(self) -> WorkList:
        """The cohort's clips as my work."""
        return self._worklist

    def note_facts(self, *_: object) -> None:
        """Put what is known of the open clip, what waits for the store too, into the list."""
        if self.clip is not None and self._work is not None:
            mine = facts_of(self.clip.name, self.clip.meta, self.status, self.strokes, self.about)
            self._worklist.put([mine])

    # ---- time -----------------------------------------------------------------------------

    def stir(self, *_: object) -> None:
        """Take note that somebody is there: a pointer that moves, a key, a stroke."""
        if self._watch is not None:
            self._watch.stir()

    def _on_frame_turned(self, frame: int, *_: object) -> None:
        if self._watch is not None:
            self._watch.turn_to(frame)
            if not self.playing:
                self._watch.stir()

    def keep_time(self) -> None:
        """Write down the time spent so far; called now and then, and when a clip is closed."""
        seconds = self._watch.due() if self._watch is not None and self.writable else None
        if seconds is not None:
            with suppress(StoreError):  # somebody took over: their time is theirs
                self.about = self._mine.writer.tell(seconds=seconds)

    def _begin_time(self, work: Work) -> None:
        self._watch = ActivityTimer(len(work.status), work.writer.about.seconds, self._clock)

    # ---- who may be seen ------------------------------------------------------------------

    def choose_role(self, role: Role) -> None:
        """Be here as a reader or as a reviewer from now on; remembered for this reader."""
        Preferences.load().with_role(self.rater, role).save()
        self.role = role
        self._hide_unseen()

    def begin_exercise(self, on: bool = True) -> None:
        """Hide everybody else while a calibration exercise is under way, or no longer."""
        if on != self.in_exercise:
            self.in_exercise = on
            self._hide_unseen()
            self.blinding_changed.emit()

    def set_blinding(self, rule: Blinding) -> None:
        """Set whether the cohort's readers see each other; who and when stands in the cohort.

        Raises
        ------
        ValueError
            If no cohort is open.
        StoreError, OSError
            If it cannot be written.
        """
        if self.cohort is None:
            raise ValueError("open a cohort before saying who may see whom in it")
        self.cohort.update_meta(blinding=rule, by=Preferences.load().reader or self.rater)
        self._hide_unseen()
        self.blinding_changed.emit()

    @property
    def standing(self) -> Standing:
        """Where I stand with the clip that is open."""
        status = self.status
        return Standing(
            rule=self.cohort.meta.blinding if self.cohort else "none",
            in_exercise=self.in_exercise,
            role=self.role,
            complete=bool(status.size) and bool(reviewed_frames(status).all()),
            unblinded=self._work is not None and self._work.writer.about.unblinded is not None,
        )

    def unblind(self, by: str) -> bool:
        """Let me see the others on this clip, because the reviewer `by` says so; it is noted.

        Returns
        -------
        bool
            False if it is refused; the message says why.
        """
        return self._note_sight("allowed", by)

    def others(self) -> list[tuple[str, str]]:
        """Return (slug, what lists call it) of the other raters on this clip that I may see."""
        if self.clip is None:
            return []
        metas = [(n, self.clip.rater(n).meta) for n in self.clip.raters() if n != self.rater]
        metas.sort(key=lambda named: (kind_rank(named[1].kind), named[0]))
        return [
            (name, rater_label(name, meta.label, meta.kind))
            for name, meta in metas
            if self.standing.sees(meta.kind)
        ]

    def why_not_cohort(self) -> str:
        """Return why I may not see what others marked throughout the cohort; empty if I may.

        What holds for the clip that is open need not hold for the others.
        """
        rule = self.cohort.meta.blinding if self.cohort else "none"
        return Standing(rule, self.role, in_exercise=self.in_exercise).why()

    def look_at(self, kind: RaterKind) -> None:
        """Take note that I am shown raters of `kind` on this clip.

        Raises
        ------
        BlindedError
            If I may not see them (yet).
        """
        self._check_sight(kind)

    def _check_sight(self, kind: RaterKind) -> None:
        """Refuse to show a rater of `kind` if I am blinded to it; else note that I am not."""
        standing = self.standing
        if not standing.sees(kind):
            raise BlindedError(standing.why())
        if not Standing(standing.rule).sees(kind) and not standing.unblinded and self.writable:
            why = "complete" if standing.complete else "reviewer"
            self._note_sight(why, Preferences.load().reader or self.rater)

    def _note_sight(self, why: str, by: str) -> bool:
        noted = {"at": datetime.now(UTC), "by": by.strip(), "why": why}
        try:
            return self.describe(unblinded=Unblinded.model_validate(noted))
        except ValidationError:
            self.message = "Say who lets the reader see the others: a name of 1 to 80 letters."
            return False

    def _hide_unseen(self) -> None:
        standing = self.standing
        self.overlays = tuple(o for o in self.overlays if standing.sees(o.kind))

    def _in_sight(self, overlay: Overlay) -> bool:
        with suppress(BlindedError):
            self._check_sight(overlay.kind)
            return True
        return False

    def _may_write(self) -> bool:
        if not self.writable:
            self.message = "This clip is read-only here: nothing was changed."
        return self.writable

    def _may_change(self, edit: Edit) -> bool:
        if not self._may_write():
            return False
        labels = {c.index: c.label for c in self.classes if c.name in self.locked}
        locked = [labels[p.class_index] for p in edit.patches if p.class_index in labels]
        if locked:
            self.message = f"{locked[0]} is locked: nothing was changed."
        return not locked
