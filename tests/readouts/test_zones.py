"""Findings by zone: names, places, what stands for a zone, and its change."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from napari_confseg.readouts import Beams, clip_readouts
from napari_confseg.readouts.zones import (
    SCHEMES,
    Place,
    Quantity,
    ZoneReading,
    change,
    changes,
    day_of,
    examinations,
    reading_from,
    scheme_for,
    zone_in,
    zone_question,
)
from napari_confseg.store import ZONES
from napari_confseg.store.survey import survey
from tests.readouts.chest import CLIPS, make

if TYPE_CHECKING:
    from pathlib import Path

NAN = Quantity(math.nan, math.nan, math.nan, "%")


def exact(value: float, unit: str) -> Quantity:
    return Quantity(value, value, value, unit)


def reading(
    pleura: Quantity | float = 0.0, lines: float = 0.0, solid: float = 0.0, zone: str = "R1"
) -> ZoneReading:
    share = pleura if isinstance(pleura, Quantity) else exact(pleura, "%")
    values = {
        "pleura": share,
        "b_lines": exact(lines, "B-lines"),
        "consolidation": exact(solid, "mm²"),
        "effusion": exact(0.0, "mm²"),
    }
    return ZoneReading("clip", "p1", zone, 0, 4, values)


def test_the_schemes_hold_the_store_s_zones_and_soldati_s_fourteen() -> None:
    assert set(SCHEMES[12]) == set(ZONES)
    assert set(SCHEMES[8]) == {z for z in ZONES if z[1] in "1234"}
    # Soldati et al., J Ultrasound Med 39:1413 (2020): 1 to 3 right and 4 to 6 left back, from the
    # base up; 7 and 8 right, 9 and 10 left side; 11 and 12 right, 13 and 14 left front.
    found = SCHEMES[14]
    assert found["1"] == Place("right", "back", 2, 3)
    assert found["6"] == Place("left", "back", 0, 3)
    assert found["7"] == Place("right", "side", 1, 2)
    assert found["10"] == Place("left", "side", 0, 2)
    assert found["11"] == Place("right", "front", 1, 2)
    assert found["14"] == Place("left", "front", 0, 2)
    for scheme in SCHEMES.values():
        places = [(p.side, p.view, p.row) for p in scheme.values()]
        assert len(set(places)) == len(places) == len(scheme)


@pytest.mark.parametrize(
    ("scheme", "name", "zone"),
    [
        (12, "R3", "R3"),
        (12, " l6 ", "L6"),
        (8, "L6", None),
        (12, "7", None),
        (14, "07", "7"),
        (14, "Zone 14", "14"),
        (14, "15", None),
        (14, "R3", None),
        (12, "", None),
    ],
)
def test_names_of_zones(scheme: int, name: str, zone: str | None) -> None:
    assert zone_in(scheme, name) == zone


def test_the_scheme_and_the_day_follow_from_what_the_clips_say() -> None:
    assert scheme_for(["R1", "L6", "3"]) == 12
    assert scheme_for(["1", "14", "R1"]) == 14
    assert scheme_for([]) == 12
    assert [day_of(t) for t in (["x", "day 3"], ["Day-12"], ["today 3"], [])] == [3, 12, None, None]


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (reading(0, 0), 0),
        (reading(20, 2), 0),
        (reading(26, 2), 1),  # two that merge
        (reading(20, 3), 1),
        (reading(51, 2), 2),
        (reading(0, 0, solid=4), 3),
        (reading(NAN, 4), 1),
        (reading(NAN, 2), 0),
        (ZoneReading("clip", "p1", "R1", 0, 0, {}), None),
    ],
)
def test_levels(found: ZoneReading, level: int | None) -> None:
    assert found.level == level


def test_a_change_is_sure_where_the_intervals_lie_apart() -> None:
    wide, narrow = Quantity(40, 10, 60, "%"), Quantity(40, 30, 50, "%")
    more = change(reading(narrow), reading(20))
    assert more is not None
    assert (more.direction, more.words, more.sure) == (1, "+20 %", True)
    doubtful = change(reading(wide), reading(20))
    assert doubtful is not None
    assert not doubtful.sure
    less = change(reading(NAN, 1), reading(NAN, 4))
    assert less is not None
    assert (less.direction, less.words) == (-1, "\u22123 B")
    gone = change(reading(30, solid=0), reading(10, solid=9))
    assert gone is not None
    assert (gone.direction, gone.words) == (-1, "\u2212consolid.")
    wet = replace(reading(30), values={**reading(30).values, "effusion": exact(9.0, "mm²")})
    assert change(wet, reading(10)).words == "+effusion"  # type: ignore[union-attr]
    assert change(reading(20.2), reading(20.0)).direction == 0  # type: ignore[union-attr]
    assert change(reading(20), ZoneReading("c", "p1", "R1", 0, 0, {})) is None


def test_a_patient_s_examinations_read_from_a_cohort(tmp_path: Path, state_dir: Path) -> None:
    cohort = make(tmp_path / "c.zarr", CLIPS)
    found = {
        a.clip: reading_from(a.clip, a.data)
        for a in survey(cohort, zone_question("ada"))
        if a.data is not None
    }
    # As the read-outs of the same frames, asked for one clip at a time.
    for name, (_, _, marks) in CLIPS.items():
        clip = cohort.clip(name)
        planes = {c.name: clip.rater("ada").read_planes(c.index) for c in clip.classes}
        expected = clip_readouts(planes, Beams.of(clip.meta, clip.shape), [0, 1])
        assert found[name].frames == 2, marks
        for field, of in (
            ("pleura", expected.pleura_percentage),
            ("b_lines", expected.b_line_count),
            ("consolidation", expected.consolidation),
            ("effusion", expected.effusion),
        ):
            got = found[name].values[field]
            wanted = (of.mean.value, of.mean.low, of.mean.high)
            assert (got.value, got.low, got.high) == pytest.approx(wanted, nan_ok=True)
    first, last = examinations(found.values(), 12)
    assert (first.day, last.day) == (0, 3)
    assert first.title == "day 0, 2 clips"
    assert [r.clip for r in last.zones["L4"]] == ["l4-new", "l4-again"]  # most to see first
    assert [r.clip for r in last.elsewhere] == ["nowhere"]
    assert last.zones["R1"][0].values["pleura"].value == 75
    changed = changes(last, first)
    assert {zone: c.words for zone, c in changed.items()} == {"R1": "+63 %", "L4": "+consolid."}
    assert all(c.sure for c in changed.values())
    assert changes(first, None) == {}
    of_eight = examinations(found.values(), 8)[1]
    assert set(of_eight.zones) == set(last.zones)  # none of these is at the back

    nobody = {a.clip: reading_from(a.clip, a.data) for a in survey(cohort, zone_question("nobody"))}
    assert {r.level for r in nobody.values()} == {None}
    hidden = reading_from("r1-new", next(survey(cohort, zone_question("ada"))).data, hidden=True)
    assert (hidden.values, hidden.frames, hidden.level) == ({}, 0, None)
