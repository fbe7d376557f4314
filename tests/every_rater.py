"""Cohorts with a rater of every kind, made as the product makes them or written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store import RATER_KINDS, Imported, RaterKind, Status

if TYPE_CHECKING:
    from napari_confseg.store import Cohort, Rater

READERS = ("anna", "bert")
"""Two people, so that somebody can be compared."""


def name_of(kind: RaterKind) -> str:
    """The slug of the rater of a kind."""
    return {"human": "anna", "adjudicated": "adjudicated"}.get(kind, f"the-{kind}")


def add_rater(cohort: Cohort, clip: str, kind: RaterKind, name: str = "", at: int = 10) -> Rater:
    """Add a rater who has marked a box on every frame and reviewed every class."""
    rater = cohort.clip(clip).create_rater(
        name or name_of(kind),
        kind=kind,
        label="Adjudicated by anna" if kind == "adjudicated" else None,
        adjudicator="anna" if kind == "adjudicated" else None,
        run="run-1" if kind == "model" else None,
        imported=Imported(format="coco", made_by="a firm") if kind == "imported" else None,
    )
    plane = np.zeros(rater.shape[2:], np.uint8)
    plane[at : at + 15, at : at + 20] = 70
    for frame in range(rater.shape[0]):
        rater.write_plane(frame, 2, plane)
    rater.write_status(np.full(rater.shape[:2], Status.REVIEWED, np.uint8))
    return rater


def add_every_kind(cohort: Cohort, *kinds: RaterKind) -> None:
    """Put two readers on every clip, and a rater of each of `kinds` (of all, if none)."""
    for clip in cohort.clips():
        for at, reader in enumerate(READERS):
            add_rater(cohort, clip, "human", reader, at=10 + 4 * at)
        for kind in kinds or RATER_KINDS:
            if kind != "human":
                add_rater(cohort, clip, kind)
