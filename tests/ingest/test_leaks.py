"""No planted name, number or date survives import: not in the store, the journal or any export."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_confseg.dataset.build import build
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.formats import WRITTEN
from napari_confseg.formats.export import ExportRequest, export
from napari_confseg.ingest import import_sources
from napari_confseg.store import Cohort
from tests.annotate.edits import mark_clips
from tests.ingest.dicoms import save
from tests.ingest.test_dicom import GREY, SECRETS, planted

if TYPE_CHECKING:
    from pathlib import Path

WORDS = {w for s in SECRETS.values() for w in s.replace("^", " ").split() if len(w) > 5}
# No mere four digits: random UIDs and hashes hold any of those by chance.
WORDS |= {"MUSTER", "Erika", "KIS-4711", "SOZ-998877", "19640812", "20210304", "1.2.3.4711"}


@pytest.fixture
def places(tmp_path: Path, state_dir: Path) -> list[Path]:
    """Everything that is written between a hospital's files and every format of export."""
    source = tmp_path / "MUSTER ERIKA"
    source.mkdir()
    for i in range(3):
        number = f"KIS-4711-0{i}"
        save(planted(tmp_path, patient=number, frames=GREY + i), source / f"Erika_4711_{i}.dcm")
    cohort = Cohort.create(tmp_path / "study.zarr", name="study")
    report = import_sources([source], cohort)
    assert len(report.imported) == 3, report.refused
    mark_clips(cohort, report.imported, (2, 2, 8, 8))
    classes = tuple(c.name for c in cohort.meta.classes)
    parts = {"train": 0.4, "val": 0.3, "test": 0.3}
    dataset = build(
        cohort, BuildRequest(name="toy", classes=classes, folds=2, parts=parts), tmp_path / "toy"
    )
    for name in WRITTEN:
        export(dataset, ExportRequest(format=name), tmp_path / "out" / name)
    return [tmp_path / "study.zarr", tmp_path / "toy", tmp_path / "out", state_dir]


def test_no_planted_word_is_left_anywhere(places: list[Path]) -> None:
    files = [p for place in places for p in place.rglob("*") if p.is_file()]
    assert len({p.parent for p in files}) > 20
    for path in files:
        name, content = str(path.relative_to(places[0].parent)).lower(), path.read_bytes().lower()
        for word in WORDS:
            assert word.lower() not in name, (word, path)
            assert word.lower().encode() not in content, (word, path)
            assert word.lower().encode("utf-16-le") not in content, (word, path)
