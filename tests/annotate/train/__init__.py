"""Tests of napari_confseg.annotate.train."""
