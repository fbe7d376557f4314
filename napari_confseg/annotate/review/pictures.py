"""Small pictures of disagreements: the place on the frame with the raters' contours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_confseg.annotate.hatch import outline
from napari_confseg.store import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.disagreement import Event
    from napari_confseg.agreement.rater_view import RaterView
    from napari_confseg.store import Clip, Spacing

SURROUND: Final = 1.5
"""How many times the size of a disagreement its picture shows."""

SMALLEST: Final = 32
"""Pixels of the clip that a picture shows at least: less could not be recognised."""


def picture_of(
    clip: Clip,
    event: Event,
    raters: Sequence[tuple[RaterView, str]],
    threshold: int,
    color: str,
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    """Return the place of a disagreement where it is largest, ``uint8 (h, w, 3)``.

    Parameters
    ----------
    clip : Clip
        Read only: one frame, and a plane of each rater.
    event : Event
        The disagreement.
    raters : sequence of (RaterView, str)
        Those compared, with their colours ``"#rrggbb"``.
    threshold : int
        Confidence from which a rater counts as marking.
    color : str
        ``"#rrggbb"`` of the class, which tints the disagreement itself.
    size : tuple of int
        (h, w) of the picture.
    """
    region = event.worst
    ys, xs = _sampled(region.box, size, clip.shape[1:])
    grey = np.asarray(clip.frames[region.frame])[np.ix_(ys, xs)]
    picture = np.repeat(grey[..., None], 3, axis=2)
    here = np.zeros(clip.shape[1:], np.bool_)
    y0, x0, y1, x1 = region.box
    here[y0:y1, x0:x1] = region.mask
    inside = here[np.ix_(ys, xs)]
    picture[inside] = (picture[inside] + np.array(_rgb(color), np.uint16)) // 2
    for view, line in raters:
        plane = view.plane(region.frame, event.class_index)
        if plane is None:
            continue
        seen = plane[np.ix_(ys, xs)]
        edge = outline((seen >= threshold) & (seen != EXCLUDED))
        picture[edge] = _rgb(line)
    # Several B-lines side by side make pictures that are alike: what is beside this one is darker.
    rows, columns = (ys >= y0) & (ys < y1), (xs >= x0) & (xs < x1)
    picture[~(rows[:, None] & columns)] //= 3
    return picture


def _rgb(color: str) -> list[int]:
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def _sampled(
    box: tuple[int, int, int, int], size: tuple[int, int], shape: Sequence[int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of a clip that make a picture of `size` around `box`."""
    y0, x0, y1, x1 = box
    each = max(
        SURROUND * (y1 - y0) / size[0], SURROUND * (x1 - x0) / size[1], SMALLEST / min(size)
    )  # pixels of the clip to one of the picture
    each = min(each, shape[0] / size[0], shape[1] / size[1])
    found = []
    for middle, n, most in (((y0 + y1) / 2, size[0], shape[0]), ((x0 + x1) / 2, size[1], shape[1])):
        first = min(max(middle - each * n / 2, 0), most - each * n)
        at = np.floor(first + (np.arange(n) + 0.5) * each).astype(np.intp)
        found.append(np.clip(at, 0, most - 1))
    return found[0], found[1]


def area_in_words(event: Event, spacing: Spacing | None) -> str:
    """Return the area of a disagreement on the frame where it is largest, in mm² if known."""
    area = max(r.area for r in event.regions)
    if spacing is None:
        return f"{area:,} px"
    square = area * spacing.y * spacing.x
    return f"{square:,.0f} mm²" if square >= 10 else f"{square:.1f} mm²"
