"""Tests of napari_confseg.agreement."""
