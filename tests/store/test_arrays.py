"""Clips and raters from arrays: plain zarr has just what was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from napari_confseg.store import Cohort, Status, StoreError, add_clip, add_rater, validate

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = np.arange(3 * 48 * 64, dtype=np.uint8).reshape(3, 48, 64)


@pytest.fixture
def cohort(tmp_path: Path, state_dir: Path) -> Cohort:
    return Cohort.create(tmp_path / "c.zarr", name="c")


def test_what_is_given_is_stored(cohort: Cohort) -> None:
    clip = add_clip(cohort, "left-3", FRAMES, patient="p1", fps=20, spacing=0.25)
    rng = np.random.default_rng(0)
    planes = rng.choice(np.array([0, 1, 60, 100, 255], np.uint8), (3, len(clip.classes), 48, 64))
    reviewed = np.zeros(planes.shape[:2], bool)
    reviewed[1] = True
    add_rater(clip, "ann", planes, reviewed=reviewed, made_by="Ann")
    group = zarr.open_group(cohort.location, mode="r")
    assert np.array_equal(group["left-3/0"][:], FRAMES)
    assert np.array_equal(group["left-3/raters/ann/0"][:], planes)
    assert np.array_equal(group["left-3/raters/ann/status"][:] == Status.REVIEWED, reviewed)
    assert clip.meta.frame_times == (0, 0.05, 0.1)
    assert (clip.meta.spacing.y, clip.meta.spacing.x) == (0.25, 0.25)
    meta = clip.rater("ann").meta
    assert (meta.kind, meta.imported.made_by, meta.learnt) == ("human", "Ann", False)
    assert validate(cohort.location) == []

    add_rater(clip, "ann", np.zeros_like(planes))  # in its place
    assert not clip.rater("ann").read_planes(2).any()
    assert (clip.rater("ann").read_status() == Status.REVIEWED).all()
    assert validate(cohort.location) == []


def test_what_is_no_clip_or_rater_is_refused_and_leaves_nothing(cohort: Cohort) -> None:
    for wrong in (FRAMES / 255, FRAMES[0], FRAMES[:0]):
        with pytest.raises(StoreError, match="frame-shape"):
            add_clip(cohort, "left-3", wrong, patient="p1")
    with pytest.raises(ValueError, match="patient"):
        add_clip(cohort, "left-3", FRAMES, patient="John Doe")
    assert cohort.clips() == []
    clip = add_clip(cohort, "left-3", FRAMES, patient="p1")
    planes = np.zeros((3, len(clip.classes), 48, 64), np.uint8)
    for wrong in (planes.astype(float), planes[:, :1]):
        with pytest.raises(StoreError, match="plane-shape"):
            add_rater(clip, "ann", wrong)
    with pytest.raises(StoreError, match="value-range"):
        add_rater(clip, "ann", planes + np.uint8(101))
    assert clip.raters() == []
    with pytest.raises(StoreError, match="exists"):
        add_clip(cohort, "left-3", FRAMES, patient="p1")
