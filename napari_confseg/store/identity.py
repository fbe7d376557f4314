"""Who or what writes a rater's planes, and whose name that may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.rater_kinds import RATER_KINDS

if TYPE_CHECKING:
    from napari_confseg.store.rater import Rater
    from napari_confseg.store.rater_kinds import RaterKind
    from napari_confseg.store.schema import Guarantee, Imported


@dataclass(frozen=True)
class Identity:
    """What a rater is made as if there is none of its name yet.

    Attributes
    ----------
    kind : str
        Key of :data:`~napari_confseg.store.RATER_KINDS`.
    label : str or None
        What people read; the slug if None.
    adjudicator : str or None
        Who adjudicates; for an adjudicated rater.
    run : str or None
        The run that makes a model's planes.
    run_sha256 : str or None
        Hash of what that run was told to do, which tells runs of one name apart.
    imported : Imported or None
        Where planes that come from a file are from.
    guarantee : Guarantee or None
        What a model's planes come with.
    """

    kind: RaterKind = "human"
    label: str | None = None
    adjudicator: str | None = None
    run: str | None = None
    run_sha256: str | None = None
    imported: Imported | None = None
    guarantee: Guarantee | None = None


def check_same_kind(clip: str, rater: Rater, wanted: RaterKind) -> None:
    """Refuse to write as `wanted` into planes of another kind.

    Raises
    ------
    StoreError
        If `rater` is of another kind; says what it is and what to do.
    """
    found = rater.meta.kind
    if found == wanted:
        return
    theirs, mine = RATER_KINDS[found], RATER_KINDS[wanted]
    raise StoreError(
        Problem(
            "rater-kind",
            rater.path,
            f"{rater.name!r} is of kind {theirs.label!r} ({theirs.meaning}), not {mine.label!r}",
            hint=f"Choose another name: on {clip} this one is taken.",
        )
    )
