"""Raters of a cohort, and defaults of requests that depend on who they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_confseg.annotate.train.next_run import Choice
from napari_confseg.store import RATER_KINDS, kind_rank, rater_label

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from napari_confseg.agreement.consensus import ConsensusRequest
    from napari_confseg.dataset.manifest import BuildRequest
    from napari_confseg.formats.export import ExportRequest
    from napari_confseg.store import RaterKind


@dataclass(frozen=True)
class RaterFound:
    """A rater of the cohort: on how many clips, and frames reviewed for at least one class."""

    name: str
    label: str
    kind: RaterKind
    clips: int
    frames: int
    learnt: bool = False
    imported: bool = False

    @property
    def title(self) -> str:
        """Name of it in lists."""
        return rater_label(self.name, self.label, self.kind)


@dataclass(frozen=True)
class RaterChoice:
    """A rater to choose: slug, and what lists call it."""

    name: str
    title: str


def compared(found: Sequence[RaterFound]) -> tuple[str, ...]:
    """Return who is compared if nobody is named: the readers who have reviewed anything."""
    return tuple(sorted(r.name for r in found if RATER_KINDS[r.kind].compared and r.frames))


def learnt(found: Sequence[RaterFound]) -> tuple[str, ...]:
    """Return who is learnt from if nobody is named: readers, but not what came from a file."""
    return tuple(sorted(r.name for r in found if r.learnt and r.frames))


def raters_of_consensus(request: ConsensusRequest, found: Sequence[RaterFound]) -> tuple[str, ...]:
    """Return whose consensus it would be: every reader's if the request names nobody."""
    return request.raters or learnt(found)


def raters_of_build(request: BuildRequest, found: Sequence[RaterFound]) -> tuple[str, ...]:
    """Return whose marks would go in: if none is named, a consensus made here or every reader."""
    made = (r.name for r in found if r.kind == "consensus" and r.frames and not r.imported)
    return request.raters or tuple(sorted(made)) or learnt(found)


def rater_of_export(request: ExportRequest, raters: Sequence[RaterChoice]) -> str | None:
    """Return whose marks would be exported: the version's first rater if none of its is named."""
    names = [r.name for r in raters]
    return request.rater if request.rater in names else next(iter(names), None)


def rater_choices(found: Sequence[RaterFound], chosen: Collection[str]) -> tuple[Choice, ...]:
    """Return the boxes to tick, people first."""
    rows = sorted(found, key=lambda r: (kind_rank(r.kind), r.name))
    return tuple(Choice(r.name, r.title, "", r.frames, r.name in chosen) for r in rows)
