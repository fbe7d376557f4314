"""Consensus in the store, and STAPLE against SimpleITK."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest

from napari_confseg.agreement.agreement import agree
from napari_confseg.agreement.consensus import (
    ConsensusRequest,
    estimate,
    make_consensus,
    merge,
    threshold_codes,
)
from napari_confseg.agreement.methods import METHODS, ConsensusMethod
from napari_confseg.agreement.patterns import Collector
from napari_confseg.store import (
    Cohort,
    Identity,
    ProgramWriter,
    Rater,
    Status,
    StoreError,
    validate,
)
from tests.agreement.opinions import ambiguous_frames, read_clip

if TYPE_CHECKING:
    from collections.abc import Iterator

RATERS = {"anna": (1.0, 0.0), "bert": (0.7, 1.0), "carl": (1.2, 1.5)}


@pytest.fixture
def read(cohort: Cohort) -> Cohort:
    read_clip(cohort, "clip-1", RATERS, seed=1)
    read_clip(cohort, "clip-2", dict(list(RATERS.items())[:2]), seed=2)
    return cohort


@pytest.mark.parametrize("seed", range(3))
def test_staple_equals_simpleitk(seed: int) -> None:
    import SimpleITK as sitk  # noqa: N813

    frames = [f for f in ambiguous_frames(seed, 12) if any(p.any() for p in f[2].values())]
    names = ("a", "b", "c")
    collector = Collector(names, threshold_codes(30))
    for _, _, planes in frames:
        collector.add(planes)
    rule, fitted = estimate("staple", collector.patterns(), 30)
    staple = sitk.STAPLEImageFilter()
    staple.SetForegroundValue(1)
    volumes = [np.stack([f[2][n] >= 30 for f in frames]).astype(np.uint8) for n in names]
    theirs = sitk.GetArrayFromImage(staple.Execute([sitk.GetImageFromArray(v) for v in volumes]))
    found = fitted["raters"]
    assert [found[n]["sensitivity"] for n in names] == pytest.approx(
        staple.GetSensitivity(), abs=2e-4
    )
    assert [found[n]["specificity"] for n in names] == pytest.approx(
        staple.GetSpecificity(), abs=2e-4
    )
    ours = np.stack([merge(names, f[2], rule) for f in frames])
    marked = np.any(volumes, 0)
    assert np.abs(ours[marked] - 100 * theirs[marked]).max() < 1.5  # we store whole percent


def test_empty_planes_give_numbers(read: Cohort) -> None:
    for name in RATERS:
        rater = read.clip("clip-1").rater(name)
        status = rater.read_status()
        status[:, 3] = 2  # reviewed by all, seen by nobody: SimpleITK answers NaN
        rater.write_status(status)
    for method in METHODS:
        make_consensus(read, ConsensusRequest(method=method, classes=["consolidation"]))
        made = read.clip("clip-1").rater(method)
        assert not made.stored_chunks()
        assert (made.read_status()[:, 3] == Status.REVIEWED).all()


@pytest.mark.parametrize("method", METHODS)
def test_each_is_a_rater_that_can_be_read_and_compared(
    read: Cohort, method: ConsensusMethod
) -> None:
    report = make_consensus(read, ConsensusRequest(method=method, classes=["pleura", "a-line"]))
    assert report.clips == ["clip-1", "clip-2"]
    assert report.raters == tuple(RATERS)
    assert report.frames == 2 * 2 * 5
    again = Cohort.open(read.location, read_only=True)
    made = again.clip("clip-1").rater(method)
    assert made.meta.kind == "consensus"
    expected = np.zeros((6, 6), np.uint8)
    expected[:5, :2] = Status.REVIEWED
    assert np.array_equal(made.read_status(), expected)
    assert made.read_planes(0).max() > 60
    agreement = agree(again, raters=["anna", method], thresholds=[50], classes=["pleura"])
    assert all(row.dice > 0.5 for clip in agreement.clips for row in clip.pairs)
    assert bool(report.fitted) == (method not in ("majority", "mean"))


def test_mean_and_majority_are_what_they_say(read: Cohort) -> None:
    make_consensus(read, ConsensusRequest(method="mean", classes=["pleura"]))
    make_consensus(read, ConsensusRequest(method="majority", classes=["pleura"], threshold=40))
    clip = read.clip("clip-1")
    planes = np.stack([clip.rater(n).read_planes(0) for n in RATERS])
    assert np.array_equal(clip.rater("mean").read_planes(0), np.rint(planes.mean(0)))
    assert np.array_equal(clip.rater("majority").read_planes(0), 100 * ((planes >= 40).sum(0) >= 2))


def test_again_replaces_and_leaves_nothing_behind(read: Cohort) -> None:
    make_consensus(read, ConsensusRequest(method="mean", name="all", classes=["pleura"]))
    for name in RATERS:
        rater = read.clip("clip-1").rater(name)
        rater.write_plane(2, 0, np.zeros((48, 64), np.uint8))
    make_consensus(read, ConsensusRequest(method="majority", name="all", classes=["pleura"]))
    planes = read.clip("clip-1").rater("all").read_planes(0)
    assert not planes[2].any()
    assert set(np.unique(planes)) == {0, 100}


def test_stopped_over_an_older_one_it_does_not_count_as_reviewed(
    read: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_consensus(
        read,
        ConsensusRequest(method="mean", name="all", classes=["pleura", "a-line"], clips=["clip-1"]),
    )
    bulk, done = Rater.bulk, []

    @contextmanager
    def fail_at_the_third(rater: Rater) -> Iterator[Any]:
        with bulk(rater) as write:

            def write_plane(*arguments: Any) -> None:
                done.append(arguments)
                if len(done) == 3:
                    raise OSError(28, "No space left on device")
                write(*arguments)

            yield write_plane

    monkeypatch.setattr(Rater, "bulk", fail_at_the_third)
    with pytest.raises(OSError, match="No space"):
        make_consensus(
            read,
            ConsensusRequest(method="majority", name="all", classes=["pleura"], clips=["clip-1"]),
        )
    made = read.clip("clip-1").rater("all")
    status = made.read_status()
    assert not status[:, 0].any()
    assert (status[:5, 1] == Status.REVIEWED).all()  # another class, which was not to be made
    assert made.meta.label == "majority of 3 raters"
    monkeypatch.undo()
    make_consensus(
        read, ConsensusRequest(method="majority", name="all", classes=["pleura"], clips=["clip-1"])
    )
    assert (made.read_status()[:5, :2] == Status.REVIEWED).all()


def test_a_consensus_that_is_being_written_is_left_alone(read: Cohort) -> None:
    clip = read.clip("clip-1")
    with ProgramWriter(clip, "all", Identity("consensus")) as writer:
        with pytest.raises(StoreError, match="Read-only: "):
            make_consensus(read, ConsensusRequest(method="mean", name="all", clips=["clip-1"]))
        assert not writer.rater.read_status().any()
    make_consensus(read, ConsensusRequest(method="mean", name="all", clips=["clip-1"]))
    assert not validate(read.store)


def test_exclusion_and_least(read: Cohort) -> None:
    clip = read.clip("clip-2")
    for name, rows in {"anna": 6, "bert": 3}.items():
        plane = clip.rater(name).read_plane(1, 0)
        plane[:rows] = 255
        clip.rater(name).write_plane(1, 0, plane)
    make_consensus(read, ConsensusRequest(method="mean", classes=["pleura"]))
    made = read.clip("clip-2").rater("mean").read_plane(1, 0)
    assert (made[:6] == 255).all()  # half of two is enough
    assert (made[6:] <= 100).all()
    report = make_consensus(
        read, ConsensusRequest(method="mean", classes=["pleura"], least=3, name="three")
    )
    assert report.clips == ["clip-1"]


def test_refusals_name_what_is_wrong(read: Cohort) -> None:
    with pytest.raises(StoreError) as error:
        make_consensus(
            read,
            ConsensusRequest(
                method="mean", name="anna", raters=["anna", "bert"], classes=["liver"]
            ),
        )
    assert {p.code for p in error.value.problems} == {
        "rater-itself",
        "class-unknown",
        "rater-kind",
    }


def test_cancel_keeps_whole_clips(read: Cohort) -> None:
    calls: list[str] = []
    report = make_consensus(
        read,
        ConsensusRequest(method="mean", classes=["pleura"]),
        progress=lambda done, of, what: calls.append(f"{done}/{of} {what}"),
        cancelled=lambda: len(calls) == 2,
    )
    assert calls == ["0/3 estimating pleura", "1/3 clip-1"]
    assert report.clips == ["clip-1"]
    assert "mean" not in read.clip("clip-2").raters()


def test_the_page_of_methods_is_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs/explanation/consensus.md").read_text("utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert [(name.strip("| `"), purpose.removesuffix(" |")) for name, purpose in rows] == [
        (name, about.purpose) for name, about in METHODS.items()
    ]
    assert tuple(METHODS) == get_args(ConsensusMethod)


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match="no consensus method 'median'; use calibrated, mean"):
        estimate("median", Collector(["a"]).patterns())  # type: ignore[arg-type]
