"""Videos, DICOM files and image folders become clips."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_confseg.ingest.decoded import IngestError
    from napari_confseg.ingest.options import ImportOptions
    from napari_confseg.ingest.pipeline import ImportReport, import_sources

__all__ = ["ImportOptions", "ImportReport", "IngestError", "import_sources"]

_HOME = {
    "ImportOptions": "options",
    "ImportReport": "pipeline",
    "IngestError": "decoded",
    "import_sources": "pipeline",
}


def __getattr__(name: str) -> object:
    # The decoder process lives in this package too, and must not wait a second for the store.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
