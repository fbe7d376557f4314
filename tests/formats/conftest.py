"""One dataset, exported by every test of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from zarr.storage import LocalStore

from napari_confseg.dataset.build import build
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.store import Cohort, Spacing
from tests.agreement.opinions import read_clip
from tests.conftest import add_clip

if TYPE_CHECKING:
    from napari_confseg.dataset.frozen import Dataset


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four patients; three classes that overlap, one excluded corner, one frame half reviewed."""
    folder = tmp_path_factory.mktemp("exports")
    cohort = Cohort.create(LocalStore(folder / "study.zarr"), name="study")
    for i in range(4):
        add_clip(cohort, f"c{i}", patient=f"p{i}", n_frames=4)
        read_clip(cohort, f"c{i}", {"anna": (1.0, 0.5)}, seed=i, classes=3)
        if i != 3:
            cohort.clip(f"c{i}").update_meta(spacing=Spacing(y=0.25, x=0.5, source="manual"))
    anna = cohort.clip("c1").rater("anna")
    plane = anna.read_plane(1, 0)
    plane[:6, :9] = 255
    anna.write_plane(1, 0, plane)
    status = anna.read_status()
    status[2, 1] = 0
    anna.write_status(status)
    anna.write_plane(2, 1, np.zeros((48, 64), np.uint8))
    request = BuildRequest(
        name="toy",
        classes=("pleura", "a-line", "b-line"),
        folds=2,
        parts={"train": 0.5, "val": 0.25, "test": 0.25},
    )
    return build(cohort, request, folder / "toy")
