"""Frozen datasets: same inputs same bytes, fair splits, leaks found, versions compared."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from napari_confseg.dataset import packing
from napari_confseg.dataset.build import BuildStopped, build, changed_sources
from napari_confseg.dataset.diff import compare
from napari_confseg.dataset.frozen import Dataset, versions
from napari_confseg.dataset.manifest import BuildRequest, FramePolicy
from napari_confseg.formats.export import ExportRequest, export
from napari_confseg.store import (
    Band,
    Cohort,
    Guarantee,
    Margin,
    Spacing,
    StoreError,
    Stroke,
)
from tests.agreement.opinions import read_clip
from tests.conftest import add_clip, clip_meta

if TYPE_CHECKING:
    from pathlib import Path

RATERS = {"anna": (1.0, 0.0), "bert": (0.7, 1.0)}
REQUEST = BuildRequest(name="toy", parts={"train": 0.5, "val": 0.25, "test": 0.25})


def film(cohort: Cohort, clip_name: str, digest: str) -> None:
    """Say which file a clip came from."""
    clip = cohort.clip(clip_name)
    clip.update_meta(provenance=clip.meta.provenance.model_dump() | {"source_sha256": digest})


@pytest.fixture
def study(tmp_path: Path) -> Cohort:
    """Six patients with a clip each, two raters, two classes; the last frame unreviewed."""
    # zarr's own store, which does not sync: this is no test of power cuts.
    cohort = Cohort.create(LocalStore(tmp_path / "study.zarr"), name="study")
    for i in range(6):
        add_clip(cohort, f"c{i}", patient=f"p{i}", n_frames=5)
        film(cohort, f"c{i}", hashlib.sha256(str(i).encode()).hexdigest())
        read_clip(cohort, f"c{i}", RATERS, seed=i)
    return Cohort.open(tmp_path / "study.zarr")


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under `folder`."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_holds_exactly_what_was_painted(study: Cohort, tmp_path: Path) -> None:
    dataset = build(study, REQUEST, tmp_path / "out")
    assert dataset.clips() == [f"c{i}" for i in range(6)]
    assert dataset.manifest.raters == ("anna", "bert")
    for record in dataset.manifest.clips:
        clip = study.clip(record.clip)
        assert record.frames == (0, 1, 2, 3)
        assert np.array_equal(dataset.frames(record.clip), clip.frames[:4])
        for name in RATERS:
            planes = dataset.planes(record.clip, name)
            for c in range(6):
                assert np.array_equal(planes[:, c], clip.rater(name).read_planes(c)[:4])
            assert np.array_equal(
                dataset.status(record.clip, name), clip.rater(name).read_status()[:4]
            )
            counted = record.raters[name].classes["pleura"]
            assert (counted.reviewed, counted.marked) == (4, 3)
            assert sum(counted.pixels) == np.count_nonzero(planes[:, 0])
    assert dataset.verify() == []


def test_same_inputs_same_bytes_and_no_new_version(study: Cohort, tmp_path: Path) -> None:
    first = build(study, REQUEST, tmp_path / "one")
    second = build(Cohort.open(study.location, read_only=True), REQUEST, tmp_path / "two" / "deep")
    assert digests(first.folder) == digests(second.folder)
    assert len(digests(first.folder)) > 6 * 5
    again = build(study, REQUEST, tmp_path / "one")
    assert again.folder == first.folder
    assert versions(tmp_path / "one") == [1]
    assert not list((tmp_path / "one").glob(".building*"))


def test_read_by_plain_zarr_in_few_shards(study: Cohort, tmp_path: Path) -> None:
    dataset = build(study, REQUEST, tmp_path / "out")
    for path, ours in (
        ("frames", dataset.frames("c0")),
        ("raters/bert/planes", dataset.planes("c0", "bert")),
    ):
        array = zarr.open_array(dataset.folder / "data.zarr" / "c0" / path, mode="r")
        assert array.shards is not None
        assert np.array_equal(array[:], ours)
        assert (
            sum(p.is_file() for p in (dataset.folder / "data.zarr" / "c0" / path).rglob("*")) == 2
        )


def test_direct_reading_equals_zarr_across_chunks_and_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes so small that a clip has many shards, whole and partial chunks, and empty ones."""
    cohort = Cohort.create(LocalStore(tmp_path / "long.zarr"), name="long")
    add_clip(cohort, "c", n_frames=23)
    read_clip(cohort, "c", {"anna": (1.0, 0.0)}, unreviewed=0)
    anna = cohort.clip("c").rater("anna")
    for frame in range(6, 18):
        for c in (0, 1):
            anna.write_plane(frame, c, np.zeros((48, 64), np.uint8))
    monkeypatch.setattr(packing, "CHUNK_BYTES", 2 * 6 * 48 * 64)
    monkeypatch.setattr(packing, "SHARD_BYTES", 4 * 6 * 48 * 64)
    dataset = build(cohort, BuildRequest(name="long", parts={"train": 1.0}), tmp_path / "out")
    array = dataset.array("c/raters/anna/planes")
    assert (array.chunks[0], array.shards[0]) == (2, 4)
    assert np.array_equal(dataset.planes("c", "anna"), array[:])
    assert np.array_equal(dataset.planes("c", "anna")[:, 0], anna.read_planes(0))
    assert np.array_equal(dataset.frames("c"), cohort.clip("c").frames[:])


def test_versions_and_what_changed(study: Cohort, tmp_path: Path) -> None:
    old = build(study, REQUEST, tmp_path / "out")
    assert changed_sources(study, old) == []
    anna = study.clip("c2").rater("anna")
    plane = anna.read_plane(1, 0)
    plane[:2, :5] = 70
    anna.write_plane(1, 0, plane)
    time = anna.meta.created
    anna.write_strokes(
        [Stroke(seq=1, time=time, class_index=0, frame=1, confidence=70, tool="brush", pixels=10)]
    )
    add_clip(study, "c9", patient="p9")
    read_clip(study, "c9", RATERS, seed=9)
    assert changed_sources(study, old) == ["c9: new in the cohort", "c2: marks of anna changed"]
    new = build(study, REQUEST, tmp_path / "out")
    assert versions(tmp_path / "out") == [1, 2]
    assert new.manifest.version == 2
    assert Dataset.open(tmp_path / "out").folder == new.folder
    assert Dataset.open(tmp_path / "out", 1).folder == old.folder
    changes = compare(old, new)
    assert changes.clips_added == ["c9"]
    (mark,) = changes.marks
    assert (mark.clip, mark.rater, mark.strokes, mark.status) == ("c2", "anna", 1, 0)
    assert mark.pixels == {"pleura": 10}
    assert "~ anna on c2: +1 strokes, 10 px of pleura, 0 status" in changes.lines()
    assert not compare(new, new)
    with pytest.raises(StoreError, match="v1, v2"):
        Dataset.open(tmp_path / "out", 7)


def test_a_flipped_bit_is_found(study: Cohort, tmp_path: Path) -> None:
    dataset = build(study, REQUEST, tmp_path / "out")
    files = [p for p in (dataset.folder / "data.zarr" / "c3").rglob("*") if p.is_file()]
    for path in files[:3]:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    files[3].unlink()
    codes = sorted(p.code for p in dataset.verify())
    assert codes == ["file-changed"] * 3 + ["file-missing"]


@pytest.mark.parametrize("harm", ["flipped", "index", "missing", "extra"])
def test_damage_is_refused_by_name_before_anything_is_used(
    study: Cohort, tmp_path: Path, harm: str
) -> None:
    dataset = build(study, REQUEST.model_copy(update={"raters": ("anna",)}), tmp_path / "out")
    path = "c3/raters/anna/planes/c/0/0/0/0"
    file = dataset.folder / "data.zarr" / path
    data = bytearray(file.read_bytes())
    if harm == "missing":  # which plain zarr reads as zeros
        file.unlink()
    elif harm == "extra":
        path = "c3/raters/anna/planes/c/1/0/0/0"
        (dataset.folder / "data.zarr" / path).parent.mkdir(parents=True)
        (dataset.folder / "data.zarr" / path).write_bytes(data)
        with pytest.raises(StoreError, match="not there when the dataset was frozen"):
            dataset.read_shard("c3/raters/anna/planes", 1, np.zeros((4, 6, 48, 64), np.uint8))
        return
    else:
        at = len(data) // 2 if harm == "flipped" else len(data) - 8
        data[at] ^= 4
        file.write_bytes(data)
    there = Dataset.open(tmp_path / "out")
    code = "file-missing" if harm == "missing" else "file-changed"
    for reading in (
        lambda: there.planes("c3", "anna"),
        lambda: there.array("c3/raters/anna/planes")[0],
        lambda: export(there, ExportRequest(format="png"), tmp_path / "png"),
    ):
        with pytest.raises(StoreError) as error:
            reading()
        (problem,) = error.value.problems
        assert (problem.code, problem.path) == (code, f"data.zarr/{path}")
    assert np.array_equal(there.planes("c2", "anna"), dataset.planes("c2", "anna"))


def test_a_changed_manifest_is_refused(study: Cohort, tmp_path: Path) -> None:
    dataset = build(study, REQUEST, tmp_path / "out")
    file = dataset.folder / "manifest.json"
    text = file.read_text(encoding="utf-8")
    part = dataset.manifest.split.of_clip["c0"]
    other = "test" if part != "test" else "train"
    assert f'"c0":"{part}"' in text
    file.write_text(text.replace(f'"c0":"{part}"', f'"c0":"{other}"'), encoding="utf-8")
    with pytest.raises(StoreError, match="manifest-changed"):
        Dataset.open(tmp_path / "out")


def test_the_content_hash_knows_no_name(study: Cohort, tmp_path: Path) -> None:
    one = build(study, REQUEST, tmp_path / "one")
    two = build(study, REQUEST.model_copy(update={"name": "other"}), tmp_path / "two")
    assert one.manifest.content_sha256 == two.manifest.content_sha256
    seed = build(study, REQUEST.model_copy(update={"seed": 1}), tmp_path / "three")
    assert one.manifest.content_sha256 != seed.manifest.content_sha256


def test_a_size_by_name_is_what_a_network_sees_of_the_chosen_clips(
    study: Cohort, tmp_path: Path
) -> None:
    add_clip(study, "tall", shape=(200, 100), patient="p9")  # nobody has reviewed it
    small = build(study, REQUEST.model_copy(update={"size": "study"}), tmp_path / "small")
    assert small.manifest.request.size == (48, 64)  # 48 x 64 pixels are not enlarged
    read_clip(study, "tall", RATERS)
    both = build(study, REQUEST.model_copy(update={"size": "study"}), tmp_path / "both")
    assert both.manifest.request.size == (96, 64)
    record = both.manifest.record("tall")
    assert (record.inner, record.offset) == ((96, 48), (0, 8))
    assert record.inside == (slice(0, 96), slice(8, 56))
    planes = both.planes("tall", "anna")
    assert not planes[..., :8].any()
    marked = both.marked("tall", "anna")
    assert np.array_equal(
        marked, study.clip("tall").rater("anna").read_classes(range(6)).any((2, 3)).T[:5]
    )
    with pytest.raises(ValueError, match="leaves no choice of spacing"):
        BuildRequest(name="x", size="quick", spacing=0.5)


def test_frame_policies(study: Cohort, tmp_path: Path) -> None:
    def frames(policy: str) -> tuple[int, ...]:
        request = REQUEST.model_copy(update={"frames": FramePolicy.parse(policy)})
        name = policy.replace(":", "-")
        return build(study, request, tmp_path / name).manifest.record("c1").frames

    assert frames("every:2") == (0, 2)
    anna, bert = (study.clip("c1").rater(n) for n in RATERS)
    gap = [
        sum(np.abs(anna.read_plane(f, c).astype(int) - bert.read_plane(f, c)).sum() for c in (0, 1))
        for f in range(4)
    ]
    assert frames("disagreement:2") == tuple(sorted(np.argsort(gap)[-2:].tolist()))
    with pytest.raises(ValueError, match="every:N"):
        FramePolicy.parse("every")


def test_size_and_spacing(study: Cohort, tmp_path: Path) -> None:
    sized = build(study, REQUEST.model_copy(update={"size": (96, 96)}), tmp_path / "sized")
    record = sized.manifest.record("c0")
    assert record.shape == (96, 96)
    assert record.scale == (1.5, 1.5)
    assert record.offset == (12, 0)
    planes = sized.planes("c0", "anna")
    source = study.clip("c0").rater("anna").read_planes(0)[:4]
    assert set(np.unique(planes)) <= set(
        np.unique(study.clip("c0").rater("anna").read_planes(0))
    ) | set(np.unique(planes[:, 1]))
    inner = planes[:, 0, 12:84]
    assert np.count_nonzero(inner) == pytest.approx(2.25 * np.count_nonzero(source), rel=0.05)
    assert not planes[:, :, :12].any()
    with pytest.raises(StoreError) as error:
        build(study, REQUEST.model_copy(update={"spacing": 0.5}), tmp_path / "mm")
    assert error.value.problems[0].code == "spacing-unknown"
    for name in study.clips():
        study.clip(name).update_meta(spacing=Spacing(y=0.25, x=0.5, source="manual"))
    spaced = build(study, REQUEST.model_copy(update={"spacing": 0.5}), tmp_path / "mm")
    record = spaced.manifest.record("c0")
    assert record.shape == (24, 64)
    assert record.spacing == Spacing(y=0.5, x=0.5, source="manual")


def test_split_folds_and_card(study: Cohort, tmp_path: Path) -> None:
    request = REQUEST.model_copy(update={"folds": 3, "classes": ("a-line", "pleura")})
    dataset = build(study, request, tmp_path / "out")
    m = dataset.manifest
    assert m.class_names() == ["pleura", "a-line"]
    assert set(m.split.of_clip.values()) == {"train", "val", "test"}
    assert m.folds is not None
    assert sorted(m.folds.names) == ["fold-0", "fold-1", "fold-2"]
    assert not m.leakage
    card = (dataset.folder / "README.md").read_text(encoding="utf-8")
    assert "24 frames of 6 clips of 6 patients" in card
    assert "None found" in card
    metadata = json.loads((dataset.folder / "croissant.json").read_text(encoding="utf-8"))
    assert len(metadata["recordSet"][0]["data"]) == 6
    written = (dataset.folder / "manifest.json").read_bytes()
    assert metadata["distribution"][0]["sha256"] == hashlib.sha256(written).hexdigest()


def test_what_a_model_guarantees_goes_along(study: Cohort, tmp_path: Path) -> None:
    promised = Guarantee(
        level=80,
        allowed=20,
        panel=("anna",),
        threshold=50,
        source="cohort ward",
        patients=24,
        bands={"pleura": Band(inner=90, outer=None)},
        margins={"b_line_count": Margin(half_width=1.25, unit="lines")},
    )
    for name in study.clips():
        study.clip(name).rater("bert").update_meta(kind="model", guarantee=promised)
    request = REQUEST.model_copy(update={"raters": ("anna", "bert")})
    dataset = build(study, request, tmp_path / "out")
    assert Dataset.open(dataset.folder).manifest.guarantees("bert") == [promised]
    terms = "within the sector, pleura inner from 90 %, outer all of it; b line count ± 1.2 lines"
    card = (dataset.folder / "README.md").read_text(encoding="utf-8")
    assert f"- `bert` {promised}: {terms}" in card
    for rater, said in (("bert", True), ("anna", False)):
        export(dataset, ExportRequest(format="png", rater=rater), tmp_path / rater)
        text = (tmp_path / rater / "EXPORT.md").read_text(encoding="utf-8")
        assert (terms in text) is said


@pytest.mark.filterwarnings("ignore")  # of its dependencies
def test_croissant_by_its_own_tool(study: Cohort, tmp_path: Path) -> None:
    import mlcroissant as croissant  # heavy, and full of warnings

    dataset = build(study, REQUEST, tmp_path / "out")
    metadata = croissant.Dataset(dataset.folder / "croissant.json")
    assert not metadata.metadata.ctx.issues.errors
    rows = list(metadata.records("clips"))
    assert [str(r["clips/clip"]) for r in rows] == dataset.clips()


def test_leaks_are_found(study: Cohort, tmp_path: Path) -> None:
    """The same video under two patients, and a clip that shares frames with another."""
    frames = study.clip("c0").frames[:]
    for name, patient, shift in (("d0", "q0", 0), ("d1", "q1", 1)):
        with study.new_clip(name, shape=(48, 64)) as new:
            for frame in frames:
                new.append(np.clip(frame.astype(int) + shift, 0, 255).astype(np.uint8))
            new.finish(clip_meta(5, patient=patient))
        read_clip(study, name, RATERS, seed=0)
        same = study.clip("c0").meta.provenance.source_sha256
        film(study, name, "f" * 64 if shift else same)
    for seed in range(20):  # until the split tears them apart
        request = REQUEST.model_copy(update={"seed": seed, "parts": {"train": 0.5, "test": 0.5}})
        dataset = build(study, request, tmp_path / f"s{seed}")
        part = dataset.manifest.split.of_clip
        if len({part["c0"], part["d0"]}) > 1 and len({part["c0"], part["d1"]}) > 1:
            break
    leakage = dataset.manifest.leakage
    assert leakage.videos == (("c0", "d0"),)
    pairs = {tuple(sorted((s.a, s.b))) for s in leakage.frames}
    assert {(f"c0/{i}", f"d1/{i}") for i in range(4)} <= pairs
    assert all({a.split("/")[1], b.split("/")[1]} == {a.split("/")[1]} for a, b in pairs)
    assert "one video is in two parts" in (dataset.folder / "README.md").read_text()


def test_refusals_name_every_problem(study: Cohort, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as error:
        build(study, REQUEST.model_copy(update={"classes": ("liver",), "clips": ("x",)}), tmp_path)
    assert {p.code for p in error.value.problems} == {"class-unknown", "missing"}
    with pytest.raises(StoreError, match="3 parts need as many patients, and there are 2"):
        build(study, REQUEST.model_copy(update={"clips": ("c0", "c1")}), tmp_path / "few")
    with pytest.raises(StoreError, match="No frame is reviewed"):
        build(study, REQUEST.model_copy(update={"raters": ("nobody",)}), tmp_path / "none")
    with pytest.raises(StoreError, match="confseg build"):
        Dataset.open(tmp_path)


def test_cancel_resume_gives_the_same_bytes(study: Cohort, tmp_path: Path) -> None:
    done: list[str] = []
    with pytest.raises(BuildStopped, match="3 of 6"):
        build(
            study,
            REQUEST,
            tmp_path / "out",
            progress=lambda i, n, what: done.append(what),
            cancelled=lambda: len(done) == 3,
        )
    assert versions(tmp_path / "out") == []
    anna = study.clip("c1").rater("anna")  # changes while the build rests
    anna.write_plane(2, 0, np.full((48, 64), 40, np.uint8))
    resumed = build(study, REQUEST, tmp_path / "out")
    assert digests(resumed.folder) == digests(build(study, REQUEST, tmp_path / "whole").folder)
    assert not list((tmp_path / "out").glob(".building*"))


def _build_and_die(location: str, out: Path, after: int) -> None:
    calls = []

    def progress(*_: object) -> None:
        calls.append(1)
        if len(calls) == after:
            os._exit(9)

    build(Cohort.open(location, read_only=True), REQUEST, out, progress=progress)


def test_killed_builds_leave_no_version_and_resume(study: Cohort, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for after in (1, 3, 5):
        process = context.Process(
            target=_build_and_die, args=(study.location, tmp_path / "out", after)
        )
        process.start()
        process.join(60)
        assert process.exitcode == 9
        assert versions(tmp_path / "out") == []
    resumed = build(study, REQUEST, tmp_path / "out")
    assert digests(resumed.folder) == digests(build(study, REQUEST, tmp_path / "whole").folder)


@pytest.mark.filterwarnings("ignore")  # of dask's own threads and sockets
def test_a_dask_cluster_gives_the_same_bytes(study: Cohort, tmp_path: Path) -> None:
    from distributed import LocalCluster

    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    )
    with cluster:
        remote = build(study, REQUEST, tmp_path / "far", scheduler=cluster.scheduler_address)
    assert digests(remote.folder) == digests(build(study, REQUEST, tmp_path / "near").folder)
