"""The chest as a picture: its zones with what was found there, as SVG.

The panel shows and the report embeds the same text. Only what Qt's renderer knows of SVG is used:
no patterns and no clipping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import escape

from napari_confseg.readouts.zones import LEVELS, SCHEMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_confseg.readouts.zones import Change, Examination, Place, Side, View, ZoneReading

Box = tuple[float, float, float, float]
"""Left, top, width and height."""


@dataclass(frozen=True)
class Colors:
    """Of everything but the fills, which are the same on every ground."""

    ground: str = "#ffffff"
    ink: str = "#1d2733"
    soft: str = "#5b6876"
    body: str = "#eef1f5"
    line: str = "#b9c3cf"
    current: str = "#0072b2"


LIGHT: Final = Colors()
DARK: Final = Colors(
    ground="#262930",
    ink="#f0f1f2",
    soft="#b4bac2",
    body="#333842",
    line="#5c6470",
    current="#8fb8ff",
)

FILLS: Final = ("#dcebf5", "#f7d98f", "#e08a3c", "#7b1f4b")
"""Of the levels: each darker than the one before, so that they are told apart without hue."""
_ON_FILLS: Final = ("#1d2733", "#1d2733", "#1d2733", "#ffffff")

_CELL, _GAP, _PAD, _BETWEEN = 146.0, 6.0, 10.0, 18.0
_TITLE: Final = 22.0
_NAMES: Final = {"consolidation": "consolid.", "effusion": "effusion"}


@dataclass(frozen=True)
class Drawing:
    """A picture of the chest.

    Attributes
    ----------
    svg : str
        The picture, a whole SVG document.
    width, height : float
        Its size in its own units, about a pixel each.
    boxes : dict of str to Box
        Where each zone is.
    """

    svg: str
    width: float
    height: float
    boxes: Mapping[str, Box]


@dataclass(frozen=True)
class _Sheet:
    """How the views are laid out: side by side, or one beneath the other in a narrow panel."""

    scheme: int
    tall: bool

    @property
    def cell(self) -> float:
        """Height of a zone where a column has the most of them."""
        return 50.0 if self.tall else 88.0

    @property
    def shoulders(self) -> float:
        """Height of neck and shoulders."""
        return 20.0 if self.tall else 52.0

    @property
    def body(self) -> float:
        """Height of the zones of a view."""
        rows = max(place.rows for place in SCHEMES[self.scheme].values())
        return rows * self.cell + (rows - 1) * _GAP

    def panels(self) -> list[tuple[str, View, tuple[Side, ...], float, float]]:
        """Return title, view, sides from left to right, left and top of each view."""
        double, single = 2 * _CELL + _GAP + 2 * _PAD, _CELL + 2 * _PAD
        high = _TITLE + self.shoulders + self.body + _PAD + 6
        back = any(place.view == "back" for place in SCHEMES[self.scheme].values())
        found: list[tuple[str, View, tuple[Side, ...], float, float]]
        if self.tall:
            found = [
                ("front", "front", ("right", "left"), 0, 0),
                ("sides", "side", ("right", "left"), 0, high),
            ]
            return [*found, ("back", "back", ("left", "right"), 0, 2 * high)][: 2 + back]
        x = [0, single + _BETWEEN, single + double + 2 * _BETWEEN]
        found = [
            ("right side", "side", ("right",), x[0], 0),
            ("front", "front", ("right", "left"), x[1], 0),
            ("left side", "side", ("left",), x[2], 0),
        ]
        last = x[2] + single + _BETWEEN
        return [*found, ("back", "back", ("left", "right"), last, 0)][: 3 + back]


def draw_chest(
    scheme: int,
    examination: Examination | None,
    changes: Mapping[str, Change],
    *,
    colors: Colors = LIGHT,
    tall: bool = False,
    current: str = "",
    title: str = "",
) -> Drawing:
    """Return the chest of one examination.

    Each zone is filled and labelled by what was found; without a clip it is hatched. An arrow and
    a number say what is different from the examination before: full where the intervals lie apart,
    outlined where they do not.

    Parameters
    ----------
    scheme : {8, 12, 14}
        Number of zones.
    examination : Examination or None
        None draws the zones alone: nothing is known of them.
    changes : dict of str to Change
        By zone.
    colors : Colors
        Of ground and words.
    tall : bool
        One view beneath the other, with shorter words, for a narrow panel.
    current : str
        Zone that is outlined; none if empty.
    title : str
        Written above; nothing if empty.
    """
    sheet = _Sheet(scheme, tall)
    parts: list[str] = []
    boxes: dict[str, Box] = {}
    top = 30.0 if title else 6.0
    right = bottom = 0.0
    places = {(p.view, p.side, p.row): name for name, p in SCHEMES[scheme].items()}
    for words, view, sides, x, y in sheet.panels():
        width = len(sides) * _CELL + (len(sides) - 1) * _GAP + 2 * _PAD
        y += top
        first = y + _TITLE + sheet.shoulders
        parts += _view(
            words, sides, (x + 6, y, width, first + sheet.body + _PAD - y), sheet, colors
        )
        for column, side in enumerate(sides):
            rows = sum(1 for v, s, _ in places if (v, s) == (view, side))
            high = (sheet.body - (rows - 1) * _GAP) / rows
            for row in range(rows):
                box = (
                    x + 6 + _PAD + column * (_CELL + _GAP),
                    first + row * (high + _GAP),
                    _CELL,
                    high,
                )
                boxes[places[view, side, row]] = box
        right, bottom = max(right, x + width + 12), max(bottom, first + sheet.body + _PAD)
    for zone, box in boxes.items():
        several = examination.zones.get(zone, ()) if examination else None
        parts += _zone(zone, several, changes.get(zone), box, colors, tall, zone == current)
    legend, height = _legend(right, bottom + 14, colors, tall)
    if title:
        parts.append(_text(10, 20, title, colors.ink, 15, bold=True))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:g} {height:g}" '
        f'width="{right:g}" height="{height:g}" font-family="DejaVu Sans, Arial, sans-serif">'
        f'<rect x="0" y="0" width="{right:g}" height="{height:g}" fill="{colors.ground}"/>'
    )
    return Drawing("\n".join([head, *parts, *legend, "</svg>"]) + "\n", right, height, boxes)


def places_in_words(place: Place) -> str:
    """Return where a zone is, in words: ``right, front, upper``."""
    heights = ("upper", "lower") if place.rows == 2 else ("upper", "middle", "lower")
    return f"{place.side}, {place.view}, {heights[place.row]}"


# ---- pieces -------------------------------------------------------------------------------


def _text(
    x: float,
    y: float,
    words: str,
    color: str,
    size: float,
    *,
    bold: bool = False,
    anchor: str = "start",
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="{size:g}" '
        f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
    )


def _view(
    words: str, sides: tuple[Side, ...], box: Box, sheet: _Sheet, colors: Colors
) -> Iterator[str]:
    """Yield the body of one view with its names."""
    x, y, width, height = box
    top, s, bottom = y + _TITLE - 4, sheet.shoulders, y + height
    two = sheet.tall and words == "sides"  # two bodies side by side
    half = (width - _GAP) / 2 if two else width
    for left in (x, x + half + _GAP) if two else (x,):
        yield _body(left, top, half, s, bottom, colors)
    yield _text(x + width / 2, y + 12, words, colors.soft, 12, anchor="middle", bold=True)
    for column, side in enumerate(sides):
        if len(sides) == 1:
            break
        at = x + _PAD + column * (_CELL + _GAP) + _CELL * (0.5 if two else 0.25 + 0.5 * column)
        yield _text(at, top + s - 2, side, colors.soft, 11, anchor="middle")


def _body(x: float, y: float, w: float, s: float, bottom: float, colors: Colors) -> str:
    middle, neck = x + w / 2, min(0.1 * w, 24)
    path = (
        f"M{middle - neck:.1f} {y:.1f} V{y + 0.2 * s:.1f} "
        f"C{middle - neck:.1f} {y + 0.55 * s:.1f} {x + 0.2 * w:.1f} {y + 0.45 * s:.1f} "
        f"{x + 0.1 * w:.1f} {y + 0.6 * s:.1f} "
        f"C{x + 0.03 * w:.1f} {y + 0.7 * s:.1f} {x:.1f} {y + 0.8 * s:.1f} {x:.1f} {y + s:.1f} "
        f"V{bottom:.1f} H{x + w:.1f} V{y + s:.1f} "
        f"C{x + w:.1f} {y + 0.8 * s:.1f} {x + 0.97 * w:.1f} {y + 0.7 * s:.1f} "
        f"{x + 0.9 * w:.1f} {y + 0.6 * s:.1f} "
        f"C{x + 0.8 * w:.1f} {y + 0.45 * s:.1f} {middle + neck:.1f} {y + 0.55 * s:.1f} "
        f"{middle + neck:.1f} {y + 0.2 * s:.1f} V{y:.1f}"
    )
    return f'<path d="{path}" fill="{colors.body}" stroke="{colors.line}" stroke-width="1.5"/>'


def _rect(box: Box, fill: str, stroke: str, width: float = 1.0, dashes: str = "") -> str:
    x, y, w, h = box
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="6" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="{width:g}"{dashed}/>'
    )


def _hatch(box: Box, color: str, step: float = 9.0) -> Iterator[str]:
    """Yield slanting lines across a box."""
    x, y, w, h = box
    at = step
    while at < w + h:
        x0, x1 = max(at - h, 0.0), min(at, w)
        yield (
            f'<line x1="{x + x0:.1f}" y1="{y + at - x0:.1f}" x2="{x + x1:.1f}" '
            f'y2="{y + at - x1:.1f}" stroke="{color}" stroke-width="1"/>'
        )
        at += step


def _arrow(x: float, y: float, direction: int, color: str, *, full: bool) -> str:
    """Return a triangle 10 wide with its left at `x` and its middle at `y`."""
    tip, base = (y - 5, y + 4) if direction > 0 else (y + 5, y - 4)
    fill = color if full else "none"
    return (
        f'<polygon points="{x:.1f},{base:.1f} {x + 10:.1f},{base:.1f} {x + 5:.1f},{tip:.1f}" '
        f'fill="{fill}" stroke="{color}" stroke-width="1.3"/>'
    )


def _zone(
    zone: str,
    several: tuple[ZoneReading, ...] | None,
    change: Change | None,
    box: Box,
    colors: Colors,
    tall: bool,
    current: bool,
) -> Iterator[str]:
    x, y, w, h = box
    level = several[0].level if several else None
    ink = colors.ink if level is None else _ON_FILLS[level]
    if several is None:
        yield _rect(box, colors.ground, colors.line)
    elif not several:
        yield _rect(box, colors.ground, colors.line)
        yield from _hatch(box, colors.line)
        # Words over hatching need a ground of their own.
        yield _rect((x + 5, y + 4, 9.0 * len(zone) + 8, 20), colors.ground, colors.ground)
        words = "no clip"
        yield _rect((x + w - 62, y + h - 24, 56, 19), colors.ground, colors.ground)
        yield _text(x + w - 34, y + h - 10, words, colors.soft, 11, anchor="middle")
    elif level is None:
        yield _rect(box, colors.ground, colors.soft, 1.5, "5 4")
    else:
        yield _rect(box, FILLS[level], FILLS[level])
    name = f"{zone} \u00d7{len(several)}" if several and len(several) > 1 else zone
    yield _text(x + 8, y + 18, name, ink, 14, bold=True)
    if several:
        for i, words in enumerate(_lines(several[0], tall)):
            yield _text(x + 8, y + 33 + i * (13 if tall else 15), words, ink, 12)
    if change is not None:
        right = x + w - 8
        if change.direction:
            yield _arrow(right - 10, y + 13.5, change.direction, ink, full=change.sure)
            right -= 15
        yield _text(right, y + 18, change.words, ink, 12, anchor="end", bold=True)
    if current:
        yield _rect((x - 2.5, y - 2.5, w + 5, h + 5), "none", colors.current, 3.5)


def _lines(reading: ZoneReading, tall: bool) -> list[str]:
    """Return what was found in a zone, in lines."""
    if reading.hidden:
        return ["hidden: read blinded"]
    if not reading.values:
        return ["not reviewed"]
    values = reading.values
    both = [str(values[n]) for n in ("pleura", "b_lines") if values[n].defined]
    extra = [(n, values[n]) for n in ("consolidation", "effusion") if reading.there(n)]
    if tall:
        lines = [" \u00b7 ".join(both)] if both else []
        if len(extra) == 2:
            return [*lines, "consol. and effusion"]
        return [*lines, *(f"{_NAMES[n]} {q}" for n, q in extra)] or ["not defined"]
    lines = [f"{values['pleura']} of pleura"] if values["pleura"].defined else []
    lines += [str(values["b_lines"])] if values["b_lines"].defined else []
    return [*lines, *(f"{_NAMES[n]} {q}" for n, q in extra)] or ["not defined"]


def _legend(right: float, top: float, colors: Colors, tall: bool) -> tuple[list[str], float]:
    """Return the legend's parts and where it ends."""
    entries: list[tuple[str, str]] = [
        *((FILLS[i], words) for i, words in enumerate(LEVELS)),
        ("hatch", "no clip"),
        ("dashed", "not reviewed"),
        ("up", "more than before"),
        ("down", "less than before"),
        ("outlined", "within both intervals"),
    ]
    columns = 1 if tall else 4
    # Short ones share a line where there is little room.
    rows = (
        [[e] for e in entries[:4]] + [entries[4:6], entries[6:8], entries[8:]]
        if tall
        else [entries[i : i + columns] for i in range(0, len(entries), columns)]
    )
    parts: list[str] = []
    for r, row in enumerate(rows):
        y = top + 20 * r
        wide = right / max(len(row), columns)
        for c, (mark, words) in enumerate(row):
            x = 10 + c * wide
            parts += _mark(mark, x, y, colors)
            parts.append(_text(x + 26, y + 11, words, colors.ink, 12))
    return parts, top + 20 * len(rows) + 4


def _mark(mark: str, x: float, y: float, colors: Colors) -> Iterator[str]:
    box = (x, y, 18.0, 14.0)
    if mark == "hatch":
        yield _rect(box, colors.ground, colors.line)
        yield from _hatch(box, colors.line, 5)
    elif mark == "dashed":
        yield _rect(box, colors.ground, colors.soft, 1.5, "4 3")
    elif mark in ("up", "down", "outlined"):
        direction = -1 if mark == "down" else 1
        yield _arrow(x + 4, y + 7, direction, colors.ink, full=mark != "outlined")
    else:
        yield _rect(box, mark, colors.line)
