"""Findings of a patient by zone of the chest, examination by examination, and their change."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from napari_confseg.readouts.beams import Beams
from napari_confseg.readouts.clips import sum_up
from napari_confseg.readouts.lung import frame_readouts
from napari_confseg.store import Status
from napari_confseg.store.survey import Question

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_confseg.readouts.clips import ClipReadouts
    from napari_confseg.store import Clip

Side = Literal["right", "left"]
View = Literal["front", "side", "back"]


@dataclass(frozen=True)
class Place:
    """Where a zone is on the chest.

    Attributes
    ----------
    side : {"right", "left"}
        The patient's.
    view : {"front", "side", "back"}
        From where it is seen.
    row, rows : int
        Its place from the top, of how many in that column.
    """

    side: Side
    view: View
    row: int
    rows: int


def _lettered(views: Sequence[View]) -> dict[str, Place]:
    sides: tuple[tuple[str, Side], ...] = (("R", "right"), ("L", "left"))
    return {
        f"{letter}{2 * i + row + 1}": Place(side, view, row, 2)
        for letter, side in sides
        for i, view in enumerate(views)
        for row in range(2)
    }


def _numbered() -> dict[str, Place]:
    """Return the fourteen areas of Soldati et al. (2020): from the back's base to the front."""
    order: tuple[tuple[View, int], ...] = (("back", 3), ("side", 2), ("front", 2))
    sides: tuple[Side, ...] = ("right", "left")
    places = [
        Place(side, view, row, rows)
        for view, rows in order
        for side in sides
        for row in reversed(range(rows))
    ]
    return {str(i): place for i, place in enumerate(places, 1)}


SCHEMES: Final[Mapping[int, Mapping[str, Place]]] = {
    8: _lettered(("front", "side")),
    12: _lettered(("front", "side", "back")),
    14: _numbered(),
}
"""Places of the zones by name, of schemes by their number of zones. In those of 8 and 12 odd
numbers are upper and even ones lower zones; 1 and 2 are in front, 3 and 4 at the side, 5 and 6 at
the back."""


def zone_in(scheme: int, name: str) -> str | None:
    """Return the zone of `scheme` that a clip's `name` of it means; None if it has no such zone.

    >>> zone_in(12, "r3"), zone_in(8, "L6"), zone_in(14, "zone 7")
    ('R3', None, '7')
    """
    short = re.sub(r"^(zone|z)?[\s_-]*0*", "", name.strip().casefold()).upper()
    return short if short in SCHEMES[scheme] else None


def scheme_for(names: Iterable[str]) -> int:
    """Return the scheme that clips' zones are named by: 14 if they are numbers, else 12."""
    found = list(names)
    numbered = sum(zone_in(14, n) is not None for n in found)
    return 14 if numbered > len(found) / 2 else 12


_DAY: Final = re.compile(r"day[\s_-]?(\d{1,5})", re.IGNORECASE)


def day_of(tags: Iterable[str]) -> int | None:
    """Return the day that a clip's tags name (``day 3``); None if none does."""
    return next((int(m[1]) for tag in tags if (m := _DAY.fullmatch(tag.strip()))), None)


@dataclass(frozen=True)
class Quantity:
    """A value with the interval that 95 % of the belief lies in; NaN if undefined."""

    value: float
    low: float
    high: float
    unit: str

    @property
    def defined(self) -> bool:
        """Whether there is such a quantity."""
        return not math.isnan(self.value)

    def __str__(self) -> str:
        if not self.defined:
            return "–"
        unit = "B-line" if (self.unit, round(self.value)) == ("B-lines", 1) else self.unit
        return f"{self.value:.0f} {unit}"

    def interval(self) -> str:
        """Return its interval in words; empty if there is none to speak of."""
        if not self.defined or f"{self.low:.0f}" == f"{self.high:.0f}":
            return ""
        return f"{self.low:.0f} to {self.high:.0f}"


QUANTITIES: Final = {
    "pleura": "Pleura with B-lines",
    "b_lines": "B-lines",
    "consolidation": "Consolidation",
    "effusion": "Effusion",
}
"""What a zone is described by, as people read it."""

LEVELS: Final = (
    "Two B-lines at most",
    "More, up to half of the pleura",
    "Over half of the pleura",
    "Consolidation",
)
"""Steps of lost air, the least first."""

MINUS: Final = "\u2212"

MANY: Final = 3
"""B-lines in one picture that are more than a healthy lung shows."""

BROAD: Final = 25
"""Percent of the pleura over which two B-lines are as much as many: those that merge count once."""


@dataclass(frozen=True)
class ZoneReading:
    """What one rater found on one clip.

    Attributes
    ----------
    clip, patient, zone : str
        The clip, whose it is, and its zone as it was named; empty if nobody named one.
    day : int or None
        Of the examination; None if no tag says so.
    frames : int
        Reviewed in every class; the findings are means over them.
    hidden : bool
        Whether the rater may not be seen here.
    values : dict of str to Quantity
        By the names of `QUANTITIES`; empty if no frame is reviewed.
    """

    clip: str
    patient: str
    zone: str
    day: int | None
    frames: int
    values: Mapping[str, Quantity]
    hidden: bool = False

    @property
    def level(self) -> int | None:
        """Index into `LEVELS`; None if nothing is known."""
        if not self.values:
            return None
        if self.there("consolidation"):
            return 3
        share, lines = self.values["pleura"], self.values["b_lines"]
        if share.defined and share.value > 50:
            return 2
        if not share.defined and not lines.defined:
            return None
        many = lines.defined and round(lines.value) >= MANY
        return 1 if many or (share.defined and share.value > BROAD) else 0

    def there(self, name: str) -> bool:
        """Whether a consolidation or an effusion is held for likelier than not."""
        found = self.values.get(name)
        return found is not None and found.defined and found.value > 0

    @property
    def rank(self) -> tuple[float, ...]:
        """How much there is to see: of several clips of a zone, the highest stands for it."""
        level = self.level
        parts = [self.values[n].value if self.values else math.nan for n in QUANTITIES]
        return (-1 if level is None else level, *(-1 if math.isnan(p) else p for p in parts))

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "clip": self.clip,
            "zone": self.zone or None,
            "day": self.day,
            "frames": self.frames,
            "level": self.level,
            **{
                name: {"value": q.value, "low": q.low, "high": q.high, "unit": q.unit}
                if q.defined
                else None
                for name, q in self.values.items()
            },
        }


# ---- reading ------------------------------------------------------------------------------


def zone_question(rater: str) -> Question:
    """Return the question to each clip for what `rater` found, for :func:`survey`."""
    return Question(partial(_ask, rater=rater), f"zones 1 {rater}")


def _ask(clip: Clip, rater: str) -> dict[str, Any]:
    meta, there = clip.meta, rater in clip.raters()
    found: dict[str, Any] = {
        "patient": meta.patient,
        "zone": meta.zone or "",
        "tags": list(meta.tags),
        "frames": 0,
        "values": {},
    }
    if not there:
        return found
    notes = clip.rater(rater).read_clip_notes()
    found["zone"] = notes.zone or found["zone"]
    found["tags"] = [*notes.tags, *found["tags"]]
    summed = read_clip(clip, rater)
    if summed is not None:
        found["frames"] = summed.frames
        found["values"] = _values(summed)
    return found


def read_clip(clip: Clip, rater: str) -> ClipReadouts | None:
    """Return the read-outs of the frames that `rater` reviewed in every class; None if none."""
    here = clip.rater(rater)
    reviewed = np.flatnonzero((here.read_status() == Status.REVIEWED).all(axis=1)).tolist()
    if not reviewed:
        return None
    beams = Beams.of(clip.meta, clip.shape)
    stored = set(here.stored_chunks())
    nothing = np.zeros(clip.shape[1:], np.uint8)
    blank = frame_readouts({c.name: nothing for c in clip.classes}, beams)
    found = []
    for t in reviewed:
        marked = [c for c in clip.classes if (t, c.index) in stored]
        planes = {c.name: here.read_plane(t, c.index) for c in marked}
        if not any(plane.any() for plane in planes.values()):
            found.append(blank)
            continue
        found.append(frame_readouts({c.name: nothing for c in clip.classes} | planes, beams))
    return sum_up(found)


def _values(summed: ClipReadouts) -> dict[str, list[float | str | None]]:
    of = {
        "pleura": summed.pleura_percentage,
        "b_lines": summed.b_line_count,
        "consolidation": summed.consolidation,
        "effusion": summed.effusion,
    }
    return {
        name: [*_numbers(over.mean), "B-lines" if name == "b_lines" else over.mean.unit]
        for name, over in of.items()
    }


def _numbers(finding: Any) -> tuple[float | None, ...]:
    values = (finding.value, finding.low, finding.high)
    return tuple(None if math.isnan(v) else float(v) for v in values)


def reading_from(clip: str, data: Mapping[str, Any], *, hidden: bool = False) -> ZoneReading:
    """Return the reading that an answer to :func:`zone_question` holds.

    Parameters
    ----------
    clip : str
        Its name.
    data : mapping
        The answer.
    hidden : bool
        Say nothing of what the rater found: they may not be seen.
    """
    values = {
        name: Quantity(_number(value), _number(low), _number(high), unit)
        for name, (value, low, high, unit) in data["values"].items()
    }
    return ZoneReading(
        clip,
        data["patient"],
        data["zone"],
        day_of(data["tags"]),
        0 if hidden else data["frames"],
        {} if hidden else values,
        hidden,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


# ---- examinations and change --------------------------------------------------------------


@dataclass(frozen=True)
class Examination:
    """A patient's clips of one day, by zone of a scheme.

    Attributes
    ----------
    patient : str
    day : int or None
        As the clips' tags have it; None where they name none.
    zones : dict of str to tuple of ZoneReading
        Clips of each zone that has any, the one with most to see first.
    elsewhere : tuple of ZoneReading
        Clips without a zone, or whose zone the scheme does not have.
    """

    patient: str
    day: int | None
    zones: Mapping[str, tuple[ZoneReading, ...]]
    elsewhere: tuple[ZoneReading, ...]

    @property
    def title(self) -> str:
        """The examination as lists have it."""
        n = sum(map(len, self.zones.values())) + len(self.elsewhere)
        when = "no day given" if self.day is None else f"day {self.day}"
        return f"{when}, {n} clip{'s' * (n != 1)}"


def examinations(readings: Iterable[ZoneReading], scheme: int) -> list[Examination]:
    """Return the examinations of one patient, oldest first; clips without a day come first."""
    by_day: dict[int | None, list[ZoneReading]] = {}
    for reading in readings:
        by_day.setdefault(reading.day, []).append(reading)
    found = []
    for day in sorted(by_day, key=lambda d: -1 if d is None else d):
        zones: dict[str, list[ZoneReading]] = {}
        elsewhere: list[ZoneReading] = []
        for reading in by_day[day]:
            zone = zone_in(scheme, reading.zone) if reading.zone else None
            (elsewhere if zone is None else zones.setdefault(zone, [])).append(reading)
        ranked = {
            zone: tuple(sorted(several, key=lambda r: r.rank, reverse=True))
            for zone, several in zones.items()
        }
        patient = by_day[day][0].patient
        found.append(Examination(patient, day, ranked, tuple(elsewhere)))
    return found


@dataclass(frozen=True)
class Change:
    """How a zone differs from the examination before.

    Attributes
    ----------
    direction : {-1, 0, 1}
        Less, the same, or more to see.
    words : str
        By how much: ``+12 %``.
    sure : bool
        Whether the intervals of both examinations lie apart.
    """

    direction: int
    words: str
    sure: bool


def change(now: ZoneReading, before: ZoneReading) -> Change | None:
    """Return how `now` differs from `before`; None if one of them is not read.

    A consolidation that came or went counts first, then an effusion; else the share of the pleura
    where both have one, else the number of B-lines.
    """
    if now.level is None or before.level is None:
        return None
    for name, short in (("consolidation", "consolid."), ("effusion", "effusion")):
        came = now.there(name) - before.there(name)
        if came:
            sign = "+" if came > 0 else MINUS
            return Change(came, f"{sign}{short}", _apart(now.values[name], before.values[name]))
    for name, least in (("pleura", 1.0), ("b_lines", 1.0)):
        a, b = now.values[name], before.values[name]
        if a.defined and b.defined:
            by = round(a.value) - round(b.value)
            if abs(by) < least:
                return Change(0, "=", True)
            unit = " %" if name == "pleura" else " B"
            sign = "+" if by > 0 else MINUS
            return Change(1 if by > 0 else -1, f"{sign}{abs(by)}{unit}", _apart(a, b))
    return None


def _apart(a: Quantity, b: Quantity) -> bool:
    return a.defined and b.defined and (a.low > b.high or b.low > a.high)


def changes(now: Examination, before: Examination | None) -> dict[str, Change]:
    """Return the change of each zone that both examinations have read."""
    if before is None:
        return {}
    found = {
        zone: change(several[0], before.zones[zone][0])
        for zone, several in now.zones.items()
        if zone in before.zones
    }
    return {zone: c for zone, c in found.items() if c is not None}
