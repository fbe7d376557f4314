"""What a clip adds to the agreement: scores of pairs, and sums that clips are added up by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray


@dataclass(frozen=True)
class PairScore:
    """Two raters, one class, one clip, one threshold: pixels of confidence >= threshold.

    Parameters
    ----------
    threshold : int
        Confidence in percent.
    frames : int
        Frames that both reviewed.
    dice, iou : float
        Over all these frames together; NaN if neither marked anything.
    hd95 : float
        Mean over the frames that both marked of the 95th percentile Hausdorff distance.
        NaN if there are none.
    hd95_frames : int
        How many frames that were.
    unit : str
        Of `hd95`: ``"mm"`` if the clip's spacing is known, else ``"px"``.
    """

    clip: str
    patient: str
    class_name: str
    a: str
    b: str
    threshold: int
    frames: int
    dice: float
    iou: float
    hd95: float
    hd95_frames: int
    unit: str


@dataclass(frozen=True)
class SoftScore:
    """Two raters, one class, one clip: the confidences themselves, without a threshold.

    `dice_curve` is Dice at each threshold of :data:`~napari_confseg.agreement.overlap.CURVE`.
    `worst_frame` is the frame where they are furthest apart, by `worst_pixels`: the sum of the
    differences of confidence, in pixels of 100 %. It is None where they never differ.
    """

    clip: str
    patient: str
    class_name: str
    a: str
    b: str
    frames: int
    soft_dice: float
    energy_distance: float
    dice_curve: tuple[float, ...]
    worst_frame: int | None
    worst_pixels: float


@dataclass
class Presence:
    """Whether the class is on a frame at all (any pixel >= threshold), frame by frame.

    Parameters
    ----------
    tally : NDArray
        ``(n + 1)``: frames all n raters reviewed, by how many saw it.
    coincidences : NDArray
        ``(2, 2)``, Krippendorff's, over all frames at least two reviewed.
    """

    tally: NDArray[np.int64]
    coincidences: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 2)))


@dataclass
class Pixels:
    """What a clip adds to Krippendorff's alpha over pixels.

    Parameters
    ----------
    marginal : NDArray
        ``(101)``, pairable answers by confidence.
    disagreement : float
        Coincidences times squared difference of confidence.
    binary : dict
        Threshold -> coincidences ``(2, 2)``.
    """

    marginal: NDArray[np.float64]
    disagreement: float
    binary: dict[int, NDArray[np.float64]]


@dataclass
class Stated:
    """Votes of the others on the pixels that one rater marked.

    Parameters
    ----------
    votes : NDArray
        ``(101)``: for each stated confidence, how many votes of others there were on such pixels.
    agreed : NDArray
        ``(101)``: how many of these were yes (a confidence of at least 50 %).
    moments : NDArray
        ``(6)``: n, sums of x, y, xx, yy, xy over the pixels this rater marked; x is the confidence
        as a fraction, y the share of the others who voted yes.
    """

    votes: NDArray[np.int64]
    agreed: NDArray[np.int64]
    moments: NDArray[np.float64]


@dataclass
class ClipAgreement:
    """All that is kept of a clip. Dictionary keys begin with the class name."""

    clip: str
    patient: str
    pairs: list[PairScore] = field(default_factory=list)
    soft: list[SoftScore] = field(default_factory=list)
    presence: dict[tuple[str, int], Presence] = field(default_factory=dict)
    pixels: dict[str, Pixels] = field(default_factory=dict)
    stated: dict[tuple[str, str], Stated] = field(default_factory=dict)
    read_at: dict[str, datetime] = field(default_factory=dict)
