"""What a verdict does to the planes, against pixel-by-pixel arithmetic."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, binary_erosion
from skimage.measure import label

from napari_confseg.agreement.disagreement import linked, regions_of
from napari_confseg.agreement.maps import MAPS
from napari_confseg.agreement.rater_view import rater_views
from napari_confseg.annotate.review.decisions import (
    DecisionBasis,
    DecisionRecord,
    agreed_plane,
    decision_edit,
    resolve_regions,
    shared,
)
from napari_confseg.annotate.review.lines import (
    DASHES,
    LINE,
    RIM,
    EventOutline,
    RaterContours,
    line_width,
)
from napari_confseg.annotate.review.planes import MapOfAgreement, StoredPlanes
from napari_confseg.annotate.review.prefill import only_untouched, prefill_edits
from napari_confseg.annotate.review.state import COLORS, rater_style
from napari_confseg.store import EXCLUDED, Cohort, Status, Stroke
from tests.agreement.test_disagreement import by_name, some_planes
from tests.annotate.review.planted import (
    AGREED,
    B_LINE,
    LARGE,
    MISSED,
    SHAPE,
    begun_planes,
    planted_cohort,
)

BASIS = DecisionBasis("Dr. Lead", ("a", "b", "c"), 60, 2)


def mean_by_hand(values: list[int]) -> int:
    """Of those who do not exclude; excluded if at least half do."""
    known = [v for v in values if v != EXCLUDED]
    if 2 * (len(values) - len(known)) >= len(values):
        return EXCLUDED
    return int(np.rint(sum(known) / len(known)))


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_what_needs_no_decision(seed: int, narrowest: int) -> None:
    planes = some_planes(seed)
    found, undecided = agreed_plane(by_name(planes), 60, narrowest)
    regions = regions_of(by_name(planes), 0, 60, narrowest)
    assert undecided == bool(regions)
    asked = np.zeros(planes.shape[1:], bool)
    for r in regions:
        asked[r.y : r.box[2], r.x : r.box[3]] |= r.mask
    for y, x in product(*map(range, asked.shape)):
        values = [int(v) for v in planes[:, y, x]]
        known = [v >= 60 for v in values if v != EXCLUDED]
        mean = mean_by_hand(values)
        all_yes = len(known) >= 2 and all(known)
        sliver = len(set(known)) == 2 and not asked[y, x]
        assert found[y, x] == (mean if all_yes or sliver or mean == EXCLUDED else 0)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from(["accept", "mean", "reject"]))
def test_a_verdict_writes_its_regions_and_nothing_else(seed: int, verdict: str) -> None:
    planes = some_planes(seed)
    regions = regions_of(by_name(planes), 0, 60, 2)
    if not regions:
        return
    mine = np.random.default_rng(seed).integers(0, 101, (1, *planes.shape[1:]), np.uint8)
    after = mine.copy()
    source = "b" if verdict == "accept" else None
    found = resolve_regions(
        verdict,
        regions,
        source,  # type: ignore[arg-type]
        lambda _frame, who: {n: p for n, p in by_name(planes).items() if who in (None, n)},
    )
    assert found is not None
    edit = decision_edit(
        verdict,
        found,
        2,
        BASIS,
        source=source,
        mine=mine,  # type: ignore[arg-type]
        status=np.zeros(1, np.uint8),
        closed={0},
    )
    assert edit is not None
    for patch in edit.patches:
        patch.apply(after[0])
    inside = np.zeros(planes.shape[1:], bool)
    for r in regions:
        inside[r.y : r.box[2], r.x : r.box[3]] |= r.mask
    for y, x in product(*map(range, inside.shape)):
        values = [int(v) for v in planes[:, y, x]]
        wanted = {"accept": values[1], "mean": mean_by_hand(values), "reject": 0}[verdict]
        assert after[0, y, x] == (wanted if inside[y, x] else mine[0, y, x])
    assert [(s.before, s.after) for s in edit.status] == [(Status.UNTOUCHED, Status.REVIEWED)]
    for patch in edit.inverted().patches:
        patch.apply(after[0])
    assert np.array_equal(after, mine)


def test_what_was_touched_meanwhile_is_left_alone(tmp_path, state_dir) -> None:  # type: ignore[no-untyped-def]
    clip = planted_cohort(tmp_path, clips=1).clip("clip-1")
    frames = np.zeros((6, 3), bool)
    frames[:5, B_LINE] = True
    basis = DecisionBasis("Dr. Lead", ("ada", "bo"), 60, 3)
    (edit,) = prefill_edits(clip, basis, frames) or []
    planes = np.zeros((6, *SHAPE), np.uint8)
    for patch in edit.patches:
        patch.apply(planes[patch.frame])
    assert np.array_equal(planes, begun_planes()[:, B_LINE])
    # Frame 4 has two things: a patch each.
    assert [p.frame for p in edit.patches] == [0, 1, 2, 3, 4, 4]
    assert label(planes[4] > 0).max() == 2
    status = np.zeros((6, 3), np.uint8)
    status[4, B_LINE] = Status.IN_PROGRESS
    left = only_untouched(edit, status)
    assert left is not None
    assert {p.frame for p in left.patches} == {0, 1, 2, 3}
    assert only_untouched(edit, np.full((6, 3), 1, np.uint8)) is None
    assert prefill_edits(clip, basis, frames, cancelled=lambda: True) is None


def test_a_region_is_settled_by_its_own_decision_alone() -> None:
    planes = {n: np.zeros((40, 40), np.uint8) for n in "ab"}
    planes["a"][5:15, 5:15] = 90
    planes["a"][20:24, 5:9] = 90
    near, far = regions_of(planes, 0, 60)
    stroke = Stroke(
        seq=1,
        time="2026-01-01T00:00:00Z",
        class_index=2,
        frame=0,
        confidence=0,
        tool="adjudicate-reject",
        decision=BASIS.decision("reject", [near]),
    )  # type: ignore[arg-type]
    assert DecisionRecord([stroke]).by(2, near) is stroke
    assert DecisionRecord([stroke]).by(2, far) is None
    assert DecisionRecord([stroke]).by(1, near) is None
    assert DecisionRecord([stroke.model_copy(update={"undone": True})]).by(2, near) is None
    planes["a"][5:30, 5:38] = 90  # has grown into something else
    (grown,) = regions_of(planes, 0, 60)
    assert DecisionRecord([stroke]).by(2, grown) is None
    item = DecisionRecord([stroke]).item(linked([[near]], 2)[0])
    assert (item.open, item.decided) == ((), stroke)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 4, 4), (0, 0, 4, 4), 1.0),
        ((0, 0, 4, 4), (4, 0, 8, 4), 0.0),
        ((0, 0, 4, 4), (0, 2, 4, 6), 8 / 24),
        ((0, 0, 2, 2), (5, 5, 6, 6), 0.0),
    ],
)
def test_shared_is_intersection_over_union(
    a: tuple[int, int, int, int], b: tuple[int, int, int, int], expected: float
) -> None:
    assert shared(a, b) == pytest.approx(expected)


def test_what_is_drawn(tmp_path, state_dir) -> None:  # type: ignore[no-untyped-def]
    cohort: Cohort = planted_cohort(tmp_path, clips=1)
    told: list[str] = []
    ada, bo = (
        StoredPlanes(r, B_LINE, told.append)
        for r in rater_views(cohort.clip("clip-1"), ["ada", "bo"])
    )
    assert ada[2][MISSED[2]].min() == 80
    assert not bo[2][MISSED[2]].any()
    votes = MapOfAgreement([ada, bo], MAPS["votes"][1], 60)
    assert set(np.unique(votes[2][MISSED[2]])) == {1}
    assert set(np.unique(votes[2])) == {0, 1, 2}
    assert not votes[5].any()  # bo has not reviewed it
    chunk = tmp_path / "cohort.zarr/clip-1/raters/ada/0/c/3/2/0/0"
    chunk.write_bytes(b"broken")
    assert not ada[3].any()
    assert "ada, frame 4 cannot be read" in told[0]
    regions = regions_of({"ada": ada[2], "bo": bo[2]}, 2, 60)
    outline = EventOutline(linked([regions], B_LINE)[0], (6, *SHAPE))
    outline.set_width(2)
    assert not outline[1].any()
    drawn = outline[2].reshape(SHAPE[0], 4, SHAPE[1], 4).max(axis=(1, 3))  # four times finer
    assert not drawn[MISSED[2]].any()  # the line runs around it
    assert set(np.unique(drawn[36:64, 18:36])) == {0, RIM, LINE}


def test_contours_run_around_what_counts_as_marked_and_leave_the_texture(
    tmp_path, state_dir
) -> None:  # type: ignore[no-untyped-def]
    cohort: Cohort = planted_cohort(tmp_path, clips=1)
    (ada,) = (
        StoredPlanes(r, B_LINE, pytest.fail) for r in rater_views(cohort.clip("clip-1"), ["ada"])
    )
    inks = []
    for direction in range(len(DASHES)):
        contour = RaterContours(ada, direction, 60)
        contour.set_width(2)
        ink = contour[4] == LINE
        y, x = np.nonzero(ink)
        edges = np.zeros((SHAPE[0], SHAPE[1]), bool)
        for box in (AGREED, LARGE):
            inside = np.zeros_like(edges)
            inside[box] = True
            edges |= binary_dilation(inside) & ~binary_erosion(inside)
        assert edges[y // 4, x // 4].all()  # along the edges and nowhere else
        inks.append(ink)
    around = 4 * sum(2 * (h + w) for h, w in ((20, 10), (30, 30)))  # in pixels four times finer
    assert inks[0].sum() == pytest.approx(2 * around, rel=0.1)  # solid, half a pixel wide
    for ink, (on, whole) in zip(inks[1:], ((6, 9), (1.5, 4), (7.5, 11.5)), strict=True):
        assert ink.sum() == pytest.approx(inks[0].sum() * on / whole, rel=0.25)
        assert not (ink & ~inks[0]).any()
    assert not RaterContours(ada, 0, 91)[4].any()  # nobody is that sure
    # As wide on the screen whatever the zoom.
    assert [line_width(4, zoom) for zoom in (0.5, 1.6, 4, 30)] == [13, 4, 2, 1]


def test_colour_blind_readers_tell_the_raters_apart() -> None:
    from skimage.color import deltaE_ciede2000, rgb2lab

    # Machado, Oliveira and Fernandes (2009), severity 1.0, on linear light.
    deficits = {
        "none": np.eye(3),
        "protan": np.array(
            [
                [0.152286, 1.052583, -0.204868],
                [0.114503, 0.786281, 0.099216],
                [-0.003882, -0.048116, 1.051998],
            ]
        ),
        "deutan": np.array(
            [
                [0.367322, 0.860646, -0.227968],
                [0.280085, 0.672501, 0.047413],
                [-0.011820, 0.042940, 0.968881],
            ]
        ),
        "tritan": np.array(
            [
                [1.255528, -0.076749, -0.178779],
                [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.303900],
            ]
        ),
    }
    srgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in COLORS])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    for deficit in deficits.values():
        seen = np.clip(linear @ deficit.T, 0, 1)
        back = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
        lab = rgb2lab(back)
        for i, j in product(range(4), repeat=2):
            if i < j:
                assert deltaE_ciede2000(lab[i], lab[j]) > 8
    styles = [rater_style(n) for n in range(12)]
    assert len(set(styles)) == 12
