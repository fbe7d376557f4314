"""Panels in napari: thin views of the session."""
