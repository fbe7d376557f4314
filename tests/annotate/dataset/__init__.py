"""Tests of napari_confseg.annotate.dataset."""
