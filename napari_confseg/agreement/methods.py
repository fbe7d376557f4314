"""Table of consensus methods: names, labels, purposes and parameters.

It imports nothing heavy: the command line reads it for ``--help``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

ConsensusMethod = Literal["calibrated", "mean", "majority", "staple", "weighted-staple"]


@dataclass(frozen=True)
class ConsensusInfo:
    """Label and purpose of a consensus method; whether it takes a threshold and learns raters.

    `learns` is true where properties of the raters are estimated from all clips before planes are
    combined (:func:`~napari_confseg.agreement.consensus.estimate`).
    """

    label: str
    purpose: str
    threshold: bool = False
    learns: bool = True


METHODS: Final[dict[ConsensusMethod, ConsensusInfo]] = {
    "calibrated": ConsensusInfo(
        "Calibrated",
        "Each rater's confidence scale and omissions are estimated along with the truth.",
    ),
    "mean": ConsensusInfo("Mean", "The mean of the confidences.", learns=False),
    "majority": ConsensusInfo(
        "Majority",
        "100 % where more than half of those who reviewed mark at least the threshold.",
        threshold=True,
        learns=False,
    ),
    "staple": ConsensusInfo(
        "STAPLE", "STAPLE of the marks of at least the threshold.", threshold=True
    ),
    "weighted-staple": ConsensusInfo(
        "Weighted STAPLE", "STAPLE where 60 % counts as 0.6 of a yes and 0.4 of a no."
    ),
}
"""The recommended one first."""

DEFAULT: Final[ConsensusMethod] = "calibrated"
"""The method where none is chosen."""
