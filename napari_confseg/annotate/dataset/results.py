"""Results of the Dataset panel's tasks: raters, comparisons, previews and versions."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_confseg.agreement.agreement import agree
from napari_confseg.agreement.consensus import combine_clip
from napari_confseg.agreement.disagreement import worst_first
from napari_confseg.agreement.summary import summarise
from napari_confseg.annotate.dataset.requests import RaterChoice, RaterFound
from napari_confseg.annotate.overlays import Overlay
from napari_confseg.dataset.frozen import Dataset, versions
from napari_confseg.report.render import disagreement_image
from napari_confseg.store import Status, StoreError, rater_label

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_confseg.agreement.agreement import Agreement
    from napari_confseg.agreement.consensus import ConsensusRequest
    from napari_confseg.agreement.scores import SoftScore
    from napari_confseg.agreement.summary import Summary
    from napari_confseg.dataset.manifest import Manifest
    from napari_confseg.store import Cohort, Rater

    Report = Callable[[int, int, str], None]
    Cancelled = Callable[[], bool]


@dataclass(frozen=True, eq=False)
class Disagreement:
    """A frame on which two raters are far apart.

    `picture` is ``uint8 (Y, X, 3)``: the frame, both raters' marks and their difference.
    """

    score: SoftScore
    frame: int
    picture: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Compared:
    """How far raters agree, and where they do least."""

    agreement: Agreement
    summary: Summary
    worst: tuple[Disagreement, ...]


@dataclass(frozen=True)
class VersionLine:
    """One frozen version, in short."""

    number: int
    clips: int
    frames: int
    raters: tuple[RaterChoice, ...]
    content: str


def find_raters(
    cohort: Cohort, report: Report, cancelled: Cancelled
) -> tuple[RaterFound, ...] | None:
    """Return who is on the clips, by name; None if cancelled.

    Clips and raters that cannot be read count nothing.
    """
    found: dict[str, RaterFound] = {}
    clips = cohort.clips()
    for number, clip_name in enumerate(clips):
        if cancelled():
            return None
        report(number, len(clips), f"reading {clip_name}")
        with suppress(StoreError):
            clip = cohort.clip(clip_name)
            for name in clip.raters():
                with suppress(StoreError):
                    _count(found, clip.rater(name))
    return tuple(found[name] for name in sorted(found))


def _count(found: dict[str, RaterFound], rater: Rater) -> None:
    frames = int((rater.read_status() == Status.REVIEWED).any(1).sum())
    meta = rater.meta
    new = RaterFound(
        rater.name,
        meta.label,
        meta.kind,
        0,
        0,
        learnt=meta.learnt,
        imported=meta.imported is not None,
    )
    old = found.get(rater.name, new)
    found[rater.name] = replace(old, clips=old.clips + 1, frames=old.frames + frames)


def compare(
    cohort: Cohort, raters: tuple[str, ...], report: Report, cancelled: Cancelled
) -> Compared | None:
    """Compare raters, and draw the worst disagreements; None if cancelled.

    Raises
    ------
    StoreError
        If there are fewer than two.
    """
    agreement = agree(cohort, raters=raters, progress=report, cancelled=cancelled)
    if cancelled():
        return None
    report(0, 0, "summing up")
    worst = []
    for score in worst_first(agreement):
        if score.worst_frame is not None:
            worst.append(_disagreement(cohort, score, score.worst_frame))
    return Compared(agreement, summarise(agreement), tuple(worst))


def _disagreement(cohort: Cohort, score: SoftScore, frame: int) -> Disagreement:
    clip = cohort.clip(score.clip)
    spec = cohort.meta.classes[cohort.meta.class_index(score.class_name)]
    a, b = (clip.rater(name).read_plane(frame, spec.index) for name in (score.a, score.b))
    return Disagreement(score, frame, disagreement_image(clip.frames[frame], a, b, spec.color))


PREVIEW = "consensus-preview"
"""Name of the overlay that a consensus is shown as before it is written."""


def preview_consensus(
    cohort: Cohort,
    request: ConsensusRequest,
    clip: str,
    report: Report,
    cancelled: Cancelled,
) -> Overlay | None:
    """Return the consensus on a clip as an overlay, nothing written; None if cancelled."""
    planes = combine_clip(cohort, request, clip, progress=report, cancelled=cancelled)
    if planes is None:
        return None
    return Overlay(PREVIEW, f"{request.method} consensus, preview", "consensus", planes)


def _raters(manifest: Manifest) -> tuple[RaterChoice, ...]:
    kinds = {name: r.kind for c in manifest.clips for name, r in c.raters.items()}
    return tuple(
        RaterChoice(n, rater_label(n, n, kinds[n]) if n in kinds else n) for n in manifest.raters
    )


def list_versions(folder: Path) -> tuple[VersionLine, ...]:
    """Return the versions in a dataset's folder, newest first; a damaged one says so."""
    lines = []
    for number in reversed(versions(folder)):
        try:
            m = Dataset.open(folder, number).manifest
        except StoreError:
            lines.append(VersionLine(number, 0, 0, (), "manifest cannot be read"))
            continue
        frames = sum(len(c.frames) for c in m.clips)
        lines.append(VersionLine(number, len(m.clips), frames, _raters(m), m.content_sha256[:12]))
    return tuple(lines)
