"""Read-outs of a cohort's clips as a table: one line a clip, rater and read-out."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.readouts.beams import Beams
from napari_confseg.readouts.clips import ClipReadouts, OverClip, clip_readouts
from napari_confseg.store import Status
from napari_confseg.store.durable import write_csv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_confseg.store import Clip


@dataclass(frozen=True)
class Line:
    """One read-out of one rater on one clip.

    Attributes
    ----------
    clip, patient, rater : str
    zone : str
        Of the chest; empty if nobody knows.
    frames : int
        Frames that the rater reviewed in every class: those that are summed up.
    readout, unit : str
        A field of :class:`~napari_confseg.readouts.ClipReadouts`, and what it is measured in;
        ``"probability"`` for A-lines.
    value, low, high : float
        Mean over the frames with the interval that follows from the confidences; NaN if undefined.
    peak : float
        The largest value of any frame; NaN if undefined, and for A-lines.
    defined : int
        Frames in which there is such a quantity.
    """

    clip: str
    patient: str
    rater: str
    zone: str
    frames: int
    readout: str
    unit: str
    value: float
    low: float
    high: float
    peak: float
    defined: int


COLUMNS = tuple(f.name for f in fields(Line))


def clip_lines(clip: Clip, raters: Sequence[str] = ()) -> Iterator[Line]:
    """Yield the read-outs of a clip by each of `raters`, all by default.

    A rater who reviewed no frame in every class has none.
    """
    beams = Beams.of(clip.meta, clip.shape)
    for name in clip.raters():
        if raters and name not in raters:
            continue
        rater = clip.rater(name)
        frames = np.flatnonzero((rater.read_status() == Status.REVIEWED).all(axis=1)).tolist()
        if not frames:
            continue
        planes = rater.read_classes(range(len(clip.classes)))
        found = clip_readouts(
            {c.name: planes[i] for i, c in enumerate(clip.classes)}, beams, frames
        )
        for field in fields(ClipReadouts):
            if field.name != "frames":
                yield _line(clip, name, field.name, found)


def _line(clip: Clip, rater: str, readout: str, found: ClipReadouts) -> Line:
    value = getattr(found, readout)
    about = (clip.name, clip.meta.patient, rater, clip.meta.zone or "", found.frames, readout)
    if isinstance(value, OverClip):
        mean, peak = value.mean, value.peak.value
        return Line(*about, mean.unit, mean.value, mean.low, mean.high, peak, value.frames)
    defined = 0 if np.isnan(value.probability) else found.frames
    return Line(
        *about, "probability", value.probability, value.low, value.high, float("nan"), defined
    )


def write_lines(lines: Sequence[Line], path: Path) -> None:
    """Write the lines as CSV; what is undefined stays empty."""
    write_csv(path, COLUMNS, (astuple(line) for line in lines))
