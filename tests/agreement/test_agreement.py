"""Agreement over a cohort against the same computed plainly from whole arrays."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.agreement.agreement import agree
from napari_confseg.agreement.kappa import interval_distance
from napari_confseg.agreement.summary import summarise, write_per_clip
from napari_confseg.store import Spacing, StoreError, Stroke
from tests.agreement.chance import coincidences, krippendorff_alpha
from tests.agreement.opinions import read_clip
from tests.conftest import add_clip

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.agreement.agreement import Agreement
    from napari_confseg.store import Cohort

RATERS = {"anna": (1.0, 0.0), "bert": (0.7, 1.0), "carl": (1.2, 1.5)}


@pytest.fixture
def read(cohort: Cohort) -> Cohort:
    """Three raters on two clips; on clip-2 carl is absent, anna excludes a corner."""
    read_clip(cohort, "clip-1", RATERS, seed=1)
    read_clip(cohort, "clip-2", dict(list(RATERS.items())[:2]), seed=2)
    anna = cohort.clip("clip-2").rater("anna")
    plane = anna.read_plane(2, 0)
    plane[:10, :30] = 255
    anna.write_plane(2, 0, plane)
    return cohort


def whole(cohort: Cohort, clip: str, names: list[str], c: int) -> np.ndarray:
    """(raters, T, Y, X) of the frames that all reviewed."""
    raters = [cohort.clip(clip).rater(n) for n in names]
    both = np.logical_and.reduce([r.read_status()[:, c] == 2 for r in raters])
    return np.stack([r.read_planes(c)[both] for r in raters])


def test_pairs_equal_whole_arrays(read: Cohort) -> None:
    agreement = agree(read, thresholds=[30, 60], classes=["pleura", "a-line"])
    assert agreement.raters == ("anna", "bert", "carl")
    seen = 0
    for clip in agreement.clips:
        for row in clip.pairs:
            c = read.meta.class_index(row.class_name)
            a, b = whole(read, clip.clip, [row.a, row.b], c)
            kept = (a != 255) & (b != 255)
            x, y = (a >= row.threshold)[kept], (b >= row.threshold)[kept]
            assert row.frames == len(a) == 5
            assert row.dice == pytest.approx(2 * (x & y).sum() / (x.sum() + y.sum()))
            assert row.iou == pytest.approx((x & y).sum() / (x | y).sum())
            seen += 1
        for soft in clip.soft:
            c = read.meta.class_index(soft.class_name)
            a, b = whole(read, clip.clip, [soft.a, soft.b], c)
            kept = (a != 255) & (b != 255)
            gap = (np.abs(a.astype(int) - b) * kept).sum((1, 2))
            assert soft.worst_frame == gap.argmax()
            assert soft.worst_pixels == pytest.approx(gap.max() / 100)
    assert seen == 2 * 2 * (3 + 1)


def test_alpha_equals_whole_arrays(read: Cohort) -> None:
    clip = agree(read, thresholds=[50], classes=["pleura"]).clips[0]
    planes = whole(read, "clip-1", list(RATERS), 0).reshape(3, -1)
    counts = np.stack([(planes == v).sum(0) for v in range(101)], 1)
    expected = krippendorff_alpha(coincidences(counts), interval_distance(counts.shape[1]))
    summary = summarise(agree(read, thresholds=[50], classes=["pleura"], clips=["clip-1"]))
    of_confidences, at_50 = summary.chance
    assert of_confidences.pixel_alpha.value == pytest.approx(expected)
    yes = (planes >= 50).sum(0)
    assert at_50.pixel_alpha.value == pytest.approx(
        krippendorff_alpha(coincidences(np.stack([3 - yes, yes], 1)), 1 - np.eye(2))
    )
    assert clip.pixels["pleura"].marginal.sum() == pytest.approx(planes.size)


def test_reliability_equals_whole_arrays(read: Cohort) -> None:
    (clip,) = agree(read, thresholds=[50], classes=["pleura"], clips=["clip-1"]).clips
    anna, bert, carl = whole(read, "clip-1", list(RATERS), 0).reshape(3, -1)
    stated = clip.stated["pleura", "anna"]
    for level in (20, 50, 80):
        here = anna == level
        assert stated.votes[level] == 2 * here.sum()
        assert stated.agreed[level] == (bert[here] >= 50).sum() + (carl[here] >= 50).sum()
    share = ((bert >= 50).astype(float) + (carl >= 50))[anna > 0] / 2
    summary = summarise(agree(read, thresholds=[50], classes=["pleura"], clips=["clip-1"]))
    mine = next(r for r in summary.reliability if r.rater == "anna")
    assert mine.correlation.value == pytest.approx(np.corrcoef(anna[anna > 0], share)[0, 1])
    assert 0 < mine.error.value < 1
    assert np.isnan(mine.error.low)  # one patient has no interval


def test_only_reviewed_frames_count_and_absence_is_an_answer(cohort: Cohort) -> None:
    read_clip(cohort, "clip-1", RATERS, seed=1)
    clip = cohort.clip("clip-1")
    bert = clip.rater("bert")
    status = bert.read_status()
    status[3:] = 1
    bert.write_status(status)
    (result,) = agree(cohort, thresholds=[50], classes=["pleura"], clips=["clip-1"]).clips
    frames = {(row.a, row.b): row.frames for row in result.pairs}
    assert frames == {("anna", "bert"): 3, ("anna", "carl"): 5, ("bert", "carl"): 3}
    presence = result.presence["pleura", 50]
    assert presence.tally.sum() == 3  # frames all three reviewed
    assert presence.tally[0] == 1  # frame 0: all say it is not there
    assert presence.coincidences.sum() == pytest.approx(3 * 3 + 2 * 2)


def test_undefined_is_nan_with_its_count(cohort: Cohort) -> None:
    read_clip(cohort, "clip-1", RATERS, seed=1, classes=1)
    for name in RATERS:  # reviewed, and never seen by anyone
        rater = cohort.clip("clip-1").rater(name)
        status = rater.read_status()
        status[:, 3] = 2
        rater.write_status(status)
    agreement = agree(cohort, thresholds=[50])
    row = next(r for r in agreement.clips[0].pairs if r.class_name == "consolidation")
    assert row.frames == 6
    assert np.isnan(row.dice)
    assert np.isnan(row.hd95)
    assert row.hd95_frames == 0
    assert not any(r.class_name == "rib" for r in agreement.clips[0].pairs)  # reviewed by nobody
    summary = summarise(agreement)
    pair = next(p for p in summary.pairs if p.class_name == "consolidation")
    assert np.isnan(pair.dice.value)
    assert pair.dice.n == 0
    assert str(pair.dice) == "– (n 0)"
    soft = next(s for s in summary.soft if s.class_name == "consolidation")
    assert np.isnan(soft.dice_curve).all()


def test_millimetres_when_the_spacing_is_known(read: Cohort) -> None:
    def hd95(agreement: Agreement) -> tuple[str, float]:
        row = agreement.clips[0].pairs[0]
        return row.unit, row.hd95

    options = {"thresholds": [30], "classes": ["pleura"], "clips": ["clip-1"]}
    unit, pixels = hd95(agree(read, **options))
    assert unit == "px"
    read.clip("clip-1").update_meta(spacing=Spacing(y=0.5, x=0.5, source="manual"))
    assert hd95(agree(read, **options)) == ("mm", pytest.approx(pixels / 2))


def test_second_readings_measure_repeatability_and_nothing_else(cohort: Cohort) -> None:
    read_clip(cohort, "clip-1", RATERS | {"anna-2": (0.9, 0.5)}, seed=1)
    agreement = agree(cohort, thresholds=[50], classes=["pleura"])
    assert agreement.group == ("anna", "bert", "carl")
    assert agreement.pairs() == [*combinations(agreement.group, 2), ("anna", "anna-2")]
    summary = summarise(agreement)
    assert [(p.a, p.b) for p in summary.pairs if p.repeat] == [("anna", "anna-2")]
    without = summarise(agree(cohort, raters=list(RATERS), thresholds=[50], classes=["pleura"]))
    assert (
        summary.chance == without.chance
        or summary.as_dict()["chance"] == without.as_dict()["chance"]
    )
    assert {r.rater for r in summary.reliability} == set(RATERS)


def test_learning_follows_the_clock(cohort: Cohort) -> None:
    """Bert's noise shrinks clip by clip; the names of the clips say nothing of the order."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for i, name in enumerate(["z", "m", "k", "b"]):
        add_clip(cohort, name, patient=f"p{i}")
        read_clip(cohort, name, {"anna": (1.0, 0.0), "bert": (0.4 + 0.2 * i, 0.0)}, seed=i)
        stroke = Stroke(
            seq=1,
            time=start + timedelta(days=i),
            class_index=0,
            frame=1,
            confidence=60,
            tool="brush",
        )
        undone = stroke.model_copy(update={"seq": 2, "undone": True, "time": start})
        cohort.clip(name).rater("bert").write_strokes([stroke, undone])
    bert = next(r for r in summarise(agree(cohort)).learning if r.rater == "bert")
    assert bert.clips == ("z", "m", "k", "b")
    assert bert.rank_correlation == pytest.approx(1)
    assert bert.slope > 0.1


def test_intervals_hold_the_value_and_json_holds_all(read: Cohort) -> None:
    summary = summarise(agree(read, thresholds=[50]))
    row = summary.pairs[0]
    assert row.dice.n == 2
    assert row.dice.low <= row.dice.value <= row.dice.high
    text = json.dumps(summary.as_dict(), allow_nan=False)
    assert '"dice": {"value": 0.' in text


def test_the_table_of_clips_holds_what_the_means_are_of(read: Cohort, tmp_path: Path) -> None:
    agreement = agree(read, thresholds=[30])
    write_per_clip(agreement, tmp_path / "clips.csv")
    with (tmp_path / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for score, of in (("dice", "pairs"), ("hd95", "pairs"), ("soft-dice", "soft")):
        for mean in getattr(summarise(agreement), of):
            key = (score, mean.class_name, mean.a, mean.b)
            mine = [r for r in rows if (r["score"], r["class"], r["a"], r["b"]) == key]
            values = [float(r["value"]) for r in mine if r["value"]]
            estimate = getattr(mean, score.replace("-", "_"))
            assert len(values) == estimate.n
            if values:
                assert np.mean(values) == pytest.approx(estimate.value, rel=1e-4)


def test_progress_cancel_and_refusals(read: Cohort) -> None:
    calls: list[tuple[int, int, str]] = []
    agreement = agree(read, progress=lambda *a: calls.append(a), cancelled=lambda: len(calls) == 1)
    assert calls == [(0, 2, "clip-1")]
    assert [c.clip for c in agreement.clips] == ["clip-1"]
    with pytest.raises(StoreError) as error:
        agree(read, raters=["anna"], classes=["liver"], thresholds=[0])
    assert [p.code for p in error.value.problems] == [
        "too-few-raters",
        "class-unknown",
        "threshold-range",
    ]
