"""Consensus of several raters, written as one more rater.

The methods are those of :data:`~napari_confseg.agreement.methods.METHODS`. Properties of the raters
are estimated over all clips of a class together: they belong to the rater, not to the clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.agreement.calibrated import estimate_calibrated
from napari_confseg.agreement.methods import METHODS, ConsensusMethod
from napari_confseg.agreement.patterns import (
    CODES,
    MISSING,
    N_CODES,
    Collector,
    Patterns,
    excluded,
)
from napari_confseg.agreement.rater_view import learnt_raters, planes_of, rater_views
from napari_confseg.agreement.staple import estimate_staple
from napari_confseg.request_fields import setting
from napari_confseg.store import (
    EXCLUDED,
    Clip,
    Identity,
    Problem,
    ProgramWriter,
    Status,
    StoreError,
)
from napari_confseg.store.backend import requests_at_once
from napari_confseg.store.schema import Confidence, Slug, Strict
from napari_confseg.store.threads import map_bounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.rater_view import RaterView
    from napari_confseg.store import Cohort


Combine = Callable[["NDArray[np.uint8]"], "NDArray[np.float64]"]
"""From values ``uint8 (raters, pixels)``, 255 for no answer, to a probability 0..1 per pixel."""
YES = 50


class ConsensusRequest(Strict):
    """A consensus of several raters. Empty tuples mean all there are."""

    raters: tuple[Slug, ...] = setting(
        (), "Consensus of", "whose consensus; every reader if empty, but nothing imported"
    )
    method: ConsensusMethod = setting(
        "calibrated",
        "Method",
        "how the marks of several raters become one",
        choices={name: info.label for name, info in METHODS.items()},
    )
    name: Slug | None = setting(
        None,
        "Name",
        "name of the new rater; the method's if not given. A consensus of that name is replaced",
    )
    classes: tuple[Slug, ...] = setting((), "Classes", "classes of the cohort; all if empty")
    clips: tuple[Slug, ...] = setting((), "Clips", "clips of the cohort; all if empty")
    threshold: Confidence = setting(
        YES, "Yes from", "confidence from which a rater says yes (majority and staple)", unit="%"
    )
    least: int = setting(
        2, "At least", "how many raters must have reviewed a frame", unit="raters", ge=1, le=20
    )

    @property
    def rater(self) -> str:
        """Name of the consensus in the cohort."""
        return self.name or self.method


@dataclass
class ConsensusReport:
    """The consensus written: its name, method, raters and clips.

    `frames` are those marked as reviewed, summed over the classes; `fitted` holds the estimated
    properties of the raters by class, empty for methods that estimate none.
    """

    rater: str
    method: str
    raters: tuple[str, ...]
    clips: list[str] = field(default_factory=list)
    frames: int = 0
    fitted: dict[str, dict[str, Any]] = field(default_factory=dict)


def make_consensus(
    cohort: Cohort,
    request: ConsensusRequest,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ConsensusReport:
    """Write the consensus of some raters into a cohort, as a rater of kind ``"consensus"``.

    Parameters
    ----------
    cohort : Cohort
        Open for writing.
    request : ConsensusRequest
        Whose consensus, and by which method.
    progress : callable, optional
        Called with (steps done, steps, description).
    cancelled : callable, optional
        Checked before each clip; if true, clips done so far stay.

    Raises
    ------
    StoreError
        If there are no raters, a name is taken by someone who is no consensus, or a class is
        unknown.
    """
    group = request.raters or tuple(learnt_raters(cohort))
    wanted = list(request.classes) or [c.name for c in cohort.meta.classes]
    clip_names = list(request.clips) or cohort.clips()
    report = ConsensusReport(request.rater, request.method, group)
    _check(cohort, report, wanted, clip_names)
    steps = len(wanted) + len(clip_names)
    combine: dict[str, Combine] = {}
    for number, class_name in enumerate(wanted):
        if progress:
            progress(number, steps, f"estimating {class_name}")
        if cancelled and cancelled():
            return report
        index = cohort.meta.class_index(class_name)
        combine[class_name], fitted = estimate_class(cohort, request, group, clip_names, index)
        if fitted:
            report.fitted[class_name] = fitted

    def until_cancelled() -> Iterator[str]:
        for number, clip_name in enumerate(clip_names, len(wanted)):
            if cancelled and cancelled():
                return
            if progress:
                progress(number, steps, clip_name)
            yield clip_name

    def combined(clip_name: str) -> tuple[str, int | None]:
        return clip_name, _combine_clip(cohort, clip_name, request, group, combine)

    threads = requests_at_once(cohort.store)
    for clip_name, frames in map_bounded(combined, until_cancelled(), threads=threads):
        if frames is not None:
            report.clips.append(clip_name)
            report.frames += frames
    return report


def _check(
    cohort: Cohort, report: ConsensusReport, classes: Sequence[str], clips: Sequence[str]
) -> None:
    problems = []
    if not report.raters:
        problems.append(Problem("too-few-raters", "", "No rater is named for the consensus"))
    if report.rater in report.raters:
        problems.append(
            Problem(
                "rater-itself",
                "",
                f"The consensus cannot go under the name of one of its raters, {report.rater!r}",
                hint="Choose another name.",
            )
        )
    known = {c.name for c in cohort.meta.classes}
    for class_name in classes:
        if class_name not in known:
            problems.append(
                Problem.mismatch("class-unknown", "", f"one of {sorted(known)}", class_name)
            )
    there = set(cohort.clips())
    problems += [
        Problem("missing", n, "The cohort has no such clip") for n in clips if n not in there
    ]
    try:
        cohort.check_name(report.rater, "consensus")
    except StoreError as error:
        problems += error.problems
    if problems:
        raise StoreError(problems)


def estimate_class(
    cohort: Cohort,
    request: ConsensusRequest,
    raters: Sequence[str],
    clips: Sequence[str],
    class_index: int,
) -> tuple[Combine, dict[str, Any]]:
    """Return how to combine the raters' answers for a class, and their estimated properties."""
    method, threshold = request.method, request.threshold
    if not METHODS[method].learns:
        return estimate(method, None, threshold)
    codes = threshold_codes(threshold) if method == "staple" else CODES

    def counted(clip_name: str) -> Collector:
        one = Collector(raters, codes)
        one.add_clip(cohort.clip(clip_name), class_index, least=request.least)
        return one

    collector = Collector(raters, codes)
    for one in map_bounded(counted, clips, threads=requests_at_once(cohort.store)):
        collector.merge(one)
    return estimate(method, collector.patterns(), threshold)


def estimate(
    method: ConsensusMethod, patterns: Patterns | None, threshold: int = YES
) -> tuple[Combine, dict[str, Any]]:
    """Return how to combine answers, and the estimated properties of the raters.

    Parameters
    ----------
    method : str
        A key of :data:`~napari_confseg.agreement.methods.METHODS`.
    patterns : Patterns or None
        Counts of answers; may be None where nothing is estimated. For ``"staple"`` with the codes
        of :func:`threshold_codes`.
    threshold : int
        For the methods that take one.

    Raises
    ------
    ValueError
        If there is no such method, or it needs patterns.
    """
    if method == "majority":
        return lambda values: _majority(values, threshold), {}
    if method == "mean":
        return combine_mean, {}
    if patterns is None:
        raise ValueError(f"{method} needs the patterns of answers")
    if method == "calibrated":
        calibrated = estimate_calibrated(patterns)
        return lambda values: _by_pattern(values, calibrated.combine), calibrated.as_dict()
    if method not in ("staple", "weighted-staple"):
        raise ValueError(f"there is no consensus method {method!r}; use {', '.join(METHODS)}")
    soft = method == "weighted-staple"
    plain = np.broadcast_to(np.arange(N_CODES) > 0, patterns.stated.shape).astype(float)
    staple = estimate_staple(patterns, patterns.stated if soft else plain)

    def combine(values: NDArray[np.uint8]) -> NDArray[np.float64]:
        yes = values / 100 if soft else (values >= threshold).astype(float)
        known = values != EXCLUDED
        return staple.probability(np.where(known, yes, 0), known)

    return combine, {
        "raters": {
            r: {"sensitivity": round(p, 6), "specificity": round(q, 6)}
            for r, p, q in zip(staple.raters, staple.sensitivity, staple.specificity, strict=True)
        },
        "prior": staple.prior,
    }


def threshold_codes(threshold: int) -> NDArray[np.uint8]:
    """Return codes ``uint8 (256)`` for a collector: 1 from `threshold` on, else 0."""
    codes = (np.arange(256) >= threshold).astype(np.uint8)
    codes[CODES == MISSING] = MISSING
    return codes


def _majority(values: NDArray[np.uint8], threshold: int) -> NDArray[np.float64]:
    known = values != EXCLUDED
    yes = ((values >= threshold) & known).sum(0)
    won: NDArray[np.bool_] = 2 * yes > known.sum(0)
    return won.astype(float)


def combine_mean(values: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the mean of the answers, 0..1; see :data:`Combine`."""
    known = values != EXCLUDED
    mean: NDArray[np.float64] = (
        np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1) / 100
    )
    return mean


def _by_pattern(
    values: NDArray[np.uint8], combine: Callable[[NDArray[np.uint8]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Combine each distinct pattern once: a frame has few."""
    word = np.zeros(values.shape[1], np.uint64)
    for i, row in enumerate(values):
        word |= CODES[row].astype(np.uint64) << np.uint64(4 * i)
    _, first, back = np.unique(word, return_index=True, return_inverse=True)
    return combine(CODES[values[:, first]].T)[back]


def _combine_clip(
    cohort: Cohort,
    clip_name: str,
    request: ConsensusRequest,
    group: Sequence[str],
    combine: dict[str, Combine],
) -> int | None:
    """Write the consensus on a clip; return its frames, None if too few raters are on the clip."""
    clip = cohort.clip(clip_name)
    present = rater_views(clip, group)
    if len(present) < request.least:
        return None
    identity = Identity("consensus", f"{request.method} of {len(group)} raters")
    with ProgramWriter(clip, request.rater, identity) as target:
        return _write_clip(cohort, clip, group, present, target, combine, request.least)


def _write_clip(
    cohort: Cohort,
    clip: Clip,
    names: Sequence[str],
    present: Sequence[RaterView],
    target: ProgramWriter,
    combine: dict[str, Combine],
    least: int,
) -> int:
    frames = 0
    status = target.rater.read_status()
    stale = set(target.rater.stored_chunks())
    # First: half-new planes must not stand under the old status if this is stopped.
    status[:, [cohort.meta.class_index(c) for c in combine]] = Status.UNTOUCHED
    target.write_status(status)
    target.record_identity()
    blank = np.zeros(clip.shape[1:], np.uint8)
    with target.bulk() as write_plane:
        for class_name, rule in combine.items():
            index = cohort.meta.class_index(class_name)
            for frame in range(clip.shape[0]):
                planes = planes_of(present, frame, index, clip.shape[1:])
                if len(planes) < least:
                    continue
                status[frame, index] = Status.REVIEWED
                frames += 1
                plane = merge(names, planes, rule)
                if plane.any():
                    write_plane(frame, index, plane)
                    stale.discard((frame, index))
        wanted = {cohort.meta.class_index(c) for c in combine}
        for frame, index in sorted(stale):
            if index in wanted:
                write_plane(frame, index, blank)
    target.write_status(status)
    return frames


def merge(
    names: Sequence[str], planes: dict[str, NDArray[np.uint8]], rule: Combine
) -> NDArray[np.uint8]:
    """Return one plane ``uint8 (Y, X)`` from those of some of the raters `names`.

    A pixel that nobody marks is not marked, whatever the rule; one that at least half of those who
    reviewed exclude is excluded.
    """
    some = next(iter(planes.values()))
    marked = np.logical_or.reduce([p > 0 for p in planes.values()])
    merged = np.zeros(some.shape, np.uint8)
    if marked.any():
        nothing = np.full(int(marked.sum()), EXCLUDED, np.uint8)
        values = np.stack([planes[n][marked] if n in planes else nothing for n in names])
        merged[marked] = np.rint(100 * rule(values)).astype(np.uint8)
    merged[excluded(list(planes.values()))] = EXCLUDED
    return merged


def combine_clip(
    cohort: Cohort,
    request: ConsensusRequest,
    clip_name: str,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, NDArray[np.uint8]] | None:
    """Return the planes that ``make_consensus`` would write on a clip, class -> ``(T, Y, X)``.

    Properties of the raters are estimated over all clips, as there. Classes without any mark are
    left out; None if cancelled. Parameters are those of :func:`make_consensus`.

    Raises
    ------
    StoreError
        If too few of the raters are on the clip.
    """
    group, least = request.raters or tuple(learnt_raters(cohort)), request.least
    clip = cohort.clip(clip_name)
    present = rater_views(clip, group)
    if len(present) < least:
        raise StoreError(
            Problem(
                "too-few-raters",
                clip_name,
                f"{least} of {', '.join(group)} must mark this clip, and {len(present)} did",
                hint="Open a clip that they have marked.",
            )
        )
    found = {}
    clips, names = cohort.clips(), [c.name for c in cohort.meta.classes]
    for index, class_name in enumerate(names):
        if cancelled and cancelled():
            return None
        if progress:
            progress(index, len(names), f"estimating {class_name}")
        rule, _ = estimate_class(cohort, request, group, clips, index)
        planes = np.zeros(clip.shape, np.uint8)  # pages that nobody touches cost nothing
        for frame in range(clip.shape[0]):
            stated = planes_of(present, frame, index, clip.shape[1:])
            if len(stated) >= least and any(p.any() for p in stated.values()):
                planes[frame] = merge(group, stated, rule)
                found[class_name] = planes
    return found
