"""Other raters' planes, shown beside one's own and never written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.store import rater_label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_confseg.store import AnyPlanes, Clip, CohortMeta, RaterKind


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
    """

    def __init__(
        self,
        name: str,
        label: str,
        kind: RaterKind,
        planes: Mapping[str, AnyPlanes],
        *,
        stored: bool = True,
    ) -> None:
        self.name = name
        self.label = label
        self.kind = kind
        self.planes = planes
        self.stored = stored

    @property
    def title(self) -> str:
        """What lists call it."""
        return rater_label(self.name, self.label, self.kind)


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
    return Overlay(name, rater.meta.label, rater.meta.kind, planes)
