"""A disk that fills up during an export: said in words, and nothing is half there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_confseg.formats import WRITTEN
from napari_confseg.formats.export import ExportRequest, export
from napari_confseg.store import StoreError
from tests.small_disk import disk_of, enlarge, needs_mount

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.dataset.frozen import Dataset


@needs_mount
@pytest.mark.parametrize("kib", [16, 64])
@pytest.mark.parametrize("name", WRITTEN)
def test_an_export_is_whole_or_not_at_all(
    dataset: Dataset, tmp_path: Path, name: str, kib: int
) -> None:
    with disk_of(tmp_path / "disk", kib) as disk:
        with pytest.raises(StoreError) as caught:
            export(dataset, ExportRequest(format=name), disk / "out")
        (problem,) = caught.value.problems
        assert (problem.code, problem.path) == ("disk-full", str(disk / "out"))
        assert "Free some space" in problem.hint
        assert not (disk / "out").exists()
        enlarge(disk, 20_000)
        assert export(dataset, ExportRequest(format=name), disk / "out")["files"] > 1
