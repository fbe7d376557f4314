"""Edits for tests: a clip opened, small rectangles on its planes, all of it reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.annotate.patches import patch_between
from napari_confseg.annotate.session import Session
from napari_confseg.store import Edit

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from napari_confseg.store import ClipNotes, Cohort, Stroke


def sit_down(cohort: Cohort, clip: str = "clip-1", *, session: Session | None = None) -> Session:
    """Dr. Ada opens a clip to mark B-lines."""
    session = session or Session()
    session.open_cohort(cohort.location)
    session.reader.choose("Dr. Ada")
    session.open_clip(clip)
    session.class_name = "b-line"
    return session


def review_all(session: Session) -> None:
    """Say of every frame that it is reviewed."""
    for frame in range(len(session.status)):
        session.progress.mark_reviewed(frame)


def rectangle(
    session: Session,
    box: tuple[int, int, int, int],
    *,
    confidence: int = 60,
    class_name: str | None = None,
    frame: int | None = None,
) -> Edit:
    """An edit that sets the box (y0, x0, y1, x1) to `confidence`."""
    frame = session.frame if frame is None else frame
    index = session.class_index(class_name)
    before = session.planes[session.classes[index].name][frame]
    after = before.copy()
    after[box[0] : box[2], box[1] : box[3]] = confidence
    patch = patch_between(index, frame, before, after)
    return Edit((patch,) if patch else (), confidence, "brush", index, frame)


def paint(session: Session, box: tuple[int, int, int, int], **where: object) -> Stroke | None:
    """Commit a rectangle."""
    return session.commit(rectangle(session, box, **where))  # type: ignore[arg-type]


def mark_clips(cohort: Cohort, clips: Iterable[str], box: tuple[int, int, int, int]) -> None:
    """Let Ada paint a box on the first frame of each clip, and review all of it."""
    session = Session(rater="ada")
    session.open_cohort(cohort)
    for name in clips:
        session.open_clip(name)
        paint(session, box, confidence=80)
        review_all(session)
        session.flush()
    session.close_cohort()


def stored_notes(session: Session, clip: str = "clip-1", rater: str = "dr-ada") -> ClipNotes:
    """What a fresh opening of the store holds of a reader's notes."""
    from napari_confseg.store import Cohort

    assert session.cohort is not None
    return Cohort.open(session.cohort.location).clip(clip).rater(rater).read_clip_notes()


def as_stored(session: Session) -> dict[str, np.ndarray]:
    """What a fresh opening of the store holds, by class."""
    from napari_confseg.store import Cohort

    assert session.cohort is not None
    assert session.clip is not None
    rater = Cohort.open(session.cohort.location).clip(session.clip.name).rater(session.rater)
    return {c.name: rater.read_planes(c.index) for c in session.classes}
