"""Which frames lie between those that were painted and one on which a model is to propose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

REACH: Final = 24
"""Steps from frame to frame along which marks are carried; what is farther tells too little."""


def path_between(asked: Sequence[int], taught: Collection[int]) -> tuple[int, ...]:
    """Return the frames along which marks are carried from painted frames, the nearest first.

    Parameters
    ----------
    asked : sequence of int
        Frames on which is to be proposed, which lie side by side; the first is the middle.
    taught : collection of int
        Painted frames.

    Returns
    -------
    tuple of int
        From `asked` to each painted frame in reach, both ends included; empty if none is in reach.
    """
    near = [t for t in taught if any(t != a and abs(t - a) <= REACH for a in asked)]
    if not near:
        return ()
    ends = [*near, *asked]
    return tuple(sorted(range(min(ends), max(ends) + 1), key=lambda t: (abs(t - asked[0]), t)))
