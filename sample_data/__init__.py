"""Synthetic lung-ultrasound cohorts of napari-confseg, whose truth is known."""

from sample_data.cohort import clinical_path, make_cohort
from sample_data.readers import READERS, ReaderKind

__all__ = ["READERS", "ReaderKind", "clinical_path", "make_cohort"]
