"""Frozen datasets: build, split, leakage, preview, comparison of versions."""
