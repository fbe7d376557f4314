"""Guarantees: measured on unseen patients alone, written with the planes that they are for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.agreement.conformal import (
    NOTHING,
    bound,
    inner_score,
    outer_score,
    rank,
    share_of,
)
from napari_confseg.readouts import Beams, clip_readouts, insonated
from napari_confseg.store import Cohort, Guarantee, Sector, Status, validate
from tests.trainer.conftest import B_LINE, PLEURA, add_toy_clip
from trainer.__main__ import main
from trainer.errors import TrainError
from trainer.guarantee import guarantee_path, load_guarantee, measure
from trainer.predict import Predictor
from trainer.shipped import STARTER, run_folder
from trainer.unseen import gather, seen_patients, unseen_clips

if TYPE_CHECKING:
    from pathlib import Path

PATIENTS, LEVEL, ALLOWED = 9, 80, 30
STARTER_FOLDER = run_folder(STARTER)


@pytest.fixture(scope="module")
def ward(tmp_path_factory) -> Cohort:
    """Nine patients, the first with two clips; read by two, the second of whom marks no B-line."""
    cohort = Cohort.create(tmp_path_factory.mktemp("ward") / "ward.zarr", name="ward")
    for i in range(PATIENTS + 1):
        name = f"clip-{i}"
        add_toy_clip(cohort, name, f"p{max(i - 1, 0)}", n_frames=2, shape=(64, 64))
        mine = cohort.clip(name).rater("reader-a")
        mine.write_status(np.full((2, len(cohort.meta.classes)), Status.REVIEWED, np.uint8))
        other = cohort.clip(name).create_rater("reader-b", kind="human")
        for t in range(2):
            other.write_plane(t, PLEURA, mine.read_plane(t, PLEURA))
        other.write_status(mine.read_status())
    return Cohort.open(cohort.location, read_only=True)


@pytest.fixture(scope="module")
def starter() -> Predictor:
    return Predictor.load(STARTER, "cpu")


def test_contours_and_intervals_are_those_of_the_pixels(ward, starter, state_dir):
    found = measure(starter, STARTER_FOLDER, ward, level=LEVEL, allowed=ALLOWED)
    assert json.loads(guarantee_path(STARTER_FOLDER).read_text())["run"] == found.run
    inner, outer, away = {}, {}, {}
    index = ward.meta.class_index("pleura")
    for name in ward.clips():
        clip = ward.clip(name)
        percent = starter.percent(np.asarray(clip.frames[:]))
        said = [
            clip_readouts(
                {c.name: rater.read_planes(c.index) for c in ward.meta.classes},
                Beams.of(clip.meta, clip.shape),
                range(2),
            ).b_line_count.mean.value
            for rater in map(clip.rater, ("reader-a", "reader-b"))
        ]
        model = clip_readouts(
            dict(zip(starter.config.classes, percent.swapaxes(0, 1), strict=True)),
            Beams.of(clip.meta, clip.shape),
            range(2),
        ).b_line_count.mean.value
        patient = clip.meta.patient
        away[patient] = max(away.get(patient, 0), abs(model - np.mean(said)))
        region = clip.rater("reader-a").read_planes(index) >= 50  # both mark it alike
        for of, value in ((inner, region), (outer, percent[:, 0])):
            of.setdefault(patient, []).append(value)
    both = [(np.stack(outer[p]), np.stack(inner[p])) for p in inner]
    down = [max(t for t in range(101) if (r & (p < t)).sum() <= 0.3 * r.sum()) for p, r in both]
    up = [
        min(
            t
            for t in range(1, 102)
            if all(((p >= s) & ~r).sum() <= 0.3 * (p >= s).sum() for s in range(t, 102))
        )
        for p, r in both
    ]
    k = rank(PATIENTS, share_of(LEVEL, sides=2))
    (row,) = [r for r in found.classes if r.class_name == "pleura"]
    assert (row.patients, row.marked, row.needed) == (9, 9, 9)
    lowest, highest = sorted(down)[-k], sorted(up)[k - 1]
    assert row.band is not None
    assert (row.band.outer or 0, row.band.inner or 101) == (lowest, highest)
    margin = found.guarantee.margins["b_line_count"]
    width = sorted(away.values())[rank(PATIENTS, share_of(LEVEL)) - 1]
    assert width <= margin.half_width < width + 0.1


def counted(percent, region):
    return [np.bincount(percent[of], minlength=NOTHING) for of in (region, ~region)]


def test_a_cut_to_the_sector_costs_no_coverage():
    """Of a panel that marks within it: contours drawn cut, whether measured cut or not."""
    rng = np.random.default_rng(7)
    share, allowed, size = share_of(90, sides=2), 0.2, (24, 32)
    inside = insonated(Sector(kind="curved", polygon=((2, 16), (20, 2), (20, 30))), size)
    scores = []
    for _ in range(300):
        percent = np.minimum(rng.gamma(1.0, 30, size), 100).astype(np.uint8)
        region = (percent + rng.normal(0, 25, size) > 60) & inside
        whole = counted(percent, region)
        cut = counted(percent[inside], region[inside])
        outer, cut_outer = outer_score(whole[0], allowed), outer_score(cut[0], allowed)
        inner, cut_inner = inner_score(*whole, allowed), inner_score(*cut, allowed)
        assert cut_outer == outer  # what lies inside is missed by the same thresholds
        assert cut_inner <= inner  # what was false outside is gone
        at = (percent >= cut_inner) & inside
        assert (at & ~region).sum() <= allowed * at.sum()
        at = (percent >= cut_outer) & inside
        assert (region & ~at).sum() <= allowed * region.sum()
        scores.append((inner, cut_inner, -cut_outer))
    given, new = np.array(scores[:150], float), np.array(scores[150:], float)
    limits = [bound(column, share) for column in given.T]
    held = (new <= limits).mean(0)
    assert (held > 0.95 - 3 * (0.05 * 0.95 * 2 / 150) ** 0.5).all()
    assert (new[:, 1] <= limits[0]).mean() >= held[0]  # measured whole, drawn cut


def test_what_lies_outside_the_sector_is_not_counted(starter, tmp_path: Path):
    cohort = Cohort.create(tmp_path / "c.zarr", name="c")
    add_toy_clip(cohort, "clip-1", "p1", n_frames=1, shape=(64, 64))
    clip = cohort.clip("clip-1")
    clip.rater("reader-a").write_status(np.full((1, 6), Status.REVIEWED, np.uint8))
    rater, index = clip.rater("reader-a"), cohort.meta.class_index("pleura")
    rater.write_plane(0, index, np.full((64, 64), 90, np.uint8))
    corners = ((0, 0), (0, 31), (63, 31), (63, 0))
    for sector, pixels in (
        (Sector(kind="linear", polygon=corners), 64 * 32),
        (Sector(kind="linear", polygon=corners, trust=0.2), 64 * 64),  # nobody has looked at it
        (Sector(kind="linear", polygon=corners, trust=0.2, confirmed=True), 64 * 32),
    ):
        clip.update_meta(sector=sector)
        found, _ = gather(starter, Cohort.open(cohort.location), ["clip-1"])
        counts = found.counts["pleura"]["p1"]
        assert counts.inside.sum() == pixels
        assert counts.outside.sum() == 0


def test_the_panels_region_is_that_of_its_mean_confidence(ward, starter):
    def marked(threshold, *panel):
        found, raters = gather(starter, ward, ["clip-2"], panel=panel, threshold=threshold)
        assert raters == (panel or ("reader-a", "reader-b"))
        return int(found.counts["b-line"]["p1"].inside.sum())

    plane = ward.clip("clip-2").rater("reader-a").read_planes(B_LINE)
    assert marked(90, "reader-a") == (plane >= 90).sum() > 0
    assert marked(45) == marked(90, "reader-a")  # half of 90, for the other marks none
    assert marked(46) == 0


def test_predict_writes_it_with_its_planes_until_the_weights_change(
    ward, starter, tmp_path: Path, state_dir, capsys
):
    found = measure(starter, STARTER_FOLDER, ward, level=LEVEL, allowed=ALLOWED)
    cohort = Cohort.create(tmp_path / "c.zarr", name="c")
    add_toy_clip(cohort, "clip-1", "q1", n_frames=1, shape=(64, 64))
    command = ["predict", STARTER, cohort.location, "--device", "cpu", "--json"]
    assert main(command) == 0
    meta = Cohort.open(cohort.location).clip("clip-1").rater(STARTER).meta
    assert meta.guarantee == found.guarantee == load_guarantee(STARTER_FOLDER)
    assert not validate(cohort.location)
    measuring = ["guarantee", STARTER, cohort.location, "--device", "cpu", "--against", STARTER]
    assert main(measuring) == 1
    assert "starter is a model, and a panel is of readers" in capsys.readouterr().err
    path = guarantee_path(STARTER_FOLDER)
    path.write_text(path.read_text().replace(found.sha256, "0" * 64))
    capsys.readouterr()
    assert main(command) == 1
    assert "was measured on other weights" in capsys.readouterr().out
    path.write_text("{")
    assert main(command) == 1
    assert "measure again with confseg-train guarantee" in capsys.readouterr().out
    path.unlink()
    assert main(command) == 0
    assert Cohort.open(cohort.location).clip("clip-1").rater(STARTER).meta.guarantee is None


def test_with_too_few_patients_it_says_how_many_are_needed(ward, state_dir, capsys):
    command = ["guarantee", STARTER, ward.location, "--device", "cpu", "--patients", "p0", "p1"]
    assert main([*command, "--level", "90"]) == 1
    said = capsys.readouterr().err
    assert "at most 2 with one class, where both contours need 19" in said
    assert "read-outs of 2, where an interval needs 9" in said
    assert not guarantee_path(STARTER_FOLDER).exists()
    assert main([*command, "--level", "50"]) == 0  # an interval needs one patient, contours three
    promised = load_guarantee(STARTER_FOLDER)
    assert promised is not None
    assert promised.bands == {}
    assert set(promised.margins) >= {"b_line_count"}
    assert "both contours need 3 of each" in " ".join(capsys.readouterr().out.split())


def test_whom_the_run_has_seen_is_left_out_and_refused(ward, starter):
    config = starter.config
    split = config.split.model_copy(
        update={"train": ("clip-0",), "validation": ("clip-3",), "validation_patients": ("p2",)}
    )
    origin = config.origin.model_copy(update={"cohort_id": ward.meta.cohort_id})
    seen = config.model_copy(update={"split": split, "origin": origin})
    assert seen_patients(ward, config) == set()
    assert seen_patients(ward, seen) == {"p0", "p2"}
    assert unseen_clips(ward, seen) == tuple(f"clip-{i}" for i in (2, 4, 5, 6, 7, 8, 9))
    assert unseen_clips(ward, seen, ["p1"]) == ("clip-2",)
    with pytest.raises(TrainError, match="fitted to p0"):
        unseen_clips(ward, seen, ["p0", "p1"])
    with pytest.raises(TrainError, match="no patient p99"):
        unseen_clips(ward, seen, ["p99"])
    everything = split.model_copy(update={"train": tuple(ward.clips())})
    with pytest.raises(TrainError, match="has seen every patient"):
        unseen_clips(ward, seen.model_copy(update={"split": everything}))


def test_only_a_models_planes_come_with_one(ward):
    promised = Guarantee(
        level=90,
        allowed=20,
        panel=("reader-a",),
        threshold=50,
        source="cohort c",
        patients=20,
        bands={},
        margins={},
    )
    meta = ward.clip("clip-0").rater("reader-a").meta.model_dump()
    with pytest.raises(ValueError, match="only a model's planes come with a guarantee"):
        type(ward.clip("clip-0").rater("reader-a").meta)(**(meta | {"guarantee": promised}))
