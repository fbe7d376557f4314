"""Fixtures of the import tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_confseg.ingest.worker import Decoder
from napari_confseg.store import Cohort
from napari_confseg.store.lease import IMPORT_LOCK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def empty(tmp_path: Path, state_dir: Path) -> Cohort:
    """A cohort without clips."""
    return Cohort.create(tmp_path / "study.zarr", name="study")


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """One decoder process for a module."""
    with Decoder() as decoder:
        yield decoder


def traces(cohort: Cohort) -> list[str]:
    """Return whatever lies in the cohort's folder besides whole clips and its own metadata."""
    root = cohort._keys.children("")
    return sorted(set(root) - set(cohort.clips()) - {"zarr.json", IMPORT_LOCK})
