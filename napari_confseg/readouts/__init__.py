"""Clinical findings from planes, each with an interval that follows from the confidences.

Examples
--------
>>> import numpy as np
>>> from napari_confseg.readouts import Beams, frame_readouts
>>> pleura = np.zeros((60, 80), np.uint8)
>>> pleura[10:13] = 90  # confidence in percent
>>> b_line = np.zeros((60, 80), np.uint8)
>>> b_line[13:, 20:40] = 80
>>> beams = Beams((60, 80), apex=None, step=(1, 1), unit="px", inside=np.ones((60, 80), bool))
>>> found = frame_readouts({"pleura": pleura, "b-line": b_line}, beams)
>>> print(found.b_line_count)
1 line (0 to 1)
>>> print(found.pleura_percentage)
25.0 % (0.0 to 25.0)

:meth:`Beams.of` takes the beams from a clip's sector, and :func:`clip_readouts` reads a whole clip.
"""

from napari_confseg.readouts.beams import Beams, insonated, is_known
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
    "insonated",
    "is_known",
    "sum_up",
]
