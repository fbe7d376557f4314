"""Frames without suggestions: drawn once, for everybody; reading with and without compared."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.agreement.suggested import with_and_without
from napari_confseg.store import Cohort, RaterWriter, Status, StoreError
from napari_confseg.store.clip_notes import ClipNotes, Offer
from napari_confseg.suggest.withholding import is_withheld
from tests.conftest import add_clip

if TYPE_CHECKING:
    from pathlib import Path

N = 8


def test_a_larger_share_has_the_frames_of_a_smaller_one(cohort: Cohort) -> None:
    shares = {}
    for percent in (0, 20, 50, 100):
        meta = cohort.meta.model_copy(update={"withheld": percent})
        shares[percent] = {t for t in range(2000) if is_withheld(meta, "clip-1", t)}
    assert shares[0] < shares[20] < shares[50] < shares[100]
    assert len(shares[100]) == 2000
    assert len(shares[20]) == pytest.approx(400, abs=60)
    assert shares[20] != {
        t
        for t in range(2000)
        if is_withheld(cohort.meta.model_copy(update={"withheld": 20}), "clip-2", t)
    }


def test_who_set_it_is_kept_and_a_clash_is_told(cohort: Cohort) -> None:
    other = Cohort.open(cohort.location)
    cohort.update_meta(withheld=20, by="Prof. Dee")
    with pytest.raises(StoreError, match="without suggestions"):
        other.update_meta(withheld=30, by="Dr. Ada")
    again = Cohort.open(cohort.location)
    assert [(c.by, c.percent) for c in again.meta.withheld_changes] == [("Prof. Dee", 20)]


def test_of_two_offers_on_a_frame_the_later_stands() -> None:
    early, late = (
        Offer(at=datetime(2026, 1, day, tzinfo=UTC), outcome="withheld") for day in (1, 2)
    )
    notes = ClipNotes(offers={3: late, 4: early})
    assert notes.changed({"offers": {3: early, 5: early}}).offers == {3: late, 4: early, 5: early}
    assert notes.changed({"offers": {4: late}}).offers == {3: late, 4: late}


def test_agreement_with_suggestions_and_without(tmp_path: Path, state_dir: Path) -> None:
    """Two readers equal each other where suggested, and overlap by half where withheld."""
    cohort = Cohort.create(tmp_path / "c.zarr", name="toy")
    for patient in range(3):
        name = f"clip-{patient}"
        add_clip(cohort, name, n_frames=N, patient=f"p{patient}")
        for rater, shift in (("ann", 0), ("bo", 4)):
            _read(cohort, name, rater, shift)
    assert with_and_without(cohort, ["ann", "bo"]) == []  # nothing was ever withheld
    cohort.update_meta(withheld=50, by="Prof. Dee")
    (found,) = with_and_without(cohort, ["ann", "bo"], ["pleura"])
    assert (found.a, found.b, found.class_name) == ("ann", "bo", "pleura")
    assert (found.offered.value, found.withheld.value) == (1.0, 0.5)
    assert (found.difference.low, found.difference.value, found.difference.high) == (0.5, 0.5, 0.5)
    assert (found.offered.n, found.withheld.n) == (3 * 4, 3 * 3)  # of one frame they differ


def _read(cohort: Cohort, clip: str, rater: str, shift: int) -> None:
    """Mark a bar of 8 rows on every frame, `shift` rows lower where it is withheld."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    made = cohort.clip(clip).create_rater(rater, kind="human")
    offers = {}
    for t in range(N):
        withheld = t >= 4
        plane = np.zeros((48, 64), np.uint8)
        top = 10 + shift * withheld
        plane[top : top + 8] = 80
        made.write_plane(t, 0, plane)
        offers[t] = Offer(at=at, outcome="withheld" if withheld else "shown")
    if rater == "bo":  # who was told otherwise on one frame
        offers[7] = Offer(at=at, outcome="shown")
    status = made.read_status()
    status[:, 0] = Status.REVIEWED
    made.write_status(status)
    writer = RaterWriter.open(cohort, clip, rater)
    writer.change_notes(offers=offers)
    assert writer.flush(10)
    writer.close()
