"""Read-outs of the open clip, recomputed where an edit changed it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from psygnal import Signal

from napari_confseg.annotate.links import Links, to_message
from napari_confseg.readouts import Beams, ClipReadouts, FrameReadouts, frame_readouts, sum_up
from napari_confseg.store import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import AnyPlanes, ClipMeta, Edit, Guarantee

BATCH: Final = 8
"""Frames computed between two checks of what is wanted now: a moved slider waits for no more."""


@dataclass(frozen=True)
class Computed:
    """What one task came to: read-outs by frame, and of the clip if nothing is missing."""

    frames: Mapping[int, FrameReadouts]
    clip: ClipReadouts | None
    beams: Beams
    blank: FrameReadouts


@dataclass(frozen=True, eq=False)
class Task:
    """Frames to read out, away from the event loop; made by :meth:`LiveReadouts.task`."""

    epoch: int
    versions: Mapping[int, int]
    planes: Mapping[str, AnyPlanes]
    known: Mapping[int, FrameReadouts]
    reviewed: tuple[int, ...]
    beams: Beams | None
    blank: FrameReadouts | None
    meta: ClipMeta
    shape: tuple[int, int]

    def run(self, cancelled: Callable[[], bool]) -> Computed | None:
        """Compute; None if `cancelled`."""
        beams = self.beams or Beams.of(self.meta, self.shape)
        nothing = np.zeros(self.shape, np.uint8)
        blank = self.blank or frame_readouts(dict.fromkeys(self.planes, nothing), beams)
        found: dict[int, FrameReadouts] = {}
        for frame in self.versions:
            if cancelled():
                return None
            # A copy: the person may be painting there. Then an edit follows, and a new task.
            planes = {name: plane[frame].copy() for name, plane in self.planes.items()}
            empty = not any(plane.any() for plane in planes.values())
            found[frame] = blank if empty else frame_readouts(planes, beams)
        known = {**self.known, **found}
        whole = bool(self.reviewed) and all(t in known for t in self.reviewed)
        clip = sum_up([known[t] for t in self.reviewed]) if whole else None
        return Computed(found, clip, beams, blank)


class LiveReadouts:
    """The read-outs of one rater on the session's clip: me, or another rater on show.

    Nothing is computed here: whoever shows the read-outs asks for a :meth:`task`, runs it where it
    holds nobody up, and gives the result to :meth:`take`, until no task is left.

    Attributes
    ----------
    source : str
        Slug of the rater read out; empty for me.
    frame : FrameReadouts or None
        Of the frame on show; None as long as it is not computed.
    clip : ClipReadouts or None
        Of the reviewed frames; None as long as they are not all computed, or if there is none.
    """

    # something is to be computed: the frame, the clip, the rater or the marks are others now
    wanted = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self.source = ""
        self._status: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self._epoch = 0
        self._frames: dict[int, FrameReadouts] = {}
        self._versions: defaultdict[int, int] = defaultdict(int)
        self._beams: Beams | None = None
        self._blank: FrameReadouts | None = None
        self.clip: ClipReadouts | None = None
        events = session.events
        self._links = Links(
            (events.clip, self._on_other),
            (events.overlays, self._on_overlays),
            (events.frame, self._on_frame),
            (session.editor.edited, self._on_edit),
            (session.sector_changed, self._on_other),  # beams, and with them depths, are others
            failed=to_message(session),
        )

    def close(self) -> None:
        """Follow no longer."""
        self._links.cut()

    # ---- what is known --------------------------------------------------------------------

    @property
    def frame(self) -> FrameReadouts | None:
        """Read-outs of the frame on show."""
        return self._frames.get(self._session.frame)

    @property
    def guarantee(self) -> Guarantee | None:
        """What the rater's planes come with, if it is a model and that was measured."""
        return next((o.guarantee for o in self._session.overlays if o.name == self.source), None)

    @property
    def reviewed(self) -> tuple[int, ...]:
        """Frames that the rater has reviewed in every class: those that count for the clip."""
        status = self._session.status if not self.source else self._status
        return tuple(np.flatnonzero((status == Status.REVIEWED).all(axis=1)).tolist())

    @property
    def missing(self) -> int:
        """Number of reviewed frames that are not computed yet."""
        return sum(t not in self._frames for t in self.reviewed)

    def sources(self) -> list[tuple[str, str]]:
        """Return who can be read out, (slug, label): me, and the raters on show."""
        theirs = [(o.name, o.title) for o in self._session.overlays if o.stored]
        return [("", "My marks"), *theirs]

    def choose(self, source: str) -> None:
        """Read out the rater `source`; me if empty or not on show."""
        session = self._session
        there = session.clip is not None and any(o.name == source for o in session.overlays)
        self.source = source if there else ""
        if session.clip is not None and self.source:
            self._status = session.clip.rater(self.source).read_status()
        self._forget()
        self.wanted.emit()

    # ---- what is to be done ---------------------------------------------------------------

    def task(self) -> Task | None:
        """Return what is to be computed next, the frame on show first; None if all is known."""
        clip = self._session.clip
        if clip is None:
            return None
        reviewed = self.reviewed
        wanted = dict.fromkeys((min(self._session.frame, clip.shape[0] - 1), *reviewed))
        due = [t for t in wanted if t not in self._frames][:BATCH]
        if not due and (self.clip is not None or not reviewed):
            return None
        return Task(
            self._epoch,
            {t: self._versions[t] for t in due},
            self._planes(),
            dict(self._frames),
            reviewed,
            self._beams,
            self._blank,
            clip.meta,
            clip.shape[1:],
        )

    def take(self, task: Task, computed: Computed | None) -> None:
        """Keep what `task` came to, unless work has gone on since."""
        if computed is None or task.epoch != self._epoch:
            return
        self._beams, self._blank = computed.beams, computed.blank
        stale = [t for t, version in task.versions.items() if version != self._versions[t]]
        self._frames.update({t: r for t, r in computed.frames.items() if t not in stale})
        if not stale and task.reviewed == self.reviewed and not self.missing:
            self.clip = computed.clip

    def _planes(self) -> dict[str, AnyPlanes]:
        session = self._session
        if not self.source:
            return dict(session.planes)
        theirs = next(o for o in session.overlays if o.name == self.source).planes
        assert session.clip is not None
        # A class that this rater marked nowhere is absent, not undefined.
        nothing = np.broadcast_to(np.uint8(0), session.clip.shape)
        return {c.name: theirs.get(c.name, nothing) for c in session.classes}

    def _forget(self) -> None:
        self._epoch += 1
        self._frames.clear()
        self._versions.clear()
        self._beams = self._blank = self.clip = None

    # ---- changes of the session -----------------------------------------------------------

    def _on_other(self, *_: object) -> None:
        self.choose(self.source)

    def _on_overlays(self, *_: object) -> None:
        if self.source:
            self.choose(self.source)
        else:  # others came or went: who can be chosen changed, my read-outs did not
            self.wanted.emit()

    def _on_frame(self, *_: object) -> None:
        self.wanted.emit()

    def _on_edit(self, edit: Edit) -> None:
        if self.source:
            return
        for frame in {p.frame for p in edit.patches}:
            self._versions[frame] += 1
            self._frames.pop(frame, None)
        self.clip = None
        self.wanted.emit()
