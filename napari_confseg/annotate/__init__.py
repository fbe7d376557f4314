"""The annotation session, without Qt."""
