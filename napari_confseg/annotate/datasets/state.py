"""What the desk knows, and what it can be asked to do beside the window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_confseg.annotate.datasets.wishes import BuildWish, ConsensusWish, ExportWish

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.annotate.datasets.results import Cancelled, Compared, Report, VersionLine
    from napari_confseg.annotate.datasets.wishes import RaterFound
    from napari_confseg.dataset.consensus import ConsensusReport
    from napari_confseg.dataset.preview import Preview
    from napari_confseg.store import Problem


@dataclass(frozen=True)
class Task:
    """Something that takes a while.

    Attributes
    ----------
    words : str
        What it is, for people.
    work : callable
        Called with (report, cancelled), beside the window.
    take : callable
        Called with what `work` returned, in the window's thread.
    """

    words: str
    work: Callable[[Report, Cancelled], Any]
    take: Callable[[Any], None]


@dataclass(frozen=True, eq=False)
class DeskState:
    """All that the panel shows.

    Attributes
    ----------
    found : tuple of RaterFound
        Who is on the cohort's clips.
    clips : tuple of str
        All clips.
    to_compare : frozenset of str or None
        Whom to compare; None: every human.
    compared : Compared or None
        How far they agree.
    consensus, made : ConsensusWish, ConsensusReport or None
        A consensus to make, and the last one that was written.
    build, preview : BuildWish, Preview or None
        A dataset to build, and what it would come to.
    waiting : str
        Words about a build that was stopped and can be resumed; empty if none.
    versions : tuple of VersionLine
        What has been frozen in the dataset's folder, newest first.
    export, exported : ExportWish, tuple of str
        An export to make, and what the last one said.
    told : tuple of str
        What a look at versions found: differences, changed sources, damaged files.
    problems : tuple of Problem
        Why the latest request was refused.
    """

    found: tuple[RaterFound, ...] = ()
    clips: tuple[str, ...] = ()
    to_compare: frozenset[str] | None = None
    compared: Compared | None = None
    consensus: ConsensusWish = field(default_factory=ConsensusWish)
    made: ConsensusReport | None = None
    build: BuildWish = field(default_factory=BuildWish)
    preview: Preview | None = None
    waiting: str = ""
    versions: tuple[VersionLine, ...] = ()
    export: ExportWish = field(default_factory=ExportWish)
    exported: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
