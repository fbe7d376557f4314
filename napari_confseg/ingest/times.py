"""When each frame was, in seconds from the first."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from napari_confseg.ingest.decoded import ASSUMED_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

NOT_FROM_SOURCE = "frame-times-from-rate"
ASSUMED = "frame-rate-assumed"


def frame_times(
    stated: Sequence[float | None], rate: float | None, wished: float | None = None
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return frame times that rise strictly from 0, and tags that say what is not certain.

    Parameters
    ----------
    stated : sequence of float or None
        Seconds as the source gives them, one a frame; a variable rate is kept.
    rate : float or None
        The source's average frames a second; used where `stated` has gaps or doesn't rise.
    wished : float, optional
        The person's word, used where the source has neither; 25 a second if not given.
    """
    known = [s for s in stated if s is not None]
    if len(known) == len(stated) > 1 and all(b > a for a, b in pairwise(known)):
        return tuple(round(s - known[0], 9) for s in known), ()
    if len(stated) == 1:
        return (0.0,), ()
    tags = (NOT_FROM_SOURCE,) if rate else () if wished else (ASSUMED,)
    used = rate or wished or ASSUMED_RATE
    return tuple(round(i / used, 9) for i in range(len(stated))), tags
