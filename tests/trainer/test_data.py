"""What is read from the store is what raters said, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_confseg.dataset.resample import Resampler
from napari_confseg.store import EXCLUDED, Imported, Status
from tests.small_disk import disk_of, needs_mount
from tests.trainer.conftest import B_LINE, PLEURA, add_toy_clip
from trainer.data import find_sources, read_samples
from trainer.errors import TrainError
from trainer.full_size import to_frame_size
from trainer.records import Records

CLASSES = ("pleura", "b-line")


def read(cohort, *, raters=(), canvas=(32, 48), **options):
    sources = find_sources(cohort, CLASSES, raters)
    return read_samples(sources, [PLEURA, B_LINE], canvas, **options).unpacked(torch.device("cpu"))


def test_at_its_own_size_every_pixel_arrives(shared_toy):
    samples = read(shared_toy)
    assert samples.frames.shape == (20, 32, 48)
    assert samples.planes.shape == (20, 2, 32, 48)
    for i, (name, t) in enumerate(zip(samples.clips, samples.times, strict=True)):
        clip = shared_toy.clip(name)
        assert np.array_equal(samples.frames[samples.frame_of[i]], clip.frames[t])
        for c, index in enumerate((PLEURA, B_LINE)):
            assert np.array_equal(samples.planes[i, c], clip.rater("reader-a").read_plane(t, index))


def test_frames_are_stored_once_however_many_raters_marked_them(toy):
    clip = toy.clip("clip-1")
    second = clip.create_rater("reader-b", kind="human")
    status = np.zeros((5, 6), np.uint8)
    status[[1, 3], B_LINE] = Status.REVIEWED
    second.write_status(status)
    samples = read(toy)
    assert len(samples.frames) == 20
    assert len(samples) == 22
    only = read(toy, raters=["reader-b"])
    assert (only.clips, only.times) == (("clip-1", "clip-1"), (1, 3))
    assert only.reviewed.tolist() == [[False, True], [False, True]]
    assert np.array_equal(only.frames[0], clip.frames[1])


def test_models_and_the_truth_are_not_learnt_from_unless_named(toy):
    for kind in ("model", "truth", "consensus"):
        rater = toy.clip("clip-0").create_rater(f"the-{kind}", kind=kind)
        rater.write_status(np.full((5, 6), Status.REVIEWED, np.uint8))
    assert len(read(toy)) == 20
    assert len(read(toy, raters=["the-truth"])) == 5


def test_touched_but_not_reviewed_frames_are_left_out(toy):
    rater = toy.clip("clip-2").rater("reader-a")
    status = rater.read_status()
    status[:, :] = Status.IN_PROGRESS
    status[4, PLEURA] = Status.REVIEWED
    rater.write_status(status)
    samples = read(toy)
    assert [t for c, t in zip(samples.clips, samples.times, strict=True) if c == "clip-2"] == [4]
    assert samples.reviewed[-6].tolist() == [True, False]


@pytest.mark.parametrize("shape", [(40, 64), (100, 60), (480, 640), (20, 20)])
@pytest.mark.parametrize("canvas", [(64, 64), (48, 96)])
def test_what_is_fitted_and_unfitted_lies_where_it_was(shape, canvas):
    y, x = np.mgrid[: shape[0], : shape[1]]
    cy, cx, r = shape[0] * 0.3, shape[1] * 0.6, min(shape) * 0.2
    disc = (255 * (np.hypot(y - cy, x - cx) < r)).astype(np.uint8)
    resampler = Resampler.into(shape, canvas)
    fitted = torch.from_numpy(resampler.frame(disc))
    back = to_frame_size(fitted[None, None].float(), shape)[0, 0].numpy()
    for axis, expected in ((y, cy), (x, cx)):
        assert (axis * back).sum() / back.sum() == pytest.approx(expected, abs=0.02 * max(shape))
    plane = resampler.plane((disc > 0).astype(np.uint8))
    assert ((plane == 1) != (fitted.numpy() > 127)).mean() < 0.04


def test_frames_of_different_sizes_share_a_canvas(toy):
    add_toy_clip(toy, "tall", "p9", shape=(64, 40))
    samples = read(toy, canvas=(48, 48))
    assert samples.frames.shape[1:] == (48, 48)
    assert (samples.planes[-1, :, :, :9] == EXCLUDED).all()
    assert (samples.planes[-1, :, :, 39:] == EXCLUDED).all()
    assert (samples.planes[-1, :, :, 9:39] != EXCLUDED).all()


def test_nobody_reviewed_anything(cohort):
    clip = cohort.clip("clip-1")
    clip.create_rater("reader-a", kind="human")
    with pytest.raises(TrainError, match=r"Nobody has reviewed any frame .*press 'Reviewed'"):
        find_sources(cohort, CLASSES, ())


def test_what_was_imported_is_learnt_from_only_by_name_and_that_is_said(cohort):
    origin = Imported(format="coco", made_by=None)
    rater = cohort.clip("clip-1").create_rater("tom", kind="human", imported=origin)
    rater.write_status(np.full(rater.shape[:2], Status.REVIEWED, np.uint8))
    with pytest.raises(TrainError, match=r"No rater of .* is learnt from unless named") as refused:
        find_sources(cohort, CLASSES, ())
    assert "Its raters are tom" in refused.value.hint
    assert find_sources(cohort, CLASSES, ("tom",))


def test_unknown_rater_and_class(shared_toy):
    with pytest.raises(
        TrainError, match=r"No clip of toy has a rater called reader-z\. It has reader-a\."
    ):
        find_sources(shared_toy, CLASSES, ["reader-z"])
    with pytest.raises(TrainError, match="no class 'b-lines' in cohort 'toy'; it has pleura"):
        find_sources(shared_toy, ("b-lines",), ())


PLACES = [
    lambda cohort: (
        cohort.clip("clip-1")
        .rater("reader-a")
        .write_plane(0, PLEURA, np.full((32, 48), 10, np.uint8))
    ),
    lambda cohort: (
        cohort.clip("clip-1")
        .rater("reader-a")
        .write_status(np.full((5, 6), Status.REVIEWED, np.uint8) * (np.arange(5) < 4)[:, None])
    ),
    lambda cohort: add_toy_clip(cohort, "clip-9", "p9"),
]


@pytest.mark.parametrize("change", PLACES)
def test_the_hash_of_what_was_read_tells_any_change(toy, change):
    def found() -> str:
        return read_samples(
            find_sources(toy, CLASSES, ()), [PLEURA, B_LINE], (32, 48)
        ).content_sha256()

    before = found()
    assert found() == before
    change(toy)
    assert found() != before


@pytest.mark.parametrize("memory", [0, 20_000])
def test_what_is_read_through_a_file_is_what_is_held_in_memory(toy, tmp_path, memory):
    add_toy_clip(toy, "tall", "p9", shape=(64, 40))
    excluded = toy.clip("clip-1").rater("reader-a")
    excluded.write_plane(2, PLEURA, np.full((32, 48), EXCLUDED, np.uint8))
    excluded.write_plane(3, PLEURA, np.zeros((32, 48), np.uint8))
    sources, canvas = find_sources(toy, CLASSES, ()), (48, 48)
    held = read_samples(sources, [PLEURA, B_LINE], canvas)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    filed = read_samples(sources, [PLEURA, B_LINE], canvas, scratch=scratch, memory=memory)
    assert not held.on_disk
    assert filed.on_disk
    assert held.packed_bytes == filed.packed_bytes < held.nbytes
    assert list(scratch.iterdir()) == []  # a file without a name: nothing to clean up
    tables = {(0, 0): bytes(reversed(range(256)))}
    assert filed.content_sha256() == held.content_sha256()
    for rows in (slice(None), torch.tensor([7, 3, 3, 24])):
        assert torch.equal(filed.frames[rows], held.frames[rows])
        assert torch.equal(filed.planes[rows], held.planes[rows])
        turned = [s.planes.through(tables, s.rater_of.tolist())[rows] for s in (held, filed)]
        assert torch.equal(*turned)
        assert torch.equal(turned[0][:, 0], 255 - held.planes[rows][:, 0])
        assert torch.equal(turned[0][:, 1], held.planes[rows][:, 1])
    for row in range(len(held)):
        clip = toy.clip(held.clips[row])
        marks = clip.rater("reader-a").read_plane(held.times[row], B_LINE)
        plane = Resampler.into(marks.shape, canvas).plane(marks)
        assert np.array_equal(filed.planes.plane(row, 1), plane)
        assert held.planes.highest[row, 1] == plane[plane <= 100].max()


@needs_mount
def test_a_disk_without_room_is_said_before_anything_is_read(tmp_path):
    with disk_of(tmp_path / "small", 64), pytest.raises(TrainError, match="There is no room for"):
        Records(1, tmp_path / "small", memory=0, expected=2**20)
    with disk_of(tmp_path / "small", 64):
        records = Records(2, tmp_path / "small", memory=10)
        records.put(0, bytes(1000))
        with pytest.raises(TrainError, match=r"no room .*Free some space"):
            records.put(1, bytes(2**17))
        assert records.get(0) == bytes(1000)
