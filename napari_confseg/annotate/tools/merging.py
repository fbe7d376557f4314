"""Merging of a proposal into a plane, and the edit that results."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.annotate.patches import patch_between
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE, Edit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray


class Merge(StrEnum):
    """What happens to a pixel that has a confidence already when another is proposed.

    Whatever the rule: where nothing is proposed nothing changes, and excluded pixels stay
    excluded. All three are idempotent; raising and lowering do not depend on the order of
    proposals.
    """

    REPLACE = "replace"
    """The proposal counts."""
    RAISE = "raise"
    """The higher counts; an unmarked pixel takes the proposal."""
    LOWER = "lower"
    """The lower counts; an unmarked pixel stays so: that there is no mark is less than any."""


def merged(
    plane: NDArray[np.uint8], proposal: NDArray[np.uint8], rule: Merge = Merge.REPLACE
) -> NDArray[np.uint8]:
    """Return `plane` after `proposal`, ``uint8``, a new array.

    Parameters
    ----------
    plane : ndarray of uint8
        0..100, 255 excluded; any shape.
    proposal : ndarray of uint8
        Of the same shape; 0 says nothing, 1..100 a confidence.
    rule : Merge
        See there.

    Raises
    ------
    ValueError
        If the shapes differ or a proposal is above 100.
    """
    if plane.shape != proposal.shape or proposal.max(initial=0) > MAX_CONFIDENCE:
        raise ValueError(
            f"a proposal does not fit its plane: expected shape {plane.shape} and values 0..100, "
            f"found {proposal.shape} up to {int(proposal.max(initial=0))}"
        )
    open_ = (proposal > 0) & (plane != EXCLUDED)
    if rule is Merge.RAISE:
        open_ &= proposal > plane
    elif rule is Merge.LOWER:
        open_ &= proposal < plane
    return np.where(open_, proposal, plane)


@dataclass(frozen=True, eq=False)
class Change:
    """One plane of one frame before and after a tool."""

    class_index: int
    frame: int
    before: NDArray[np.uint8]  # uint8 (Y, X)
    after: NDArray[np.uint8]  # uint8 (Y, X)


def edit_from(
    changes: Iterable[Change],
    *,
    confidence: int,
    tool: str,
    class_index: int,
    frame: int,
    locked: Collection[int] = frozenset(),
) -> Edit | None:
    """Return the one edit that makes all `changes`, or None if nothing changes.

    Parameters
    ----------
    changes : iterable of Change
        Consumed one by one, so that a clip's worth need not be in memory at once.
    confidence, tool, class_index, frame
        For the record; see :class:`~napari_confseg.store.Edit`.
    locked : collection of int
        Classes whose planes are left as they are.
    """
    found = (
        patch_between(c.class_index, c.frame, c.before, c.after)
        for c in changes
        if c.class_index not in locked
    )
    patches = tuple(p for p in found if p is not None)
    return Edit(patches, confidence, tool, class_index, frame) if patches else None
