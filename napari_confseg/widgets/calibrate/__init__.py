"""Calibrate panel."""
