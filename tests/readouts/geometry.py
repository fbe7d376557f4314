"""Sectors and bands whose beams are known without the code under test."""

from __future__ import annotations

import numpy as np

from napari_confseg.store import Sector, Spacing

APEX = (-100.0, 200.0)
FACE, BOTTOM, HALF = 110.0, 450.0, 0.5
SHAPE = (360, 440)


def fan_corners(
    n: int = 16,
    apex: tuple[float, float] = APEX,
    radii: tuple[float, float] = (FACE, BOTTOM),
    half: float = HALF,
) -> np.ndarray:
    """Corners of a curved sector: the face's arc, then the bottom's, each of `n` points."""
    angles = np.linspace(-half, half, n)
    r = np.repeat(radii, n)
    angles = np.concatenate([angles, angles[::-1]])
    return np.stack([apex[0] + r * np.cos(angles), apex[1] + r * np.sin(angles)], axis=1)


def sector(corners: np.ndarray, kind: str = "curved") -> Sector:
    return Sector.model_validate({"kind": kind, "polygon": tuple(map(tuple, corners.tolist()))})


def polar(apex: tuple[float, float] = APEX) -> tuple[np.ndarray, np.ndarray]:
    """Radius and angle of every pixel of ``SHAPE`` about `apex`."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(y - apex[0], x - apex[1]), np.arctan2(x - apex[1], y - apex[0])


def fan_band(radii: tuple[float, float], angles: tuple[float, float]) -> np.ndarray:
    r, a = polar()
    return (r >= radii[0]) & (r < radii[1]) & (a >= angles[0]) & (a < angles[1])


def box_sector(top: int = 10, left: int = 20, bottom: int = 300, right: int = 220) -> Sector:
    corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
    return sector(np.array(corners, float), "linear")


MM = Spacing(y=0.5, x=0.5, source="synthetic")
