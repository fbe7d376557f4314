"""A model's suggestions on the frame on show: proposed, accepted, painted over, dismissed.

Nothing is computed here: whoever shows them asks for :meth:`Suggestions.work`, runs it where it
holds nobody up, and hands in the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, cast

import numpy as np
from psygnal import Signal
from scipy import ndimage

from napari_confseg.annotate.accepting import ByHand
from napari_confseg.annotate.access import BlindedError
from napari_confseg.annotate.hatch import DrawnPlanes
from napari_confseg.annotate.links import Links, to_message
from napari_confseg.annotate.model_words import model_words
from napari_confseg.annotate.overlays import Overlay
from napari_confseg.annotate.preferences import slug_of
from napari_confseg.annotate.suggestion_record import OfferRecord
from napari_confseg.annotate.suggestion_work import Marks, SmallFrames, SuggestWork
from napari_confseg.readouts import insonated
from napari_confseg.store import Status, StoreError
from napari_confseg.suggest.protocol import Suggested
from napari_confseg.suggest.withholding import is_withheld

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Literal

    from numpy.typing import NDArray

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Acceptance, Edit, Stroke
    from napari_confseg.suggest.client import Answer

OVERLAY: Final = "*suggestion"
"""Its name among the overlays: no rater can have it."""

_KEPT: Final = 64
"""Frames whose suggestions are kept; what was decided is in the record."""

TAUGHT: Final = 8
"""Painted frames, the nearest ones, that a model learns from."""

_AROUND: Final = np.ones((3, 3), np.bool_)

RESTARTED: Final = "The model's process had ended and was started again."


@dataclass(eq=False)
class Proposal:
    """What a model proposes on one frame.

    Attributes
    ----------
    percent : mapping of str to ndarray of uint8 (Y, X)
        By class.
    source, version : str
        The model, as a slug, and which of it.
    name : str
        What people call the model.
    dropped : dict of str to ndarray of bool (Y, X)
        By class, where the person erased, and so wants nothing.
    decided : bool
        Accepted or dismissed: it is not shown any more.
    edits : int
        How many edits of the clip it knows of.
    partial : bool
        Whether the model goes on with it when asked once more.
    """

    percent: Mapping[str, NDArray[np.uint8]]
    source: str
    version: str
    name: str
    dropped: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    decided: bool = False
    edits: int = 0
    partial: bool = False

    @property
    def title(self) -> str:
        """Words for the model, with how many strokes it has learnt from."""
        return model_words(self.name, self.version)

    def says_the_same(self, other: Proposal) -> bool:
        """Whether another answer is no news."""
        return (
            (self.version, self.edits) == (other.version, other.edits)
            and self.percent.keys() == other.percent.keys()
            and all(np.array_equal(p, other.percent[n]) for n, p in self.percent.items())
        )


class _Planes(DrawnPlanes):
    """What is proposed of one class, as it is when looked at."""

    def __init__(self, shape: tuple[int, ...], name: str, suggestions: Suggestions) -> None:
        super().__init__(shape)
        self._name, self._suggestions = name, suggestions
        self._blank = np.zeros(shape[1:], np.uint8)

    def frame(self, index: int) -> NDArray[np.uint8]:
        found = self._suggestions.plane(self._name, index)
        return self._blank if found is None else found


class Suggestions:
    """Lets the active model propose on each frame that is looked at.

    What is proposed is an overlay, nobody's marks, until it is accepted. What the person has
    marked, before or since, is never proposed again, nor where they erased since; nor is a class
    that they have reviewed on that frame.

    Parameters
    ----------
    session : Session
        Where to propose.

    Attributes
    ----------
    on : bool
        Whether the model proposes.
    model : str
        Folder of a run to use in place of the cohort's active model; empty for that one.
    learning : bool
        Whether the model learns from the marks of the clip, for this clip alone.
    note : str
        How things stand on the frame on show, in a sentence.
    """

    changed: ClassVar[Signal] = Signal()
    """Whether it is on, what it proposes on the frame on show, or the note."""
    wanted: ClassVar[Signal] = Signal()
    """The model is to be asked: see :meth:`work`."""
    redrawn: ClassVar[Signal] = Signal()
    """What the overlay shows changed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._record = OfferRecord(session)
        self.on = False
        self.model = ""
        # On with the suggestions: who corrects one expects the next frame to know of it.
        self.learning = True
        self._edits = 0
        self.note = ""
        self._caution = ""  # said last of the model
        self._weights = ""  # of the model that answered last
        self._proposals: dict[int, Proposal] = {}
        self._replayed: Edit | None = None
        self._smalls: SmallFrames | None = None  # of the clip, once asked
        events = session.events
        self._links = Links(
            (events.clip, self._on_clip),
            (events.frame, self._on_place),
            (events.playing, self._on_place),
            (session.access.changed, self._on_place),
            (session.sector_changed, self._on_sector),
            (session.editor.replayed, self._on_replayed),
            (session.editor.edited, self._on_edited),
            failed=to_message(session),
        )

    @property
    def title(self) -> str:
        """What people call the model that proposed on the frame on show; empty before it did."""
        proposal = self._proposals.get(self._session.view().frame)
        return "" if proposal is None else proposal.title

    # ---- on and off -----------------------------------------------------------------------

    def why_not(self) -> str:
        """Return why nothing may be proposed on this clip, in a sentence; empty if it may."""
        session = self._session
        if session.clip is None or session.cohort is None:
            return "Open a clip first."
        visibility = session.access.visibility()
        if not visibility.sees("model"):
            return visibility.why()
        return session.editor.why_read_only

    def toggle(self) -> None:
        """Propose from now on, or no longer; what was dismissed here is proposed once more."""
        here = self._proposals.get(self._session.view().frame)
        if self.on and (here is None or not here.decided):
            self.set_on(False)
            return
        if here is not None:
            here.decided = False
            here.dropped.clear()
        self.set_on(True)

    def set_on(self, on: bool) -> None:
        """Propose from now on, or no longer."""
        why = self.why_not() if on else ""
        if why:
            self._session.message = why
        self.on = on and not why
        self._refresh()

    def set_learning(self, on: bool) -> None:
        """Learn from the marks of the clip, or propose as the model was fitted."""
        if on != self.learning:
            self.learning = on
            self._edits += 1  # what was proposed is of another model
            self._refresh()

    def fail(self, error: Exception) -> None:
        """Take note that the model gave no answer: nothing is proposed until asked again."""
        self.on = False
        self._session.message = str(error)
        self._refresh()
        self.note = str(error)
        self.changed.emit()

    # ---- what is proposed -----------------------------------------------------------------

    def plane(self, class_name: str, frame: int) -> NDArray[np.uint8] | None:
        """Return what is proposed of a class on a frame, ``uint8 (Y, X)``; None for nothing."""
        proposal, session = self._proposals.get(frame), self._session
        if not self.on or proposal is None or proposal.decided or session.playing:
            return None
        if self._is_withheld(frame):
            return None
        percent = proposal.percent.get(class_name)
        if percent is None or class_name not in session.planes:
            return None
        if session.status[frame, session.class_index(class_name)] == Status.REVIEWED:
            return None
        open_ = session.planes[class_name][frame] == 0
        if class_name in proposal.dropped:
            open_ &= ~proposal.dropped[class_name]
        return np.where(open_, percent, np.uint8(0))

    def here(self) -> dict[str, NDArray[np.uint8]]:
        """Return what is proposed on the frame on show and can be accepted, by class."""
        session, threshold = self._session, self._session.model_threshold
        able = session.view().visible - session.locked
        found = {}
        for spec in session.classes:
            plane = self.plane(spec.name, session.view().frame) if spec.name in able else None
            if plane is not None and bool((plane >= threshold).any()):
                found[spec.name] = plane
        return found

    def work(self) -> SuggestWork | None:
        """Return what the model is to be asked now; None if nothing."""
        session = self._session
        frame = session.view().frame
        if not self._due(frame) or session.clip is None or session.cohort is None:
            return None
        if self._smalls is None:
            self._smalls = SmallFrames(session.clip)
        return SuggestWork(
            session.planes,
            session.cohort,
            session.clip,
            self._asked(frame),
            self.model,
            self._marks(frame),
            self._edits,
            self._smalls,
            session.model_threshold,
        )

    def _due(self, frame: int) -> bool:
        return self._may_propose() and bool(self._asked(frame))

    def _asked(self, frame: int) -> tuple[int, ...]:
        """Return the frame on show if it waits, else those beside it that do."""
        beside = (frame + 1, frame - 1)
        inside = [t for t in beside if 0 <= t < len(self._session.status)]
        return (frame,) if self._is_stale(frame) else tuple(filter(self._is_stale, inside))

    def _is_stale(self, frame: int) -> bool:
        known = self._proposals.get(frame)
        done = known is not None and (
            known.decided or (known.edits == self._edits and not known.partial)
        )
        return not done and not self._is_withheld(frame)

    def _marks(self, frame: int) -> Marks:
        """Return copies of what was marked on the frames nearest to `frame`."""
        session = self._session
        if not self.learning:
            return Marks()
        names = [c.name for c in session.classes]
        reviewed = session.status == Status.REVIEWED
        # A class that is marked nowhere is not learnt: its absence may be that of time.
        used = session.marked.any(axis=0)
        there = ((session.marked | reviewed) & used).any(axis=1)
        near = sorted(np.flatnonzero(there).tolist(), key=lambda t: abs(t - frame))[:TAUGHT]
        planes = {
            (i, names[c]): session.planes[names[c]][t].copy()
            for i, t in enumerate(near)
            for c in np.flatnonzero(session.marked[t]).tolist()
        }
        known = tuple(
            (i, names[c])
            for i, t in enumerate(near)
            for c in np.flatnonzero(reviewed[t] & used).tolist()
        )
        strokes = sum(bool(s.pixels) and not s.undone for s in session.strokes)
        return Marks(tuple(near), planes, known, strokes)

    def _is_withheld(self, frame: int) -> bool:
        session = self._session
        if session.clip is None or session.cohort is None:
            return False
        return is_withheld(session.cohort.meta, session.clip.name, frame)

    def _may_propose(self) -> bool:
        return self.on and not self._session.playing and not self.why_not()

    def land(self, work: SuggestWork, answer: Answer | None) -> None:
        """Take the answer to `work`, unless the clip is another by now."""
        session = self._session
        if answer is None or session.planes is not work.owner or not self.on:
            return
        message = answer.message
        if not isinstance(message, Suggested):
            return
        if answer.restarted:
            session.message = RESTARTED
        if answer.caution and answer.caution != self._caution:  # once, not on each frame
            session.message = (
                f"{answer.caution}. Suggestions come from {model_words(message.name)}."
            )
        self._caution = answer.caution
        names = {c.name for c in session.classes}
        if not names & set(message.classes):
            self.on = False
            self._refresh()
            self.note = (
                f"The model {message.name} knows {', '.join(message.classes)}: no class of this "
                "study is among them."
            )
            self.changed.emit()
            return
        inside = insonated(work.clip.meta.sector, work.clip.shape[1:])
        news, edits = False, work.edits
        weights, _, _ = message.version.partition("+")
        if self._weights not in ("", weights):  # another model: what that one proposed is renewed
            edits += int(edits == self._edits)
            self._edits += 1
        self._weights = weights
        for i, frame in enumerate(work.frames):
            old = self._proposals.get(frame)
            if old is not None and old.decided:
                continue  # what was decided is what was seen
            made = Proposal(
                {
                    name: np.where(inside, plane, np.uint8(0))
                    for name, plane in zip(
                        message.classes, answer.arrays["percent"][i], strict=True
                    )
                    if name in names
                },
                slug_of(message.name),
                message.version,
                message.name,
                {} if old is None else old.dropped,
                edits=edits,
                partial=message.partial,
            )
            news |= old is None or not made.says_the_same(old)
            self._proposals.pop(frame, None)  # the newest last
            self._proposals[frame] = made
        while len(self._proposals) > _KEPT:
            del self._proposals[next(iter(self._proposals))]
        if news:
            self._refresh()
        elif self._due(session.view().frame):  # nothing to draw, but more to ask
            self.wanted.emit()

    # ---- what the person does with it -----------------------------------------------------

    def accept(self) -> Stroke | None:
        """Make what is proposed on the frame on show one's own, as one edit.

        At the model's own confidence, from the threshold on from which its marks show, in the
        classes that are shown and not locked. The frame does not become reviewed.
        """
        found = self.here()
        if not found:
            self._session.message = self._nothing()
            return None
        proposal = self._proposals[self._session.view().frame]
        stroke = self._take(found, "whole" if self._is_whole(proposal, found) else "rest")
        if stroke is not None:
            proposal.decided = True
            self._refresh()
        return stroke

    def accept_region(self, place: tuple[int, int] | None = None) -> Stroke | None:
        """Make the region at a pixel one's own; of the class being painted where several are.

        Parameters
        ----------
        place : tuple of int, optional
            (y, x); the pixel under the mouse if not given.
        """
        region = self._region(place)
        if region is None:
            self._session.message = "Nothing is suggested there. Point at a hatched region."
            return None
        name, where = region
        stroke = self._take({name: np.where(where, self.here()[name], np.uint8(0))}, "region")
        self._refresh()
        return stroke

    def dismiss(self) -> None:
        """Put away what is proposed on the frame on show; recorded."""
        frame = self._session.view().frame
        proposal = self._proposals.get(frame)
        if not self.on or proposal is None or proposal.decided:
            self._session.message = self._nothing()
            return
        proposal.decided = True
        self._record.note(frame, "dismissed", proposal.source, proposal.version)
        self._refresh()

    def _take(
        self,
        planes: Mapping[str, NDArray[np.uint8]],
        part: Literal["whole", "rest", "region"],
    ) -> Stroke | None:
        session = self._session
        frame = session.view().frame
        proposal = self._proposals[frame]
        names = [c.name for c in session.classes]
        return session.acceptor.accept(
            lambda _frame, c: planes.get(names[c]),
            [session.class_index(name) for name in planes],
            [frame],
            session.model_threshold,
            proposal.source,
            proposal.version,
            title=proposal.title,
            by_hand=ByHand.ADD,
            part=part,
        )

    def _is_whole(self, proposal: Proposal, found: Collection[str]) -> bool:
        """Whether nothing was painted over, taken or erased of what the classes were given."""
        threshold, here = self._session.model_threshold, self.here()
        return all(
            bool(((here[name] >= threshold) == (proposal.percent[name] >= threshold)).all())
            for name in found
        )

    def _region(self, place: tuple[int, int] | None) -> tuple[str, NDArray[np.bool_]] | None:
        session = self._session
        place = session.toolkit.marker.pointed() if place is None else place
        height, width = session.clip.shape[1:] if session.clip is not None else (0, 0)
        if place is None or not (0 <= place[0] < height and 0 <= place[1] < width):
            return None
        found = self.here()
        at = {n: int(p[place]) for n, p in found.items() if p[place] >= session.model_threshold}
        if not at:
            return None
        name = session.class_name if session.class_name in at else max(at, key=lambda n: at[n])
        pieces, _ = ndimage.label(found[name] >= session.model_threshold, _AROUND)
        return name, pieces == pieces[place]

    def _nothing(self) -> str:
        if not self.on:
            return "Suggestions are off: switch them on first."
        return self.note or "Nothing is suggested on this frame."

    # ---- changes of the session -----------------------------------------------------------

    def _on_clip(self, *_: object) -> None:
        self._proposals.clear()
        self._smalls = None
        self._refresh()

    def _on_place(self, *_: object) -> None:
        self._refresh()

    def _on_sector(self) -> None:
        self._edits += 1  # what was proposed is cut to another one
        self._refresh()

    def _on_replayed(self, edit: Edit) -> None:
        self._replayed = edit

    def _on_edited(self, edit: Edit) -> None:
        replayed, self._replayed = self._replayed, None
        if self.learning and (edit.patches or edit.status):
            self._edits += 1
        for patch in edit.patches:
            proposal = self._proposals.get(patch.frame)
            if proposal is None:
                continue
            if edit is replayed:
                self._settle(patch.frame, proposal, edit.accepted)
                continue
            erased = (patch.after == 0) & (patch.before != 0)
            if erased.any():
                name = self._session.classes[patch.class_index].name
                blank = np.zeros(self._session.planes[name].shape[1:], np.bool_)
                dropped = proposal.dropped.setdefault(name, blank)
                h, w = erased.shape
                dropped[patch.y : patch.y + h, patch.x : patch.x + w] |= erased
        self._record.note_edited({patch.frame for patch in edit.patches})
        if self._proposals and (edit.patches or edit.status):
            self._refresh()

    def _settle(self, frame: int, proposal: Proposal, accepted: Acceptance | None) -> None:
        """Show again what was accepted and then undone, and the other way about."""
        if accepted is None or accepted.version != proposal.version:
            return
        proposal.decided = any(
            s.accepted is not None
            and not s.undone
            and s.frame == frame
            and s.accepted.version == proposal.version
            and s.accepted.part != "region"
            for s in self._session.strokes
        )

    def _refresh(self) -> None:
        """Bring overlay, note and record to what is so now, and ask for what is missing."""
        if self._session.clip is None:  # and no planes: whoever listens must not look at any
            self.note = ""
            self.changed.emit()
            return
        if self.on and self.why_not():
            self.on = False
        self._show_overlay()
        self.note = self._describe()
        self.redrawn.emit()
        self.changed.emit()
        if self._due(self._session.view().frame):
            self.wanted.emit()

    def _show_overlay(self) -> None:
        session = self._session
        shown = next((o for o in session.overlays if o.name == OVERLAY), None)
        if not self.on:
            if shown is not None:
                session.others.hide(OVERLAY)
            return
        frame = session.view().frame
        if self._is_withheld(frame):
            if not session.playing:
                self._record.note(frame, "withheld")
            return
        proposal = self._proposals.get(frame)
        if proposal is None or session.clip is None:
            return
        if shown is None or shown.planes.keys() != proposal.percent.keys():
            shape = session.clip.shape
            planes = {n: _Planes(shape, n, self) for n in proposal.percent}
            overlay = Overlay(
                OVERLAY,
                "Suggestion",
                "model",
                cast("dict[str, NDArray[np.uint8]]", planes),  # looked at frame by frame
                stored=False,
            )
            try:
                session.others.show_overlay(overlay)
            except (BlindedError, StoreError) as error:
                self.on = False
                session.message = str(error)
                return
        if not proposal.decided:
            self._record.note(frame, "shown", proposal.source, proposal.version)

    def _describe(self) -> str:
        session = self._session
        if not self.on:
            return ""
        frame = session.view().frame
        if session.playing:
            return "While playing nothing is suggested."
        if self._is_withheld(frame):
            return "On this frame suggestions are withheld: mark it by your own eye."
        proposal = self._proposals.get(frame)
        if proposal is None:
            return "Asking the model …"
        if proposal.decided:
            return "Decided on this frame."
        names = [c.name for c in session.classes if c.name in proposal.percent]
        done = session.status[frame, [session.class_index(n) for n in names]] == Status.REVIEWED
        if done.all():
            return "This frame is reviewed: nothing is suggested."
        labels = [c.label for c in session.classes if c.name in self.here()]
        if not labels:
            return f"Nothing of {session.model_threshold} % or more on this frame."
        return f"On this frame: {', '.join(labels)}."
