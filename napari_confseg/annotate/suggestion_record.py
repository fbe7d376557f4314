"""What came of a model's suggestions, in the reader's notes on the clip."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from napari_confseg.store import Offer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Literal

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Stroke


def outcome_of(
    strokes: Iterable[Stroke], frame: int, model: str
) -> Literal["shown", "accepted", "changed"]:
    """Return what came of a model's suggestion on a frame, from the strokes on its clip. Pure.

    It is changed if it was taken in part, or if what was taken was edited afterwards on the same
    frame and in the same classes, by whatever tool.
    """
    outcome: Literal["shown", "accepted", "changed"] = "shown"
    taken: set[int] = set()
    for stroke in strokes:
        classes = {c for t, c in stroke.touched if t == frame and not stroke.undone}
        accepted = stroke.accepted
        if classes and accepted is not None and accepted.source == model:
            whole = accepted.part == "whole" and not taken
            outcome = "accepted" if whole else "changed"
            taken |= classes
        elif classes & taken:
            outcome = "changed"
    return outcome


class OfferRecord:
    """Notes with the reader, frame by frame, what came of suggestions.

    Parameters
    ----------
    session : Session
        Whose clip and reader.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def note(
        self,
        frame: int,
        outcome: Literal["shown", "dismissed", "withheld"],
        model: str = "",
        version: str = "",
    ) -> None:
        """Note that a suggestion was seen on a frame, put away, or that there was to be none."""
        before = self._session.clip_notes.current.offers.get(frame)
        # What was learnt since from this clip's marks does not make it another model.
        same = before is not None and (
            (before.model, before.version.partition("+")[0]) == (model, version.partition("+")[0])
        )
        if same and before is not None and outcome in ("shown", before.outcome):
            return  # what came of it stays so
        offer = Offer(at=datetime.now(UTC), model=model, version=version, outcome=outcome)
        self._session.clip_notes.update(offers={frame: offer})

    def note_edited(self, frames: Collection[int]) -> None:
        """Note what comes of edits on some frames, whether or not anything is suggested now."""
        notes, found = self._session.clip_notes, {}
        for frame in frames:
            before = notes.current.offers.get(frame)
            if before is None or before.outcome == "withheld":
                continue
            outcome = outcome_of(self._session.strokes, frame, before.model)
            if outcome == before.outcome or (outcome, before.outcome) == ("shown", "dismissed"):
                continue
            at = datetime.now(UTC)
            found[frame] = before.model_copy(update={"at": at, "outcome": outcome})
        if found:
            notes.update(offers=found)
