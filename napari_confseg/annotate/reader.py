"""Who is at the session: the reader that is chosen, the role, and as whom a clip is painted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from napari_confseg.annotate.access import Role
from napari_confseg.annotate.preferences import Preferences, slug_of
from napari_confseg.store import RATER_KINDS

if TYPE_CHECKING:
    from napari_confseg.annotate.session import Session
    from napari_confseg.store import RaterKind


class RaterIdentity(NamedTuple):
    """As whom a clip is open."""

    kind: RaterKind
    label: str  # what people read
    learnt: bool  # whether it is learnt from where nobody is named


def label_of(rater: str, adjudicator: str) -> str | None:
    """Return what people are to read as the name of `rater`; None if only the slug is known."""
    if adjudicator:
        return f"Adjudicated by {adjudicator}"[:80]
    person = Preferences.load().reader
    return person if person and slug_of(person) == rater else None


class ReaderChoice:
    """Chooses the person who reads in a session.

    Parameters
    ----------
    session : Session
        Whose ``rater`` that becomes.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def choose(self, name: str) -> str:
        """Paint from now on as the reader called `name`; return the slug.

        Raises
        ------
        ValueError
            If no slug can be made of the name.
        StoreError
            If in the open cohort it is the name of a program's rater, or an adjudicated one.
        """
        session = self._session
        slug = slug_of(name)
        # It asks every clip. Who has read here before, under the same name, was no program.
        if session.cohort is not None and not session.places.has_been(session.cohort, slug):
            session.cohort.check_name(slug, "human")
        preferences = Preferences.load().model_copy(update={"reader": name.strip()})
        preferences.save()
        if slug != session.rater:
            clip, frame = session.clip, session.frame
            session.rater, session.adjudicator = slug, ""
            session.access.set_role(preferences.roles.get(slug, Role.READER))
            if clip is not None:
                session.open_clip(clip.name)
                session.frame = frame
        return slug

    def choose_role(self, role: Role) -> None:
        """Be here as a reader or as a reviewer from now on; remembered for this reader."""
        session = self._session
        Preferences.load().with_role(session.rater, role).save()
        session.access.set_role(role)

    def identity(self) -> RaterIdentity:
        """Return as whom the open clip, or the next one, is painted."""
        session = self._session
        meta = session.editor.meta
        if meta is not None:
            return RaterIdentity(meta.kind, meta.label, meta.learnt)
        kind: RaterKind = "adjudicated" if session.adjudicator else "human"
        label = label_of(session.rater, session.adjudicator) or session.rater
        return RaterIdentity(kind, label, RATER_KINDS[kind].learnt)
