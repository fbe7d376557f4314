"""Calibration of each rater's confidence before the fit.

Per class, on the training frames that at least two raters marked, the calibrated consensus
(``napari_confseg.agreement.calibrated``) estimates a hidden state per pixel along with each rater's
use of the scale. Out of it comes a monotone curve for
each, from stated confidence to probability, and the network learns from that.

For a rater who shares no frame with another, a confidence counts relative to the highest that
they ever state: who only ever states 80 % means by it no more than "present".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from napari_confseg.agreement.calibrated import estimate_calibrated
from napari_confseg.agreement.patterns import MISSING, Collector
from napari_confseg.store import MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.samples import PackedPlanes, Samples


class Calibration(BaseModel):
    """Curves from stated confidence to probability; kept in ``config.json``.

    Attributes
    ----------
    frames : int or None
        Training frames that at least two raters marked, by which they were checked; None if only
        each rater's own scale was looked at.
    curves : dict
        Class -> rater -> probability in percent for each stated confidence, 0 (not marked) to
        100, rising. A rater who shares no frame with another, and uses the scale to its end, has
        none: they are taken at their word.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    frames: int | None
    curves: dict[str, dict[str, tuple[int, ...]]]

    @property
    def note(self) -> str:
        """Summary in a sentence."""
        if self.frames is None:
            return "each rater's confidence counts relative to the highest that they ever state"
        if not self.frames:
            return (
                "no training frame is marked by two raters, so no rater can be calibrated: "
                "each confidence counts relative to the highest that its rater ever states"
            )
        return f"from {self.frames} training frames that two or more raters marked"


def calibrate(samples: Samples, train: Sequence[int], classes: Sequence[str]) -> Calibration:
    """Estimate each rater's calibration curve from the training samples alone.

    Parameters
    ----------
    samples : Samples
        As read, on the CPU.
    train : sequence of int
        Rows to learn from; held-out rows are not used.
    classes : sequence of str
        The planes' classes.
    """
    by_frame: dict[int, list[int]] = {}
    for row in train:
        by_frame.setdefault(int(samples.frame_of[row]), []).append(row)
    shared = [rows for rows in by_frame.values() if len(rows) > 1]
    rater_of = samples.rater_of.tolist()
    together = sorted({rater_of[row] for rows in shared for row in rows})
    curves: dict[str, dict[str, tuple[int, ...]]] = {}
    for c, name in enumerate(classes):
        collector = Collector([samples.raters[r] for r in together])
        for rows in shared:
            planes = {
                samples.raters[rater_of[row]]: _packed(samples).plane(row, c)
                for row in rows
                if samples.reviewed[row, c]
            }
            if len(planes) > 1:
                collector.add(planes)
        patterns = collector.patterns()
        if not patterns.counts.sum():
            continue
        fitted = estimate_calibrated(patterns)
        present = (patterns.codes != MISSING).any(0)
        curves[name] = {
            rater: _percent(patterns.stated[r], fitted.curve(rater))
            for r, rater in enumerate(patterns.raters)
            if present[r]
        }
    for name, own in relative_thresholds(samples, train, classes).curves.items():
        curves[name] = own | curves.get(name, {})
    return Calibration(frames=len(shared), curves=curves)


def relative_thresholds(
    samples: Samples, train: Sequence[int], classes: Sequence[str]
) -> Calibration:
    """Scale each rater's confidence by the highest that they ever state.

    A rater's highest value means "present", be it 100 % or 80; who uses the whole scale has no
    curve. See :func:`calibrate` for the arguments.
    """
    curves = {
        rater: tuple(
            min(MAX_CONFIDENCE, round(MAX_CONFIDENCE * v / top)) for v in range(MAX_CONFIDENCE + 1)
        )
        for rater, top in _highest(samples, train).items()
        if top < MAX_CONFIDENCE
    }
    return Calibration(
        frames=None, curves={name: dict(curves) for name in classes} if curves else {}
    )


def _highest(samples: Samples, train: Sequence[int]) -> dict[str, int]:
    """Return the highest confidence that each rater stated anywhere; who marked nothing is out."""
    highest: dict[str, int] = {}
    tops = _packed(samples).highest.max(1)
    for row in train:
        rater, top = samples.raters[int(samples.rater_of[row])], int(tops[row])
        highest[rater] = max(highest.get(rater, 0), top)
    return {rater: top for rater, top in highest.items() if top}


def _percent(stated: NDArray[np.float64], curve: NDArray[np.float64]) -> tuple[int, ...]:
    """Return the curve at every percent, straight between the confidences that were stated."""
    at = np.interp(np.arange(MAX_CONFIDENCE + 1) / MAX_CONFIDENCE, stated, curve)
    return tuple(round(float(p)) for p in at * MAX_CONFIDENCE)


def apply(calibration: Calibration, samples: Samples, classes: Sequence[str]) -> Samples:
    """Return the samples with each stated confidence replaced by its calibrated value."""
    tables: dict[tuple[int, int], bytes] = {}
    for c, name in enumerate(classes):
        for rater, curve in calibration.curves.get(name, {}).items():
            if rater in samples.raters:
                table = bytes(curve) + bytes(range(len(curve), 256))
                tables[samples.raters.index(rater), c] = table
    planes = _packed(samples).through(tables, samples.rater_of.tolist())
    return replace(samples, planes=planes)


def _packed(samples: Samples) -> PackedPlanes:
    """Return the planes as read; on a device they are calibrated already."""
    assert not isinstance(samples.planes, torch.Tensor)
    return samples.planes
