"""Correcting the sector without a window: what can be dragged, what is refused, what is stored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage.draw import polygon as fill

from napari_confseg.annotate.sector_editor import SectorEditor
from napari_confseg.annotate.session import Session
from napari_confseg.ingest.sector_fit import clip_to_frame
from napari_confseg.ingest.sector_outline import crosses_itself, outline_of
from napari_confseg.store import Cohort, Sector, validate

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPE = (600, 800)


def fan(apex: tuple[float, float], inner: float, outer: float, half: float) -> list:
    angles = np.linspace(-half, half, 24)
    ring = [(r, a) for r, s in ((outer, angles), (inner, angles[::-1])) for a in s]
    whole = [(apex[0] + r * np.cos(a), apex[1] + r * np.sin(a)) for r, a in ring]
    return clip_to_frame(whole, SHAPE)


def overlap(a: list, b: list) -> float:
    masks = np.zeros((2, *SHAPE), bool)
    for mask, points in zip(masks, (a, b), strict=True):
        mask[fill(*(np.array(points) - 0.5).T, SHAPE)] = True
    return float((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


@pytest.mark.parametrize(
    ("polygon", "corners", "arcs"),
    [
        (fan((-100, 400), 150, 650, 0.5), 4, 2),
        (fan((20, 400), 3, 560, 0.7), 3, 1),  # phased: one corner at the tip, no crowd
        (fan((-100, 400), 150, 650, 0.9), 8, 2),  # cut by the frame on both sides
        ([(10, 50), (10, 700), (580, 700), (580, 50)], 4, 0),
    ],
)
def test_a_polygon_by_its_corners_is_the_same_polygon(
    polygon: list, corners: int, arcs: int
) -> None:
    outline = outline_of(polygon)
    assert (len(outline.corners), len(outline.handles()) - corners) == (corners, arcs)
    assert overlap(outline.polygon(SHAPE), polygon) > 0.995


def test_a_round_shape_gets_a_few_corners() -> None:
    round_ = [(300 + 200 * np.sin(a), 400 + 200 * np.cos(a)) for a in np.linspace(0, 6.2, 60)]
    outline = outline_of(round_)
    assert 5 <= len(outline.corners) <= 12
    assert overlap(outline.polygon(SHAPE), round_) > 0.89


@pytest.fixture
def editor(cohort: Cohort) -> Iterator[SectorEditor]:
    """On a clip of 48 x 64 whose sector was found."""
    found = Sector(kind="curved", polygon=((2, 20), (2, 44), (40, 60), (40, 4)))
    cohort.clip("clip-1").update_meta(sector=found, tags=("burned-in-annotation",))
    session = Session(rater="ada")
    session.open_cohort(cohort)
    session.open_clip("clip-1")
    made = SectorEditor(session)
    yield made
    made.close()
    session.close_cohort()


def test_what_is_dragged_is_stored_and_nothing_else(editor: SectorEditor, cohort: Cohort) -> None:
    other = cohort.clip("clip-1")
    other.update_meta(tags=("burned-in-annotation", "while-open"))  # by somebody else, meanwhile
    before = other.meta
    editor.begin()
    editor.drag(0, 1, 10)
    assert cohort.clip("clip-1").meta.sector == before.sector  # nothing before it is confirmed
    assert editor.confirm()
    after = cohort.clip("clip-1").meta
    assert after.sector == Sector(
        kind="curved", polygon=((1, 10), (2, 44), (40, 60), (40, 4)), confirmed=True
    )
    assert after.model_dump(exclude={"sector"}) == before.model_dump(exclude={"sector"})
    assert not editor.active
    assert validate(cohort.location) == []


def test_as_found_is_confirmed_to_the_letter(editor: SectorEditor, cohort: Cohort) -> None:
    exact = Sector(kind="curved", polygon=tuple(fan((-9, 32), 13, 50, 0.5)[:30]))
    cohort.clip("clip-1").update_meta(sector=exact)
    editor.stored  # noqa: B018
    session = editor._session
    session.open_clip("clip-2")
    session.open_clip("clip-1")
    for begin in (False, True):
        if begin:
            editor.begin()
        assert editor.confirm()
        assert cohort.clip("clip-1").meta.sector == exact.model_copy(update={"confirmed": True})


def test_cancel_and_another_clip_leave_it_as_it_was(editor: SectorEditor, cohort: Cohort) -> None:
    before = (Path(cohort.location) / "clip-1" / "zarr.json").read_bytes()
    editor.begin()
    editor.drag(1, 30, 30)
    editor.cancel()
    assert not editor.active
    editor.begin()
    editor.drag(1, 30, 30)
    editor._session.open_clip("clip-2")
    assert not editor.active
    assert (Path(cohort.location) / "clip-1" / "zarr.json").read_bytes() == before


def test_a_corner_stays_in_the_frame(editor: SectorEditor) -> None:
    editor.begin()
    editor.drag(2, 500, 1e9)
    editor.drag(3, -500, -3)
    assert editor.handles[2:4] == [(48, 64), (0, 0)]


def test_a_crossed_or_tiny_outline_is_refused(editor: SectorEditor, cohort: Cohort) -> None:
    editor.begin()
    editor.drag(2, 40, 4)
    editor.drag(3, 40, 60)  # the lower corners have changed sides
    assert "crosses itself" in editor.problem()
    assert not editor.confirm()
    for i in range(4):
        editor.drag(i, 10 + i % 2, 10 + i // 2)
    assert "smaller than" in editor.problem()
    assert not editor.confirm()
    assert not cohort.clip("clip-1").meta.sector.confirmed
    assert crosses_itself([(0, 0), (0, 10), (10, 0), (10, 10)])
    assert not crosses_itself([(0, 0), (0, 10), (10, 10), (10, 0)])


def test_a_kind_brings_its_shape(editor: SectorEditor) -> None:
    editor.begin()
    editor.choose_kind("phased")
    assert editor.n_corners == 3
    assert len(editor.handles) == 4  # the lower arc bends
    y, x = editor.handles[3]
    editor.drag(3, y + 3, x)
    assert editor.handles[3][0] == pytest.approx(y + 3)
    editor.choose_kind("linear")
    assert editor.n_corners == len(editor.handles) == 4
    assert editor.problem() == ""


def test_a_clip_without_a_sector_gets_one(editor: SectorEditor, cohort: Cohort) -> None:
    editor._session.open_clip("clip-2")
    assert not editor.confirm()
    editor.begin()
    assert editor.problem() == ""
    assert editor.confirm()
    assert cohort.clip("clip-2").meta.sector.confirmed


def test_a_store_that_refuses_loses_nothing(
    editor: SectorEditor, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = editor._session
    editor.begin()
    editor.drag(0, 1, 10)
    node = Path(cohort.location) / "clip-1" / "zarr.json"
    kept = node.read_bytes()
    shutil.move(node, node.with_suffix(".away"))
    assert not editor.confirm()
    assert "could not be stored" in session.message
    assert editor.active
    assert editor.handles[0] == (1, 10)
    node.write_bytes(kept)
    assert editor.confirm()
    assert json.loads(node.read_bytes())["attributes"]["confseg"]["sector"]["confirmed"]
