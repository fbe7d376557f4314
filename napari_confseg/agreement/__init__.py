"""Agreement between raters, and consensus of several.

Two planes that are arrays need no cohort:

Examples
--------
>>> import numpy as np
>>> from napari_confseg.agreement import dice_curve, joint_histogram, soft_dice
>>> ann = np.zeros((48, 64), np.uint8)
>>> ann[10:30, 20:30] = 80  # confidence in percent
>>> bea = np.zeros((48, 64), np.uint8)
>>> bea[10:30, 25:35] = 60
>>> table = joint_histogram(ann, bea)
>>> round(soft_dice(table), 3)
0.429
>>> dice_curve(table)[:2]  # at 5 and 10 %
(0.5, 0.5)

Raters of a cohort are compared by :func:`agree`, and one is made of several by
:func:`make_consensus`.
"""

from napari_confseg.agreement.agreement import Agreement, agree
from napari_confseg.agreement.consensus import ConsensusReport, ConsensusRequest, make_consensus
from napari_confseg.agreement.disagreement import Disagreements, Event, Region, find_disagreements
from napari_confseg.agreement.intervals import Estimate, mean_estimate
from napari_confseg.agreement.overlap import (
    dice,
    dice_curve,
    energy_distance,
    iou,
    joint_histogram,
    soft_dice,
)
from napari_confseg.agreement.rater_view import RaterView, rater_views
from napari_confseg.agreement.reliability import Reliability, reliability
from napari_confseg.agreement.scores import (
    ClipAgreement,
    PairScore,
    Pixels,
    Presence,
    SoftScore,
    Stated,
)
from napari_confseg.agreement.summary import (
    ChanceSummary,
    Learning,
    PairSummary,
    SoftSummary,
    Summary,
    summarise,
    write_per_clip,
)

__all__ = [
    "Agreement",
    "ChanceSummary",
    "ClipAgreement",
    "ConsensusReport",
    "ConsensusRequest",
    "Disagreements",
    "Estimate",
    "Event",
    "Learning",
    "PairScore",
    "PairSummary",
    "Pixels",
    "Presence",
    "RaterView",
    "Region",
    "Reliability",
    "SoftScore",
    "SoftSummary",
    "Stated",
    "Summary",
    "agree",
    "dice",
    "dice_curve",
    "energy_distance",
    "find_disagreements",
    "iou",
    "joint_histogram",
    "make_consensus",
    "mean_estimate",
    "rater_views",
    "reliability",
    "soft_dice",
    "summarise",
    "write_per_clip",
]
