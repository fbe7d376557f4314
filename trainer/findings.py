"""Clinical findings of clips, from the planes of raters or models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.dataset.as_cohort import FrozenClip
from napari_confseg.readouts import Beams, clip_readouts, insonated
from napari_confseg.store import RATER_KINDS, Status, StoreError
from napari_confseg.store.durable import write_csv
from napari_confseg.store.files import MIB, read_csv
from trainer.data import read_frames
from trainer.errors import TrainError
from trainer.predict import Percents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.readouts import ClipReadouts, Finding
    from trainer.predict import Predictor
    from trainer.sources import AnyClip

FINDINGS_CSV = "findings.csv"
FINDINGS = (
    "pleura_percentage",
    "b_line_count",
    "artefact_score",
    "a_lines",
    "consolidation",
    "effusion",
    "pleura_thickness",
    "pleura_thickness_p90",
    "pleura_breaks",
    "pleura_interrupted",
    "pleura_irregularity",
    "pleura_indentations",
)
"""Expected values over a clip's frames; a-lines as the probability that there are any."""


FROM_CONTOUR = ("pleura_percentage", "artefact_score", "pleura_breaks", "pleura_interrupted")
"""What is read from a model's contour; all else is read from its probability.

A belief takes a confidence of c for a chance of c in 100, which the probability is and the contour,
drawn to overlap best, is not. But along the pleural line the probability falls below any threshold
here and there, and would break a line that is whole. ``benchmarks.findings`` measures both.
"""


def reviewed_frames(clip: AnyClip) -> list[int]:
    """Return the frames that a reader has reviewed, or all frames if none has."""
    raters = [clip.rater(name) for name in clip.raters()]
    people = [r for r in raters if RATER_KINDS[r.meta.kind].compared]
    reviewed = [(r.read_status() == Status.REVIEWED).any(1) for r in people]
    if not any(r.any() for r in reviewed):
        return list(clip.numbers if isinstance(clip, FrozenClip) else range(clip.shape[0]))
    return [int(t) for t in np.flatnonzero(np.logical_or.reduce(reviewed))]


def findings_of(readouts: ClipReadouts) -> dict[str, float]:
    """Return a clip's findings as numbers; NaN where undefined.

    So are lengths and areas of a clip without a spacing: pixels of one clip are not those of
    another.
    """
    return {name: _number(readouts, name) for name in FINDINGS}


def _number(readouts: ClipReadouts, name: str) -> float:
    if name == "a_lines":
        return readouts.a_lines.probability
    mean: Finding = getattr(readouts, name).mean
    return np.nan if mean.unit in ("px", "px²") else mean.expected


def rater_findings(clip: AnyClip, rater: str, classes: Mapping[str, int]) -> dict[str, float]:
    """Return the findings of a rater's planes on the frames that somebody reviewed."""
    read, frames = clip.rater(rater), reviewed_frames(clip)
    planes = {name: read.read_planes(index) for name, index in classes.items()}
    return _findings(clip, planes, frames)


def _findings(
    clip: AnyClip, planes: Mapping[str, NDArray[np.uint8]], frames: Sequence[int]
) -> dict[str, float]:
    beams = Beams.fit(clip.meta.sector, clip.meta.spacing, clip.shape[1:])
    return findings_of(clip_readouts(planes, beams, frames))


def in_tens(percent: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a model's percents rounded to tens, as people state theirs.

    A finding is then a few regions of a few values, not a hundred terraces.
    """
    return np.rint(percent / 10).astype(np.uint8) * np.uint8(10)


def model_findings(clip: AnyClip, predictor: Predictor) -> dict[str, float]:
    """Return the findings of a model on the frames that somebody reviewed.

    Each is read from the output that :data:`FROM_CONTOUR` says.
    """
    by_output = output_findings(clip, predictor)
    return {n: by_output["contour" if n in FROM_CONTOUR else "probability"][n] for n in FINDINGS}


def output_findings(clip: AnyClip, predictor: Predictor) -> dict[str, dict[str, float]]:
    """Return the findings of each of a model's outputs, ``"contour"`` and ``"probability"``."""
    both = replace(predictor, both=True)
    inside = insonated(clip.meta.sector, clip.shape[1:])
    frames = read_frames(clip, reviewed_frames(clip))
    blocks = [both.percents(block, inside) for block in frames]
    found: dict[str, dict[str, float]] = {}
    for output in Percents._fields:
        if found and len(both.names) == 1:  # the contour is the probability
            found[output] = dict(found["contour"])
            continue
        percent = in_tens(np.concatenate([getattr(block, output) for block in blocks]))
        planes = {name: percent[:, c] for c, name in enumerate(predictor.config.classes)}
        found[output] = _findings(clip, planes, range(len(percent)))
    return found


def write_findings(findings: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Write one line a clip; what is undefined stays empty."""
    rows = ((clip, *(values[n] for n in FINDINGS)) for clip, values in sorted(findings.items()))
    write_csv(path, ("clip", *FINDINGS), rows)


def read_findings(paths: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Read the findings of several folds, as written by :func:`write_findings`.

    Raises
    ------
    TrainError
        If a file is damaged; names it.
    """
    findings: dict[str, dict[str, float]] = {}
    for path in paths:
        try:
            for _, line in read_csv(path, 64 * MIB)[1]:
                findings[line["clip"]] = {
                    n: float(line[n]) if line[n] else np.nan for n in FINDINGS
                }
        except (StoreError, KeyError, ValueError) as error:
            raise TrainError(
                f"{path} is damaged: {error}", "Remove the folder of its run, and run it again."
            ) from error
    return findings
