"""Tests of napari_confseg.report."""
