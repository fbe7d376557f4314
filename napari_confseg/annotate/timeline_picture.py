"""The timeline drawn as an array of pixels: lanes of classes, match, review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_confseg.annotate.timeline import GRIP, UNKNOWN
from napari_confseg.annotate.tools.filling import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.annotate.timeline import Cells

    Color = tuple[int, int, int]

KEYS, TALL, MATCH, REVIEWED, OVERVIEW, GAP = 9, 17, 10, 7, 5, 2
"""Heights of the rows in pixels: marks of painted frames, the lane of the class in hand, match,
review, overview, and what is between them."""

_THIN: Final = (5, 8)
"""Least and greatest height of the other lanes."""

_ALL_THIN: Final = 48
"""Height that the other lanes share, if they do not become too thin."""

APART: Final = 5
"""Pixels from which a frame is drawn apart from the next one."""


@dataclass(frozen=True)
class Rows:
    """Top and bottom of every row, in pixels."""

    lanes: tuple[tuple[int, int], ...]
    match: tuple[int, int]
    reviewed: tuple[int, int]
    overview: tuple[int, int]
    height: int

    @classmethod
    def of(cls, n_lanes: int, tall: int) -> Rows:
        """Return rows for so many lanes, of which `tall` is that of the class in hand."""
        thin = min(max(_ALL_THIN // max(n_lanes - 1, 1), _THIN[0]), _THIN[1])
        lanes, y = [], KEYS
        for i in range(n_lanes):
            height = TALL if i == tall else thin
            lanes.append((y, y + height - 1))
            y += height
        match = (y + GAP - 1, y + GAP - 1 + MATCH)
        reviewed = (match[1] + GAP, match[1] + GAP + REVIEWED)
        overview = (reviewed[1] + GAP, reviewed[1] + GAP + OVERVIEW)
        return cls(tuple(lanes), match, reviewed, overview, overview[1] + 1)

    def scaled(self, ratio: float) -> Rows:
        """Return the rows in the pixels of a screen with `ratio` of them to one of ours."""

        def of(row: tuple[int, int]) -> tuple[int, int]:
            return round(row[0] * ratio), round(row[1] * ratio)

        return Rows(
            tuple(of(r) for r in self.lanes),
            of(self.match),
            of(self.reviewed),
            of(self.overview),
            round(self.height * ratio),
        )


@dataclass(frozen=True)
class Colors:
    """Red, green and blue of what is drawn; `panel` of marks on the panel's own ground.

    The ground is dark in every theme, as the picture's is: classes have colours made for that.
    """

    panel: Color
    text: Color = (240, 241, 242)
    ground: Color = (52, 58, 66)
    between: Color = (28, 30, 35)
    done: Color = (95, 211, 141)
    warn: Color = (244, 193, 93)


@dataclass(frozen=True, eq=False)
class Content:
    """What is drawn of each frame."""

    shown: NDArray[np.uint16]  # (T, lanes), as of `Timeline.shown`
    grip: NDArray[np.uint8]  # (T,), percent or UNKNOWN
    lost: NDArray[np.bool_]  # (T,)
    review: NDArray[np.uint8]  # (T,), as of `review_state`


def draw(
    content: Content,
    cells: Cells,
    rows: Rows,
    lanes: Sequence[Color],
    colors: Colors,
    *,
    ratio: float = 1.0,
) -> NDArray[np.uint8]:
    """Return the timeline without playhead and overview, ``uint8 (height, width, 4)``.

    Painted frames are solid bars with a mark above, carried ones hollow, interpolated ones hatched;
    the higher, the surer. A match that holds is a line, one that does not a solid block.

    Parameters
    ----------
    content : Content
        Of all frames.
    cells : Cells
        Which frames share which pixels; the last edge is the width.
    rows : Rows
        In pixels of the screen.
    lanes : sequence of Color
        Of each lane.
    colors : Colors
        Of all else.
    ratio : float
        Pixels of the screen to one of ours.
    """
    width = int(cells.edges[-1])
    out = np.zeros((rows.height, width, 4), np.uint8)
    out[rows.lanes[0][0] : rows.reviewed[1]] = (*colors.between, 255)
    at = cells.of_pixels()
    line = max(round(ratio), 1)
    wide = np.diff(cells.edges) >= APART * ratio
    # The last pixels of a frame that is wide enough stay empty: frames are told apart.
    x = np.arange(width)
    between = wide[at] & (x >= cells.edges[1:][at] - line)
    side = wide[at] & ((x < cells.edges[:-1][at] + line) | (x >= cells.edges[1:][at] - 2 * line))
    shown = cells.most(content.shown)[at]  # (width, lanes)
    for i, ((top, bottom), color) in enumerate(zip(rows.lanes, lanes, strict=True)):
        box = out[top:bottom]
        box[:] = (*colors.ground, 255)
        origin = np.where(between, Origin.NONE, shown[:, i] >> 8)
        _bars(box, origin, shown[:, i] & 255, side, color, colors, line)
    _keys(out[: round(KEYS * ratio)], cells, content, colors, ratio)
    _match(out[slice(*rows.match)], cells, at, content, colors, line)
    _review(out[slice(*rows.reviewed)], cells.least(content.review)[at], between, colors)
    return out


def _bars(
    box: NDArray[np.uint8],
    origin: NDArray[np.integer],
    confidence: NDArray[np.integer],
    side: NDArray[np.bool_],
    color: Color,
    colors: Colors,
    line: int,
) -> None:
    height, width = box.shape[:2]
    y, x = np.arange(height)[:, None], np.arange(width)
    # What is not sure at all, or excluded, is as low as a hollow bar can be.
    tall = np.maximum(np.ceil(confidence / 100 * height), 3 * line).clip(max=height)
    inside = (y >= height - tall) & (origin > Origin.NONE)
    edge = (y < height - tall + line) | side | (y >= height - line)
    hatched = (x + y) % (4 * line) < 2 * line
    full = (
        (origin == Origin.PAINTED)
        | ((origin == Origin.CARRIED) & edge)
        | ((origin == Origin.INTERPOLATED) & hatched)
    )
    box[inside] = (*_mixed(color, colors.ground, 0.25), 255)
    box[inside & full] = (*color, 255)


def _mixed(color: Color, ground: Color, share: float) -> Color:
    r, g, b = (round(share * c + (1 - share) * d) for c, d in zip(color, ground, strict=True))
    return r, g, b


def _keys(
    box: NDArray[np.uint8], cells: Cells, content: Content, colors: Colors, ratio: float
) -> None:
    """Draw a mark above each painted frame: a diamond, or a line where there is no room."""
    painted = (cells.most(content.shown) >> 8 == Origin.PAINTED).any(axis=1)
    half = round(2.5 * ratio)
    height, width = box.shape[:2]
    middle = height - half - 1
    for i in np.flatnonzero(painted).tolist():
        left, right = int(cells.edges[i]), int(cells.edges[i + 1])
        at = (left + right - 1) // 2
        if right - left < 2 * half + 1:
            box[middle - half : middle + half, left:right] = (*colors.panel, 255)
            continue
        for d in range(-half, half + 1):
            reach = half - abs(d)
            box[middle + d, max(at - reach, 0) : min(at + reach + 1, width)] = (*colors.panel, 255)


def _match(
    box: NDArray[np.uint8],
    cells: Cells,
    at: NDArray[np.int_],
    content: Content,
    colors: Colors,
    line: int,
) -> None:
    height = len(box)
    box[:] = (*_mixed(colors.ground, (128, 128, 128), 0.9), 255)
    match = cells.least(content.grip)[at]
    lost = cells.most(content.lost.astype(np.uint8)).astype(bool)[at]
    y = np.arange(height)[:, None]
    known = match != UNKNOWN
    tall = np.round(np.minimum(match, 100) / 100 * (height - line)) + line
    on_line = (y >= height - tall) & (y < height - tall + line) & known
    box[on_line] = (*colors.text, 255)
    poor = (y >= height - tall) & known & (match < GRIP)
    box[poor | lost] = (*colors.warn, 255)


def _review(
    box: NDArray[np.uint8], state: NDArray[np.integer], between: NDArray[np.bool_], colors: Colors
) -> None:
    height = len(box)
    y = np.arange(height)[:, None]
    box[:] = (*colors.ground, 255)
    partly = y >= height - max(height // 3, 1)
    box[((state == 2) | ((state == 1) & partly)) & ~between] = (*colors.done, 255)
