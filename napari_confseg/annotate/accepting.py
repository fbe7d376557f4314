"""Acceptance of another rater's marks as one's own: many classes and frames, as one edit.

What is asked for is taken from the session at one moment, can be read in any thread
(:meth:`Acceptor.run`), and is merged into the planes as they are when it lands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from itertools import product
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple

import numpy as np
from psygnal import Signal

from napari_confseg.agreement.rater_view import RaterView
from napari_confseg.annotate.access import BlindedError
from napari_confseg.annotate.patches import patch_between
from napari_confseg.annotate.tools.filling import (
    KeptFrames,
    highest,
    imported_only,
    listed,
    touched_by_hand,
)
from napari_confseg.annotate.tools.merging import Merge, merged
from napari_confseg.annotate.tools.placing import Snippet, copied
from napari_confseg.store import (
    EXCLUDED,
    RATER_KINDS,
    Acceptance,
    Edit,
    Patch,
    Status,
    StoreError,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Clip, Stroke

TOOL: Final = "accept"
"""Its name in the record."""

Marks = Callable[[int, int], "NDArray[np.uint8] | None"]
"""From frame and class index to a plane ``uint8 (Y, X)``; None where nothing is marked."""


class ByHand(StrEnum):
    """What happens to a plane that the person painted by hand."""

    KEEP = "keep"
    """It stays as it is."""
    ADD = "add"
    """Pixels that are not marked take what is accepted."""
    OVERWRITE = "overwrite"
    """What is accepted counts, under the merge rule."""


class Which(StrEnum):
    """On which frames."""

    THIS = "this"
    RANGE = "range"
    ALL = "all"


@dataclass(frozen=True)
class AcceptSettings:
    """What is asked for.

    Parameters
    ----------
    source : str
        The rater; empty for the first that may be seen.
    every_class : bool
        All shown classes, or the painted one.
    which : Which
        Frames.
    first, last : int
        The range, counted from 0, both ends in it.
    confidence : int or None
        What is stated for it, 1..100 percent; None for the rater's own.
    by_hand : ByHand
        What happens to planes painted by hand.
    """

    source: str = ""
    every_class: bool = True
    which: Which = Which.THIS
    first: int = 0
    last: int = 0
    confidence: int | None = None
    by_hand: ByHand = ByHand.KEEP


@dataclass(frozen=True, eq=False)
class AcceptWork:
    """What is to be read of a rater, and how it is to be taken.

    Attributes
    ----------
    owner : object
        The planes that it is for, to know them again.
    marks : callable
        See :data:`Marks`.
    classes, frames : tuple of int
        Which planes, by index.
    about : Acceptance
        For the record.
    title : str
        What people call the rater.
    frame : int
        The one on show when it was asked for.
    merge : Merge
        How it joins what is there.
    confidence, by_hand
        See :class:`AcceptSettings`.
    """

    owner: object
    marks: Marks
    classes: tuple[int, ...]
    frames: tuple[int, ...]
    about: Acceptance
    title: str
    frame: int
    merge: Merge
    confidence: int | None = None
    by_hand: ByHand = ByHand.KEEP


class Kept(Enum):
    """Why a plane stays as it was."""

    BY_HAND = "painted by hand"
    REVIEWED = "reviewed"


class Change(NamedTuple):
    """What acceptance makes of a plane."""

    patch: Patch
    highest: int  # confidence after it, percent


@dataclass(frozen=True, eq=False)
class Taken:
    """What there is to accept, merged into the planes as they were at one moment.

    Attributes
    ----------
    planes : dict
        By (frame, class index), of each plane that the rater marks: what it becomes, or why it
        stays; None if nothing changes.
    strokes : sequence of Stroke
        The record at that moment: planes that later ones touched are merged anew when it lands.
    """

    planes: dict[tuple[int, int], Change | Kept | None]
    strokes: Sequence[Stroke]


def above(plane: NDArray[np.uint8], threshold: int, confidence: int | None) -> Snippet | None:
    """Return the marks of `plane` (Y, X) from `threshold` on; None if there are none.

    At `confidence`, or at their own if None. What is excluded is no mark.
    """
    region = (plane >= max(threshold, 1)) & (plane != EXCLUDED)
    found = copied(plane, region)
    if found is None or confidence is None:
        return found
    return replace(found, values=np.where(found.values > 0, np.uint8(confidence), np.uint8(0)))


class Acceptor:
    """Takes other raters' marks over into the planes of a session.

    Whatever is taken is one edit with the tool ``"accept"``, whose record says from whom. It
    reviews nothing, touches no locked and no hidden class, and leaves what is excluded excluded.
    On other frames than the one on show, reviewed planes stay as they are; planes painted by hand
    do everywhere, unless the person chooses otherwise.

    Parameters
    ----------
    session : Session
        Whose planes.

    Attributes
    ----------
    settings : AcceptSettings
        What is asked for.
    """

    changed: ClassVar[Signal] = Signal()
    """The settings are others."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.settings = AcceptSettings()

    def configure(self, **changes: Any) -> None:
        """Change fields of the settings."""
        settings = replace(self.settings, **changes)
        if settings != self.settings:
            self.settings = settings
            self.changed.emit()

    # ---- what can be accepted -------------------------------------------------------------

    def sources(self) -> list[tuple[str, str]]:
        """Return (slug, title) of the raters that one may see on the open clip."""
        session = self._session
        return session.access.others(session.clip, session.rater) if session.clip else []

    def source(self) -> str:
        """Return the rater that is accepted: the chosen one, else one on show, else a model."""
        session, names = self._session, [name for name, _ in self.sources()]
        if self.settings.source in names or not names or session.clip is None:
            return self.settings.source if self.settings.source in names else ""
        shown = [o.name for o in session.overlays if o.name in names]
        clip = session.clip
        models = [n for n in names if not shown and _is_model(clip, n)]
        return next(iter([*shown, *models, *names]))

    def why_not(self) -> str:
        """Return why nothing can be accepted now, in a sentence; empty if it can."""
        session = self._session
        if session.clip is None:
            return "Open a clip first."
        if not session.writable:
            return session.editor.why_read_only
        if not self._classes(self.settings):
            return "No class to accept: it is locked or hidden."
        return ""

    def _classes(self, settings: AcceptSettings) -> tuple[int, ...]:
        session = self._session
        able = session.view().visible - session.locked
        if not settings.every_class:
            able &= {session.class_name}
        return tuple(c.index for c in session.classes if c.name in able)

    def _frames(self, settings: AcceptSettings) -> tuple[int, ...]:
        n, here = len(self._session.status), self._session.view().frame
        first, last = {
            Which.THIS: (here, here),
            Which.RANGE: sorted((settings.first, settings.last)),
            Which.ALL: (0, n - 1),
        }[settings.which]
        return tuple(range(max(first, 0), min(last, n - 1) + 1))

    # ---- accepting ------------------------------------------------------------------------

    def work(self, settings: AcceptSettings | None = None) -> AcceptWork | None:
        """Return the work of what is asked for; None, with a message, if it can't be done.

        The threshold is the one from which a model's marks show: what is seen is taken.
        """
        session, settings = self._session, settings or self.settings
        why = self.why_not()
        session.playing = False
        if why or session.clip is None:
            session.message = why
            return None
        name = self.source()
        if not name:
            session.message = session.access.visibility().why() or (
                "Nobody else has marked this clip: there is nothing to accept."
            )
            return None
        try:
            rater = session.clip.rater(name)
            session.access.admit(rater.meta.kind)
            marks = self._marks(name)
        except (StoreError, BlindedError) as error:
            session.message = (
                str(error.problems[0]) if isinstance(error, StoreError) else str(error)
            )
            return None
        return AcceptWork(
            session.planes,
            marks,
            self._classes(settings),
            self._frames(settings),
            Acceptance(
                source=name,
                version=version_of(rater.meta.run),
                threshold=session.model_threshold,
                own_confidence=settings.confidence is None,
            ),
            dict(self.sources())[name],
            session.view().frame,
            session.merge,
            settings.confidence,
            settings.by_hand,
        )

    def _marks(self, name: str) -> Marks:
        """Return the marks of a rater as on show, else as stored now."""
        session = self._session
        assert session.clip is not None
        overlay = next((o for o in session.overlays if o.name == name), None)
        if overlay is None:
            return RaterView(session.clip, name).plane
        names = [c.name for c in session.classes]

        def marks(frame: int, c: int) -> NDArray[np.uint8] | None:
            plane = overlay.planes.get(names[c])
            return None if plane is None else plane[frame]

        return marks

    def accept_here(self) -> Stroke | None:
        """Accept all shown classes on the frame on show, at once."""
        here = replace(self.settings, which=Which.THIS, every_class=True)
        work = self.work(here)
        return None if work is None else self._at_once(work)

    def accept(
        self,
        marks: Marks,
        classes: Iterable[int],
        frames: Iterable[int],
        threshold: int,
        source: str,
        version: str = "",
        *,
        title: str = "",
        confidence: int | None = None,
        by_hand: ByHand = ByHand.KEEP,
        part: Literal["whole", "rest", "region"] = "whole",
    ) -> Stroke | None:
        """Accept marks from anywhere at once: planes in memory, a proposal that is not stored.

        Parameters
        ----------
        marks : callable
            See :data:`Marks`.
        classes, frames : iterable of int
            Which planes, by index.
        threshold : int
            From which confidence on, 1..100 percent.
        source, version : str
            Who made them, for the record: a slug, and e.g. the name of a run.
        title : str
            What people call the source; `source` if not given.
        confidence, by_hand
            See :class:`AcceptSettings`.
        part : {"whole", "rest", "region"}
            See :class:`~napari_confseg.store.Acceptance`.

        Returns
        -------
        Stroke or None
            None, with a message, if nothing changes or it is refused.
        """
        session = self._session
        about = Acceptance(
            source=source,
            version=version,
            threshold=threshold,
            own_confidence=confidence is None,
            part=part,
        )
        work = AcceptWork(
            session.planes,
            marks,
            tuple(classes),
            tuple(frames),
            about,
            title or source,
            session.view().frame,
            session.merge,
            confidence,
            by_hand,
        )
        return self._at_once(work)

    def run(
        self,
        work: AcceptWork,
        report: Callable[[int, int], object] = lambda *_: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Taken | None:
        """Read what there is to accept and merge it, in any thread; None if cancelled.

        What it changes is packed here, too: to land it takes no time then.

        Raises
        ------
        StoreError, OSError
            If a plane cannot be read.
        """
        taken = Taken({}, self._session.strokes)
        by_hand = painted_by_hand(self._session)
        for done, frame in enumerate(work.frames):
            if cancelled():
                return None
            report(done, len(work.frames))
            for c in work.classes:
                self._take(work, taken, (frame, c), by_hand)
        return taken

    def _at_once(self, work: AcceptWork) -> Stroke | None:
        try:
            return self.land(work, self.run(work))
        except (StoreError, OSError) as error:
            self._session.message = f"{work.title} can't be read: {error}"
            return None

    def land(self, work: AcceptWork, taken: Taken | None) -> Stroke | None:
        """Put what was taken into the planes as they are now, as one edit; say what came of it.

        None for `taken` means that reading was stopped: nothing is accepted then.
        """
        session = self._session
        if taken is None:
            session.message = "Stopped: nothing was accepted."
            return None
        if session.planes is not work.owner:
            session.message = "The clip was closed meanwhile: nothing was accepted."
            return None
        try:
            self._follow(work, taken)
        except (StoreError, OSError) as error:
            session.message = f"{work.title} can't be read: {error}"
            return None
        locked = {c.index for c in session.classes if c.name in session.locked}
        planes = [(at, taken.planes[at]) for at in sorted(taken.planes) if at[1] not in locked]
        changes = [found for _, found in planes if isinstance(found, Change)]
        kept = KeptFrames(
            {frame for (frame, _), found in planes if found is Kept.BY_HAND},
            {frame for (frame, _), found in planes if found is Kept.REVIEWED},
        )
        if not changes:
            at = work.about.threshold
            why = kept.words() or (
                f"{work.title} marks nothing new there from {at} % on."
                if planes
                else f"{work.title} marks nothing there from {at} % on."
            )
            session.message = f"Nothing was accepted. {why}"
            return None
        patches = tuple(change.patch for change in changes)
        first = next((p for p in patches if p.frame == work.frame), patches[0])
        stroke = session.commit(
            Edit(
                patches,
                work.confidence or max(change.highest for change in changes),
                TOOL,
                first.class_index,
                first.frame,
                accepted=work.about,
            )
        )
        if stroke is not None:
            session.message = self._words(work, patches, kept)
        return stroke

    def _follow(self, work: AcceptWork, taken: Taken) -> None:
        """Merge planes anew that were touched since they were."""
        before = {id(s): s for s in taken.strokes}  # another one, once it is undone
        now = {id(s): s for s in self._session.strokes}
        others = [s for key, s in (before | now).items() if (key in before) is not (key in now)]
        if not others:
            return
        by_hand, asked = painted_by_hand(self._session), set(product(work.frames, work.classes))
        for at in set().union(*(s.concerned for s in others)) & asked:
            taken.planes.pop(at, None)
            self._take(work, taken, at, by_hand)

    def _take(
        self, work: AcceptWork, taken: Taken, at: tuple[int, int], by_hand: NDArray[np.bool_]
    ) -> None:
        plane = work.marks(*at)
        marks = None if plane is None else above(plane, work.about.threshold, work.confidence)
        if marks is not None:
            taken.planes[at] = self._merged(work, at, marks, by_hand=bool(by_hand[at]))

    def _merged(
        self, work: AcceptWork, at: tuple[int, int], marks: Snippet, *, by_hand: bool
    ) -> Change | Kept | None:
        session, (frame, c) = self._session, at
        if frame != work.frame and session.status[at] == Status.REVIEWED:
            return Kept.REVIEWED
        if by_hand and work.by_hand is ByHand.KEEP:
            return Kept.BY_HAND
        y, x, values = marks.y, marks.x, marks.values
        h, w = values.shape
        before = session.planes[session.classes[c].name][frame, y : y + h, x : x + w]
        if by_hand and work.by_hand is ByHand.ADD:
            values = np.where(before == 0, values, np.uint8(0))
        after = merged(before, values, work.merge)
        patch = patch_between(c, frame, before, after, y=y, x=x)
        return None if patch is None else Change(patch.packed(), highest([patch.after]))

    def _words(self, work: AcceptWork, patches: Collection[Patch], kept: KeptFrames) -> str:
        session = self._session
        labels = [c.label for c in session.classes if c.index in {p.class_index for p in patches}]
        frames = {p.frame for p in patches}
        where = f"frame{'s' * (len(frames) > 1)} {listed(frames)}"
        at = "at its own confidence" if work.confidence is None else f"at {work.confidence} %"
        words = (
            f"Accepted from {work.title}: {', '.join(labels)} on {where}, {at}, from "
            f"{work.about.threshold} % on. Undo takes it back."
        )
        return f"{words} {kept.words()}".strip()


def painted_by_hand(session: Session) -> NDArray[np.bool_]:
    """Return which planes are a person's own work, ``bool (T, C)``.

    Those of which the record knows nothing but that they are marked count too: they were imported,
    perhaps, and whoever made them is not asked.
    """
    others = [s for s in session.strokes if s.tool != TOOL]
    by_hand = touched_by_hand(others, session.status.shape)
    return by_hand | imported_only(session.strokes, session.marked)


def _is_model(clip: Clip, name: str) -> bool:
    return RATER_KINDS[clip.rater(name).meta.kind].own_threshold


def version_of(run: str | None) -> str:
    """Return the name of a model's run from where it lies; empty for none."""
    return PurePath(run.replace("\\", "/")).name[:200] if run else ""
