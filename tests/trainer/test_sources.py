"""A frozen dataset is learnt from, and scored on, as the cohort that it was built from."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_confseg.dataset.as_cohort import FrozenCohort
from napari_confseg.dataset.build import build
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.job import CHECKPOINT, Failed, FitRequest, RunFolder
from napari_confseg.store import Cohort, Sector, Spacing, Status, StoreError
from tests.trainer.conftest import add_toy_clip
from trainer.checkpoint import load_config
from trainer.data import class_indices, find_sources, read_samples
from trainer.errors import TrainError
from trainer.evaluate import evaluate
from trainer.run_job import execute
from trainer.sources import open_source

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from napari_confseg.dataset.frozen import Dataset
    from trainer.checkpoint import RunConfig

CLASSES = ("pleura", "b-line")


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Six patients, two readers, frames of three sizes, some not reviewed. Don't write to it."""
    cohort = Cohort.create(tmp_path_factory.mktemp("ward") / "ward.zarr", name="ward")
    shapes = [(150, 201), (150, 201), (97, 160), (150, 201), (180, 140), (97, 160)]
    for i, shape in enumerate(shapes):
        sector = Sector(kind="linear", polygon=((5, 10), (5, 120), (90, 120), (90, 10)))
        add_toy_clip(
            cohort,
            f"clip-{i}",
            f"p{i}",
            shape=shape,
            zone=f"r{i}",
            sector=sector,
            spacing=Spacing(y=0.5, x=0.25, source="synthetic"),
        )
        clip = cohort.clip(f"clip-{i}")
        first = clip.rater("reader-a")
        status = first.read_status()
        status[2] = Status.IN_PROGRESS
        first.write_status(status)
        second = clip.create_rater("reader-b", kind="human")
        for t in (1, 3):
            for c in range(3):
                plane = first.read_plane(t, c)
                second.write_plane(t, c, np.where(plane > 60, 80, 0).astype(np.uint8))
        status = np.zeros_like(status)
        status[[1, 2, 3], :3] = Status.REVIEWED
        second.write_status(status)
    return cohort


def freeze(cohort: Cohort, out: Path, **changes: Any) -> Dataset:
    fields: dict[str, Any] = {"name": "frozen", "classes": CLASSES, "parts": {"train": 1.0}}
    return build(
        Cohort.open(cohort.location, read_only=True), BuildRequest(**fields | changes), out
    )


def fitted(path: Path, asked: FitRequest) -> RunConfig:
    events: list[Any] = []
    assert execute(RunFolder.create(path, asked), events.append) is not None, events[-1]
    return load_config(path)


def refused(path: Path, asked: FitRequest) -> str:
    events: list[Any] = []
    assert execute(RunFolder.create(path, asked), events.append) is None
    (failed,) = [e for e in events if isinstance(e, Failed)]
    return failed.error


def asked(**changes: Any) -> FitRequest:
    fields: dict[str, Any] = {
        "rater": "model-a",
        "classes": CLASSES,
        "steps": 3,
        "size": "study",
        "threads": 1,
        "device": "cpu",
        "precision": "fp32",
        "method": {"name": "threshold", "params": {"t": 60}},
    }
    return FitRequest(**fields | changes)


@pytest.mark.parametrize("size", ["study", None])
def test_a_dataset_of_all_reviewed_frames_gives_the_bits_of_the_cohort(tmp_path, ward, size):
    """At the network's own size, and as large as the frames are, which is then resampled here."""
    dataset = freeze(ward, tmp_path / "frozen", size=size)
    on_cohort = fitted(tmp_path / "a", asked(cohort=ward.location))
    on_dataset = fitted(tmp_path / "b", asked(dataset=str(dataset.folder)))
    assert on_cohort.canvas == on_dataset.canvas == (96, 96)
    if size:
        assert dataset.manifest.request.size == (96, 96)
    assert on_cohort.split == on_dataset.split
    assert len(on_cohort.split.validation) == 1
    assert (tmp_path / "a" / CHECKPOINT).read_bytes() == (tmp_path / "b" / CHECKPOINT).read_bytes()


def test_what_is_read_is_the_same_to_the_last_pixel(tmp_path, ward):
    source = FrozenCohort(freeze(ward, tmp_path / "frozen", size="quick"))
    canvas = source.dataset.manifest.request.pixels
    assert canvas == (128, 128)
    samples = [
        read_samples(find_sources(s, CLASSES, ()), class_indices(s, CLASSES), canvas)
        for s in (ward, source)
    ]
    for name in ("frames", "planes"):
        assert torch.equal(*(getattr(s, name)[:] for s in samples))
    for name in ("reviewed", "frame_of", "rater_of"):
        assert torch.equal(*(getattr(s, name) for s in samples))
    assert samples[0].content_sha256() == samples[1].content_sha256()
    assert samples[0].raters == ("reader-a", "reader-b")
    assert sorted(set(samples[0].times)) == [0, 1, 2, 3, 4]


def test_config_says_what_was_learnt_from(tmp_path, ward):
    dataset = freeze(ward, tmp_path / "frozen")
    origin = fitted(tmp_path / "run", asked(dataset=str(dataset.folder))).origin
    assert (origin.kind, origin.name) == ("dataset", "frozen/v1")
    assert origin.sha256 == dataset.manifest.content_sha256
    assert origin.cohort_id == ward.meta.cohort_id
    first = fitted(tmp_path / "c1", asked(cohort=ward.location)).origin
    again = fitted(tmp_path / "c2", asked(cohort=ward.location, steps=1)).origin
    other = fitted(tmp_path / "c3", asked(cohort=ward.location, raters=("reader-a",))).origin
    assert (first.kind, first.name) == ("cohort", "ward")
    assert first == again
    assert first.sha256 != other.sha256


def test_parts_of_a_dataset_are_kept(tmp_path, ward):
    parts = {"train": 0.5, "val": 0.25, "test": 0.25}
    dataset = freeze(ward, tmp_path / "frozen", parts=parts)
    split = fitted(tmp_path / "run", asked(dataset=str(dataset.folder))).split
    of_clip = dataset.manifest.split.of_clip
    for name, clips in (("train", split.train), ("val", split.validation), ("test", split.test)):
        assert sorted(clips) == sorted(c for c, part in of_clip.items() if part == name)
    assert split.test_name == "part test"
    fewer = fitted(tmp_path / "held", asked(dataset=str(dataset.folder), held_out=("p0",))).split
    assert "clip-0" in fewer.test
    assert set(fewer.train) | set(fewer.validation) == {*split.train, *split.validation} - {
        "clip-0"
    }
    odd = freeze(ward, tmp_path / "odd", parts={"one": 0.5, "two": 0.5})
    said = refused(tmp_path / "no", asked(dataset=str(odd.folder)))
    assert said == "Dataset frozen/v1 has no part called train: its parts are one, two"


def test_a_fold_of_a_dataset_is_kept_apart(tmp_path, ward):
    dataset = freeze(ward, tmp_path / "frozen", folds=3)
    folds = dataset.manifest.folds
    assert folds is not None
    for k in range(3):
        split = fitted(tmp_path / f"run-{k}", asked(dataset=str(dataset.folder), fold=k)).split
        held = [c for c, name in folds.of_clip.items() if name == f"fold-{k}"]
        assert sorted(split.test) == sorted(held)
        assert split.test_name == f"fold {k}"
        assert sorted((*split.train, *split.validation, *held)) == dataset.clips()
    assert "There is no fold 3" in refused(
        tmp_path / "x", asked(dataset=str(dataset.folder), fold=3)
    )
    none = freeze(ward, tmp_path / "none")
    said = refused(tmp_path / "y", asked(dataset=str(none.folder), fold=0))
    assert said == "Dataset frozen/v1 has no folds"


def test_all_raters_of_a_dataset_teach_but_the_truth(tmp_path, toy):
    for name, kind in (("staple", "consensus"), ("truth", "truth")):
        for clip in map(toy.clip, toy.clips()):
            rater = clip.create_rater(name, kind=kind)
            rater.write_status(clip.rater("reader-a").read_status())
    dataset = freeze(toy, tmp_path / "frozen", raters=("reader-a", "staple", "truth"))
    config = fitted(tmp_path / "run", asked(dataset=str(dataset.folder)))
    assert config.raters == ("reader-a", "staple")
    alone = freeze(toy, tmp_path / "alone", raters=("truth",))
    assert fitted(tmp_path / "t", asked(dataset=str(alone.folder))).raters == ("truth",)


@pytest.mark.parametrize("harm", ["changed", "missing", "manifest"])
def test_a_damaged_dataset_is_refused_by_name(tmp_path, ward, harm):
    dataset = freeze(ward, tmp_path / "frozen")
    shard = "data.zarr/clip-2/raters/reader-b/planes/c/0/0/0/0"
    file = dataset.folder / (shard if harm != "manifest" else "manifest.json")
    if harm == "missing":
        file.unlink()
    elif harm == "changed":
        data = bytearray(file.read_bytes())
        data[-8] ^= 1  # in the index of the shard
        file.write_bytes(data)
    else:
        text = file.read_text(encoding="utf-8")
        assert '"seed":0' in text
        file.write_text(text.replace('"seed":0', '"seed":1', 1), encoding="utf-8")
    said = refused(tmp_path / "run", asked(dataset=str(dataset.folder)))
    assert (f"file-{harm}" if harm != "manifest" else "manifest-changed") in said
    assert (shard if harm != "manifest" else "manifest.json") in said


def test_a_dataset_that_was_replaced_is_not_resumed_on(tmp_path, ward):
    dataset = freeze(ward, tmp_path / "frozen")
    run = RunFolder.create(tmp_path / "run", asked(dataset=str(dataset.folder)))
    run.cancel()
    result = execute(run)
    assert result is not None
    assert result.stopped
    shutil.rmtree(dataset.folder)
    freeze(ward, tmp_path / "frozen", seed=1, folds=2)
    events: list[Any] = []
    assert execute(run, events.append) is None
    assert "This run began with dataset frozen/v1" in events[-1].error


def test_marks_that_changed_are_told_when_a_run_is_resumed(tmp_path, toy):
    run = RunFolder.create(tmp_path / "run", asked(cohort=toy.location))
    run.cancel()
    assert execute(run) is not None
    toy.clip("clip-1").rater("reader-a").write_plane(0, 0, np.full((32, 48), 40, np.uint8))
    events: list[Any] = []
    assert execute(run, events.append) is not None
    (started,) = [e for e in events if e.event == "started"]
    assert "marks have changed" in started.facts["changed"]


def test_scores_on_the_test_part_equal_those_on_the_cohort(tmp_path, ward):
    parts = {"train": 0.5, "val": 0.25, "test": 0.25}
    dataset = freeze(ward, tmp_path / "frozen", parts=parts)
    fitted(tmp_path / "run", asked(dataset=str(dataset.folder)))
    source = open_source(str(dataset.folder))
    there = evaluate(tmp_path / "run", source, device="cpu")
    assert (there.data, there.part) == ("dataset frozen/v1", "part test")
    test = [c for c, part in dataset.manifest.split.of_clip.items() if part == "test"]
    assert {case.clip for case in there.cases} == set(test)
    patients = sorted(ward.clip(c).meta.patient for c in test)
    assert there.note == f"Patients that took no part in the fit: {', '.join(patients)}."
    here = evaluate(tmp_path / "run", ward, device="cpu")
    assert (here.data, here.part) == ("cohort ward", "part test")
    assert (
        json.loads(here.model_dump_json())["cases"] == json.loads(there.model_dump_json())["cases"]
    )


def test_scores_on_a_dataset_that_was_not_learnt_from(tmp_path, ward):
    fitted(tmp_path / "run", asked(cohort=ward.location))
    parts = {"train": 0.5, "val": 0.25, "test": 0.25}
    source = FrozenCohort(freeze(ward, tmp_path / "frozen", parts=parts, seed=2))
    found = evaluate(tmp_path / "run", source, device="cpu")
    assert found.part == "part test"
    clips = {case.clip for case in found.cases}
    split = load_config(tmp_path / "run").split
    if known := clips & set(split.train):
        assert found.note == f"The model has learnt from {len(known)} of these {len(clips)} clips."
    whole = FrozenCohort(freeze(ward, tmp_path / "whole"))
    assert evaluate(tmp_path / "run", whole, device="cpu").part == "validation"


def test_a_frozen_clip_reads_as_the_clip_does(tmp_path, ward):
    """At half the size: spacing and sector follow, frames keep their numbers."""
    dataset = freeze(ward, tmp_path / "frozen", size=(96, 96))
    clip, before = FrozenCohort(dataset).clip("clip-2"), ward.clip("clip-2")
    assert clip.shape == (5, 58, 96)
    assert clip.meta.patient == "p2"
    assert clip.meta.zone == "r2"
    assert clip.meta.spacing is not None
    assert clip.meta.spacing.x == pytest.approx(0.25 / 0.6)
    assert clip.meta.sector is not None
    assert before.meta.sector is not None
    scaled = np.array(before.meta.sector.polygon) * (58 / 97, 0.6)
    assert np.allclose(clip.meta.sector.polygon, scaled, atol=2e-3)
    rater = clip.rater("reader-b")
    assert rater.meta.kind == "human"
    status = before.rater("reader-b").read_status()[:, [0, 2]]
    assert np.array_equal(rater.read_status(), status)
    assert rater.stored_chunks() == [(1, 0), (1, 1), (3, 0), (3, 1)]
    assert np.array_equal(rater.read_planes(1)[3], rater.read_plane(3, 1))
    with pytest.raises(KeyError, match="no class 'rib' in dataset 'frozen/v1'; it has pleura"):
        FrozenCohort(dataset).meta.class_index("rib")
    for missing in (lambda: FrozenCohort(dataset).clip("x"), lambda: clip.rater("x")):
        with pytest.raises(StoreError, match=r"\[missing\]"):
            missing()
    with pytest.raises(TrainError, match="Choose among the classes of dataset frozen/v1"):
        class_indices(FrozenCohort(dataset), ("rib",))


def test_a_fit_needs_something_to_learn_from():
    for wrong, said in (
        ({}, "name a cohort or a dataset"),
        ({"cohort": "c", "fold": 1}, "only a frozen dataset has folds"),
        ({"dataset": "d", "preview_clip": "c"}, "can't be marked"),
    ):
        with pytest.raises(ValueError, match=said):
            asked(**wrong)
