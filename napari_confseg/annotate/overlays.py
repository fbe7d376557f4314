"""Other raters' planes, shown beside one's own and never written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.annotate.access import BlindedError
from napari_confseg.store import rater_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_confseg.annotate.session import Session
    from napari_confseg.store import (
        AnyPlanes,
        ClassSpec,
        Clip,
        Cohort,
        CohortMeta,
        Guarantee,
        RaterKind,
    )


class Overlay:
    """One other rater on the clip, as read at one moment.

    Attributes
    ----------
    name, label, kind : str
        Slug, what people read, and key of :data:`~napari_confseg.store.RATER_KINDS`.
    planes : mapping of str to ndarray of uint8 (T, Y, X), or PackedPlanes
        By class, read-only; only classes that this rater marked.
    stored : bool
        Whether it is a rater of the clip, rather than something shown that is not stored.
    guarantee : Guarantee or None
        What a model's planes come with.
    """

    def __init__(
        self,
        name: str,
        label: str,
        kind: RaterKind,
        planes: Mapping[str, AnyPlanes],
        *,
        stored: bool = True,
        guarantee: Guarantee | None = None,
    ) -> None:
        self.name = name
        self.label = label
        self.kind = kind
        self.planes = planes
        self.stored = stored
        self.guarantee = guarantee

    @property
    def title(self) -> str:
        """What lists call it."""
        return rater_label(self.name, self.label, self.kind)


def promise_in_words(label: str, guarantee: Guarantee, classes: Sequence[ClassSpec]) -> str:
    """Return what a model's contours promise, and what they don't, in a sentence or two."""
    g, labels = guarantee, {c.name: c.label for c in classes}
    panel = ", ".join(g.panel)
    said = (
        f"{label}: between its contours lies what {panel} mark within the sector, in "
        f"{g.level}\u00a0% of patients, but for {g.allowed}\u00a0% of the area; measured on "
        f"{g.patients} patients of {g.source}."
    )
    for which in ("inner", "outer"):
        none = [labels.get(c, c) for c, b in g.bands.items() if getattr(b, which) is None]
        if none:
            said += f" No {which} contour holds for {', '.join(none)}."
    return said


def load_overlay(clip: Clip, name: str, cohort: CohortMeta) -> Overlay:
    """Return the planes of rater `name` on `clip` as they are in the store now.

    Raises
    ------
    StoreError
        If there is no such rater, or its planes cannot be read.
    """
    rater = clip.rater(name)
    marked = sorted({c for _, c in rater.stored_chunks()})
    planes = dict(
        zip([cohort.classes[c].name for c in marked], rater.read_packed(marked), strict=True)
    )
    for packed in planes.values():
        packed.writeable = False
    meta = rater.meta
    return Overlay(name, meta.label, meta.kind, planes, guarantee=meta.guarantee)


class OtherRaters:
    """Shows other raters on the open clip of a session, and hides them.

    Parameters
    ----------
    session : Session
        Whose ``overlays`` they become.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def show(self, name: str) -> None:
        """Show the planes of rater `name`, as they are in the store now.

        Raises
        ------
        StoreError
            If there is no such rater on the clip.
        BlindedError
            If the person may not see them (yet).
        ValueError
            If no clip is open.
        """
        session = self._session
        if session.cohort is None or session.clip is None:
            raise ValueError("open a clip before showing another rater on it")
        session.access.admit(session.clip.rater(name).meta.kind)
        self._add(load_overlay(session.clip, name, session.cohort.meta))

    def show_overlay(self, overlay: Overlay) -> None:
        """Show marks that are in no rater's planes, such as a consensus not written yet.

        Raises
        ------
        BlindedError
            If the person may not see marks of this kind (yet).
        """
        self._session.access.admit(overlay.kind)
        self._add(overlay)

    def _add(self, overlay: Overlay) -> None:
        session = self._session
        name = overlay.name
        session.overlays_hidden -= {name}
        if any(o.name == name for o in session.overlays):
            session.overlays = tuple(overlay if o.name == name else o for o in session.overlays)
        else:
            session.overlays = (*session.overlays, overlay)

    def hide(self, name: str) -> None:
        """Show rater `name` no longer."""
        session = self._session
        session.overlays = tuple(o for o in session.overlays if o.name != name)

    def read_again(self, cohort: Cohort, clip: Clip, names: Sequence[str]) -> Iterator[Overlay]:
        """Yield those of the raters called `names` that marked `clip`, and may be seen there."""
        there = set(clip.raters()) if names else set()
        for name in names:
            if name not in there:
                continue
            overlay = load_overlay(clip, name, cohort.meta)
            try:
                self._session.access.admit(overlay.kind)
            except BlindedError:  # shown on the clip before, not to be seen on this one
                continue
            yield overlay

    def hide_unseen(self) -> None:
        """Show no longer whoever may not be seen (any more)."""
        session = self._session
        visibility = session.access.visibility()
        session.overlays = tuple(o for o in session.overlays if visibility.sees(o.kind))
