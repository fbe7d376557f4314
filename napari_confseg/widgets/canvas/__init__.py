"""The session on napari's canvas."""
