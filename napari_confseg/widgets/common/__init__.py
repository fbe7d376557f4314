"""Widgets and helpers that the panels share."""
