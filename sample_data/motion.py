"""How a clip moves: breathing slides the lung and lowers the pleura, the hand trembles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from sample_data.anatomy import Pose

if TYPE_CHECKING:
    from sample_data.scan import Probe


def draw_motion(
    rng: np.random.Generator, probe: Probe, n_frames: int, fps: float, severity: float
) -> list[Pose]:
    """Draw the poses of a clip.

    Breathing has a rate of 14 to 28 a minute that rises with `severity`, a rounded in-phase and
    a longer out-phase; the slide is several millimetres, less in a sick lung. The hand's tremor
    is a smooth random walk of some tenths of a millimetre.
    """
    rate = rng.uniform(14, 19) + 9 * severity
    slide = rng.uniform(2.0, 4.0) * (1 - 0.5 * severity)
    if probe.kind == "convex":  # along the face; the lung lies where the beams have spread
        slide *= probe.radius / (probe.radius + 25)
    sink = rng.uniform(0.3, 0.9)
    phase = 2 * np.pi * (rng.random() + np.arange(n_frames) / fps * rate / 60)
    breath = np.sin(phase + 0.35 * np.sin(phase))
    tremor = gaussian_filter1d(rng.standard_normal(n_frames + 40), 5)[20 : 20 + n_frames] * 0.9
    drift = np.cumsum(tremor) * 0.03
    return [
        Pose(float(slide * b), float(sink * b), float(0.4 * s + d), float(b))
        for b, s, d in zip(breath, tremor, drift, strict=True)
    ]
