"""Videos, DICOM files and image folders become clips."""

from napari_confseg.ingest.decoded import IngestError
from napari_confseg.ingest.importer import ImportReport, import_sources

__all__ = ["ImportReport", "IngestError", "import_sources"]
