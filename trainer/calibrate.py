"""Calibration of each rater's confidence before the fit.

Per class, on the training frames that at least two raters marked, the calibrated consensus
(``napari_confseg.agreement.calibrated``) estimates a hidden state per pixel along with each rater's
use of the scale. Out of it comes a monotone curve for
each, from stated confidence to probability, and the network learns from that.

For a rater who shares no frame with another, a confidence counts relative to the highest that
they usually state: who hardly ever states more than 80 % means by it no more than "present".
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


OFTEN = 0.9
"""How far up the highest confidences of their frames a rater's own scale ends."""
FEW_FRAMES = 10
"""Frames with marks below which a rater's own scale hangs on a single one."""
_HIGHEST = "the highest that they reach on one in ten of their frames"


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
    few : tuple of str
        Raters whose own scale rests on fewer than :data:`FEW_FRAMES` frames with marks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    frames: int | None
    curves: dict[str, dict[str, tuple[int, ...]]]
    few: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """Summary in a sentence."""
        if self.frames:
            return f"from {self.frames} training frames that two or more raters marked"
        note = f"each rater's confidence counts relative to {_HIGHEST}"
        if self.frames is not None:
            note = (
                f"no training frame is marked by two raters, so no rater can be calibrated: {note}"
            )
        if self.few:
            known = f"rests on fewer than {FEW_FRAMES} frames with marks"
            note += f"; for {', '.join(self.few)} that {known}"
        return note


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
    own = relative_thresholds(samples, train, classes)
    for name, scaled in own.curves.items():
        curves[name] = scaled | curves.get(name, {})
    return Calibration(frames=len(shared), curves=curves, few=() if shared else own.few)


def relative_thresholds(
    samples: Samples, train: Sequence[int], classes: Sequence[str]
) -> Calibration:
    """Scale each rater's confidence by the highest that they usually state.

    That is :data:`OFTEN` of the way up their frames' highest confidences, so that one frame at
    100 % does not change it. It means "present", be it 100 % or 80; who uses the whole scale has
    no curve. See :func:`calibrate` for the arguments.
    """
    tops = _tops(samples, train)
    few = tuple(sorted(rater for rater, frames in tops.items() if len(frames) < FEW_FRAMES))
    curves = {
        rater: tuple(
            min(MAX_CONFIDENCE, round(MAX_CONFIDENCE * v / top)) for v in range(MAX_CONFIDENCE + 1)
        )
        for rater, frames in tops.items()
        if (top := usual_highest(frames)) < MAX_CONFIDENCE
    }
    return Calibration(
        frames=None, curves={name: dict(curves) for name in classes} if curves else {}, few=few
    )


def usual_highest(tops: Sequence[int]) -> int:
    """Return the confidence that the highest of a rater's frames reach, but for the last tenth."""
    return int(np.quantile(tops, OFTEN, method="lower"))


def _tops(samples: Samples, train: Sequence[int]) -> dict[str, list[int]]:
    """Return the highest confidence on each frame that a rater marked; who marked none is out."""
    tops: dict[str, list[int]] = {}
    highest = _packed(samples).highest.max(1)
    for row in train:
        if highest[row]:
            rater = samples.raters[int(samples.rater_of[row])]
            tops.setdefault(rater, []).append(int(highest[row]))
    return tops


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
