"""Where raters are furthest apart."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_confseg.dataset.scores import Agreement, SoftScore

MOST = 12
"""How many are shown."""


def worst_first(agreement: Agreement, number: int = MOST) -> list[SoftScore]:
    """Return the frames furthest apart, largest first.

    At most two of a clip and class, and no class more than a third: the largest structures would
    fill the list.
    """
    rows = [s for c in agreement.clips for s in c.soft if s.worst_frame is not None]
    rows.sort(key=lambda s: (-s.worst_pixels, s.clip, s.class_name, s.a, s.b))
    here: Counter[tuple[str, str]] = Counter()
    of_class: Counter[str] = Counter()
    chosen = []
    for row in rows:
        key = (row.clip, row.class_name)
        if here[key] < 2 and of_class[row.class_name] < max(1, number // 3):
            here[key] += 1
            of_class[row.class_name] += 1
            chosen.append(row)
    return chosen[:number]
