"""The place in a cohort to which a reader comes back: clip, frame, and what was in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.annotate.preferences import LastPlace

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session
    from napari_confseg.store import Clip, Cohort


class PlaceKeeper:
    """Keeps the places of one session's readers on this computer.

    While somebody adjudicates nothing is kept: the list of disagreements says where to go.

    Parameters
    ----------
    session : Session
        Whose places.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._of: tuple[str, str] | None = None  # cohort and reader that `_place` belongs to
        self._place = self._saved = LastPlace()
        self._clip = ""  # the one open under that name; empty if none is

    def last_clip(self, cohort: Cohort, rater: str) -> str:
        """Return the clip that `rater` had open last in a cohort; empty if there was none."""
        of = cohort.meta.cohort_id, rater
        return self._place.clip if of == self._of else LastPlace.load(*of).clip

    def has_been(self, cohort: Cohort, rater: str) -> bool:
        """Whether `rater` has read in a cohort on this computer before."""
        return bool(self.last_clip(cohort, rater))

    def recall(
        self, cohort: Cohort, clip: Clip, rater: str, *, adjudicating: bool
    ) -> dict[str, object]:
        """Return the settings with which a clip is to be opened, the frame among them."""
        if adjudicating:
            self._clip = ""
            return {"frame": 0}
        settings: dict[str, object] = {}
        of = cohort.meta.cohort_id, rater
        if of != self._of:
            self._of, self._place = of, LastPlace.load(*of)
            self._saved = self._place
            if self._place.clip:
                settings = self._place.model_dump(exclude={"clip", "frames"})
                if self._place.class_name not in [c.name for c in cohort.meta.classes]:
                    del settings["class_name"]
        self._clip = clip.name
        frame = min(self._place.frames.get(clip.name, 0), clip.shape[0] - 1)
        return {"frame": frame, **settings}

    def keep(self) -> None:
        """Write down where the reader is, if that is elsewhere than before."""
        if not self._clip or self._of is None:
            return
        session = self._session
        self._place = LastPlace(
            clip=self._clip,
            frames={**self._place.frames, self._clip: session.frame},
            class_name=session.class_name,
            tool=session.m_mode.tool_beneath,
            confidence=session.confidence,
            brush_size=session.brush_size,
        )
        if self._place != self._saved:
            self._saved = self._place
            self._place.save(*self._of)

    def leave(self) -> None:
        """Write it down for the last time: the clip is being closed."""
        self.keep()
        self._clip = ""
