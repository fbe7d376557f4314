"""The session's layers on napari's canvas."""
