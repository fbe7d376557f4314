from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_confseg.store import Cohort
from sample_data import clinical_path, make_cohort

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"patients": 2, "clips_per_patient": 1, "frames": 2, "size": (96, 128)}


def digest(folder: Path) -> str:
    """One hash over every file's path and bytes."""
    h = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        h.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return h.hexdigest()


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("a.zarr", "b.zarr", "c.zarr")]
    for place, seed in zip(places, (7, 7, 8), strict=True):
        make_cohort(place, seed=seed, **SMALL)
    assert digest(places[0]) == digest(places[1]) != digest(places[2])
    tables = [clinical_path(p).read_bytes() for p in places]
    assert tables[0] == tables[1] != tables[2]


def test_raters_and_their_values(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "a.zarr", **SMALL)
    assert isinstance(cohort, Cohort)
    for name in cohort.clips():
        clip = cohort.clip(name)
        assert clip.raters() == ["latent", "reader-a", "reader-b", "reader-c", "truth"]
        outside = ~_inside(clip.frames[0])
        for c in range(len(cohort.meta.classes)):
            exact = clip.rater("truth").read_planes(c)
            assert set(np.unique(exact)) <= {0, 100}
            for rater in clip.raters():
                assert not clip.rater(rater).read_planes(c)[:, outside].any()


def _inside(frame: np.ndarray) -> np.ndarray:
    """The sector, seen from outside: what is between lit pixels of its row."""
    lit = frame > 0
    left = np.maximum.accumulate(lit, axis=1)
    right = np.maximum.accumulate(lit[:, ::-1], axis=1)[:, ::-1]
    return left & right


def test_refuses_nonsense(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="patients must be 1 to 999, found 0"):
        make_cohort(tmp_path / "a.zarr", patients=0)
    with pytest.raises(ValueError, match="no kind of reader 'sleepy'"):
        make_cohort(tmp_path / "a.zarr", readers=("sleepy",))
