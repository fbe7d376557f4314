"""Raters of a cohort, and defaults of requests that depend on who they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from napari_confseg.annotate.train.next_run import Choice

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from napari_confseg.agreement.consensus import ConsensusRequest
    from napari_confseg.annotate.dataset.results import VersionLine
    from napari_confseg.dataset.manifest import BuildRequest
    from napari_confseg.formats.export import ExportRequest

KINDS: Final = ("human", "adjudicated", "consensus", "model", "truth")
"""Kinds of raters in the order in which lists show them."""


@dataclass(frozen=True)
class RaterFound:
    """A rater of the cohort: on how many clips, and frames reviewed for at least one class."""

    name: str
    label: str
    kind: str
    clips: int
    frames: int


def people(found: Sequence[RaterFound]) -> tuple[str, ...]:
    """Return the humans who have reviewed anything."""
    return _of_kind(found, "human")


def _of_kind(found: Sequence[RaterFound], kind: str) -> tuple[str, ...]:
    return tuple(sorted(r.name for r in found if r.kind == kind and r.frames))


def raters_of_consensus(request: ConsensusRequest, found: Sequence[RaterFound]) -> tuple[str, ...]:
    """Return whose consensus it would be: every human's if the request names nobody."""
    return request.raters or people(found)


def raters_of_build(request: BuildRequest, found: Sequence[RaterFound]) -> tuple[str, ...]:
    """Return whose marks would go in: a consensus, else every human, if none is named."""
    return request.raters or _of_kind(found, "consensus") or people(found)


def rater_of_export(request: ExportRequest, version: VersionLine | None) -> str | None:
    """Return whose marks would be exported: the version's first rater if none of its is named."""
    raters = version.raters if version else ()
    if request.rater in raters:
        return request.rater
    return raters[0] if raters else None


def rater_choices(found: Sequence[RaterFound], chosen: Collection[str]) -> tuple[Choice, ...]:
    """Return the boxes to tick, people first."""
    rows = sorted(found, key=lambda r: (KINDS.index(r.kind), r.name))
    return tuple(Choice(r.name, _label(r), "", r.frames, r.name in chosen) for r in rows)


def _label(rater: RaterFound) -> str:
    """Return what people read, with the name that scores and files use where it differs."""
    if rater.kind == "consensus":
        return f"{rater.name} (consensus)"
    own = rater.label.lower().replace(".", "").replace(" ", "-") == rater.name
    label = rater.label if own else f"{rater.name}: {rater.label}"
    return label if rater.kind == "human" else f"{label} ({rater.kind})"
