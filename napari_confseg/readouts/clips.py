"""The read-outs of a clip, from those of its frames."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.readouts.findings import Finding, Presence, over_frames
from napari_confseg.readouts.lung import FrameReadouts, frame_readouts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_confseg.readouts.beams import Beams


@dataclass(frozen=True)
class OverClip:
    """One quantity over a clip.

    Attributes
    ----------
    mean, peak : Finding
        Mean over the frames, and the largest of any frame; NaN if no frame defines it.
    frames : int
        Number of frames in which it is defined.
    """

    mean: Finding
    peak: Finding
    frames: int

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> OverClip:
        """Sum up the findings of a clip's frames."""
        mean = over_frames(findings, lambda q: q.mean(axis=0))
        peak = over_frames(findings, lambda q: q.max(axis=0))
        return cls(mean, peak, sum(f.defined > 0 for f in findings))


@dataclass(frozen=True)
class ClipReadouts:
    """What a clip's frames say together; see :class:`~napari_confseg.readouts.FrameReadouts`.

    Attributes
    ----------
    frames : int
        Number of frames summed up.
    a_lines : Presence
        Whether any frame shows an A-line: that of the frame that is surest of it, for the same
        line is seen in many.
    """

    frames: int
    pleura_percentage: OverClip
    b_line_count: OverClip
    artefact_score: OverClip
    a_lines: Presence
    consolidation: OverClip
    effusion: OverClip
    pleura_thickness: OverClip
    pleura_thickness_p90: OverClip
    pleura_breaks: OverClip
    pleura_interrupted: OverClip
    pleura_irregularity: OverClip
    pleura_indentations: OverClip
    pleura_doubled: OverClip
    pleura_hidden: OverClip
    pleura_specks: OverClip


def sum_up(frames: Sequence[FrameReadouts]) -> ClipReadouts:
    """Return the read-outs of a clip from those of its frames.

    Give only frames that were reviewed: in others what is not marked is unknown, not absent.

    Raises
    ------
    ValueError
        If there is no frame.
    """
    if not frames:
        raise ValueError("no frame to sum up: give the read-outs of at least one reviewed frame")
    shown = [f.a_lines for f in frames]
    if np.isnan(shown[0].probability):
        a_lines = shown[0]
    else:
        a_lines = Presence(
            *(max(getattr(p, name) for p in shown) for name in ("probability", "low", "high"))
        )
    quantities = (f.name for f in fields(FrameReadouts) if f.name != "a_lines")
    return ClipReadouts(
        frames=len(frames),
        a_lines=a_lines,
        **{name: OverClip.of([getattr(f, name) for f in frames]) for name in quantities},
    )


def clip_readouts(
    planes: Mapping[str, NDArray[np.uint8]], beams: Beams, frames: Sequence[int]
) -> ClipReadouts:
    """Return the read-outs of the given `frames` of a clip.

    Parameters
    ----------
    planes : mapping of str to ndarray of uint8 (T, Y, X)
        Planes by class name, all of the same rater.
    beams : Beams
        Of the clip.
    frames : sequence of int
        Those that were reviewed.
    """
    each = [frame_readouts({n: p[t] for n, p in planes.items()}, beams) for t in frames]
    return sum_up(each)
