"""Frames on which nothing is suggested, to see what suggestions do to reading."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_confseg.store import CohortMeta


def is_withheld(meta: CohortMeta, clip: str, frame: int) -> bool:
    """Whether nothing is suggested on a frame, to anybody.

    Drawn from the cohort's id, the clip's name and the frame's index, so it is the same for
    everybody and for ever; of a larger share the frames of a smaller one are part.
    """
    if not meta.withheld:
        return False
    text = f"{meta.cohort_id}/{clip}/{frame}".encode()
    drawn = int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
    return drawn * 100 < meta.withheld << 64
