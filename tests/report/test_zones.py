"""The chest as a picture and on a page: whole, escaped, read without colour."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from napari_confseg.readouts.zones import (
    LEVELS,
    SCHEMES,
    Examination,
    changes,
    examinations,
    reading_from,
    zone_question,
)
from napari_confseg.report.chest import _ON_FILLS, DARK, FILLS, LIGHT, draw_chest
from napari_confseg.report.zones import write_chest, write_zones
from napari_confseg.store.survey import survey
from tests.readouts.chest import CLIPS, make
from tests.report.test_agreement import Balance

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def both(tmp_path: Path, state_dir: Path) -> list[Examination]:
    cohort = make(tmp_path / "c.zarr", CLIPS)
    found = [reading_from(a.clip, a.data) for a in survey(cohort, zone_question("ada"))]
    return examinations(found, 12)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("tall", [True, False])
def test_every_zone_has_a_place_of_its_own_within_the_picture(scheme: int, tall: bool) -> None:
    drawn = draw_chest(scheme, None, {}, tall=tall)
    assert set(drawn.boxes) == set(SCHEMES[scheme])
    for (x, y, w, h), (x2, y2, w2, h2) in combinations(drawn.boxes.values(), 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    for x, y, w, h in drawn.boxes.values():
        assert x >= 0
        assert y >= 0
        assert x + w <= drawn.width
        assert y + h <= drawn.height
    # The patient's right is on the left in front, and on the right at the back.
    for view, first in (("front", "right"), ("back", "left")):
        columns = {p.side: drawn.boxes[z][0] for z, p in SCHEMES[scheme].items() if p.view == view}
        assert sorted(columns, key=columns.__getitem__)[:1] == [first][: len(columns)]
    root = ElementTree.fromstring(drawn.svg)
    assert root.tag == f"{SVG}svg"
    words = [t.text for t in root.iter(f"{SVG}text")]
    assert words.count("no clip") == 1  # in the legend: nothing is known yet
    assert set(LEVELS) <= set(words)
    nothing = draw_chest(scheme, Examination("p1", None, {}, ()), {}, tall=tall)
    words = [t.text for t in ElementTree.fromstring(nothing.svg).iter(f"{SVG}text")]
    assert words.count("no clip") == scheme + 1


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_levels_are_told_apart_without_hue_and_words_are_read() -> None:
    for lighter, darker in pairwise(FILLS):
        assert luminance(lighter) > luminance(darker)
        assert contrast(lighter, darker) > 1.12
    for fill, ink in zip(FILLS, _ON_FILLS, strict=True):
        assert contrast(fill, ink) >= 4.5
    for colors in (LIGHT, DARK):
        assert contrast(colors.ground, colors.ink) >= 7
        assert contrast(colors.ground, colors.soft) >= 4.5


def test_the_picture_says_what_was_found_and_what_changed(
    both: list[Examination], tmp_path: Path
) -> None:
    first, last = both
    drawn = draw_chest(12, last, changes(last, first), title="<p1> & co", current="R1")
    root = ElementTree.fromstring(drawn.svg)  # escaped
    words = [t.text for t in root.iter(f"{SVG}text")]
    assert {"<p1> & co", "75 % of pleura", "+63 %", "+consolid.", "L4 ×2"} <= set(words)
    assert "consolid. 100 px²" in words
    fills = [r.get("fill") for r in root.iter(f"{SVG}rect")]
    assert {FILLS[0], FILLS[2], FILLS[3]} <= set(fills)
    arrows = [p.get("fill") for p in root.iter(f"{SVG}polygon")]
    assert arrows.count("none") == 1  # the legend's: every change here is sure
    path = tmp_path / "chest.svg"
    write_chest(path, 12, last, first, "ada")
    assert "p1, day 3, read by ada; change since day 0" in path.read_text("utf-8")


def test_the_page_is_whole_and_needs_nothing_else(both: list[Examination], tmp_path: Path) -> None:
    path = tmp_path / "zones.html"
    write_zones(path, "toy", "ada", 12, {"p1": both})
    page = path.read_text("utf-8")
    parser = Balance()
    parser.feed(page)
    assert not parser.open
    assert not re.search(r'(src|href)=["\']?https?:', page)
    text = " ".join(parser.text)
    for words in ("day 0, 2 clips", "day 3, 5 clips", "change since day 0", "not on this chest"):
        assert words in text
