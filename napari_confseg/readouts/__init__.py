"""Clinical findings from planes, each with an interval that follows from the confidences."""

from napari_confseg.readouts.beams import Beams
from napari_confseg.readouts.clips import ClipReadouts, OverClip, clip_readouts, sum_up
from napari_confseg.readouts.findings import COUNTS, Finding, Presence
from napari_confseg.readouts.lung import FrameReadouts, frame_readouts

__all__ = [
    "COUNTS",
    "Beams",
    "ClipReadouts",
    "Finding",
    "FrameReadouts",
    "OverClip",
    "Presence",
    "clip_readouts",
    "frame_readouts",
    "sum_up",
]
