"""Consensus: several raters become one more rater, which can be looked at and trained from.

========================  =======================================================================
``majority``              100 % where more than half of those who reviewed say yes
``mean``                  mean of the confidences
``staple``                STAPLE of yes and no
``weighted-staple``       STAPLE where 60 % counts as 0.6 of a yes
``calibrated``            each rater's confidence scale and omissions estimated along with the truth
========================  =======================================================================

"Yes" is a confidence of at least the threshold. Raters' reliability is estimated over all clips of
a class together: it belongs to the rater, not to the clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from napari_confseg.agreement.calibrated import fit_calibrated
from napari_confseg.agreement.patterns import (
    CODES,
    MISSING,
    N_LEVELS,
    Collector,
    Patterns,
    excluded,
)
from napari_confseg.agreement.rater_view import learnt_raters, planes_of, readings
from napari_confseg.agreement.staple import fit_staple
from napari_confseg.store import EXCLUDED, Clip, Identity, Problem, Status, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.agreement.rater_view import RaterView
    from napari_confseg.store import Cohort
    from napari_confseg.store.program_writer import ProgramWriter


ConsensusMethod = Literal["majority", "mean", "staple", "weighted-staple", "calibrated"]
METHODS: tuple[ConsensusMethod, ...] = get_args(ConsensusMethod)
Combine = Callable[["NDArray[np.uint8]"], "NDArray[np.float64]"]
"""From values ``uint8 (raters, pixels)``, 255 for no answer, to a probability 0..1 per pixel."""
YES = 50


@dataclass
class ConsensusReport:
    """What was made.

    Attributes
    ----------
    rater : str
        Name of the consensus.
    method : str
        How it was made.
    raters : tuple of str
        Of whom.
    clips : list of str
        Where it stands now.
    frames : int
        Frames marked as reviewed, summed over the classes.
    fitted : dict
        Class -> what was estimated of the raters; empty for majority and mean.
    """

    rater: str
    method: str
    raters: tuple[str, ...]
    clips: list[str] = field(default_factory=list)
    frames: int = 0
    fitted: dict[str, dict[str, Any]] = field(default_factory=dict)


def make_consensus(
    cohort: Cohort,
    method: ConsensusMethod,
    *,
    name: str | None = None,
    raters: Sequence[str] = (),
    classes: Sequence[str] = (),
    clips: Sequence[str] = (),
    threshold: int = YES,
    least: int = 2,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ConsensusReport:
    """Write the consensus of some raters into a cohort, as a rater of kind ``"consensus"``.

    Parameters
    ----------
    cohort : Cohort
        Open for writing.
    method : str
        One of :data:`METHODS`.
    name : str, optional
        Of the consensus; the method's name if not given. One of that name is replaced.
    raters : sequence of str
        Whose; every reader if empty, but nothing imported.
    classes, clips : sequence of str
        All if empty.
    threshold : int
        Confidence in percent from which on a rater says yes (majority and staple).
    least : int
        A frame needs at least so many who reviewed it; the others stay unreviewed.
    progress : callable, optional
        Called with (steps done, steps, what).
    cancelled : callable, optional
        Asked before each clip; if true, clips done so far stand.

    Raises
    ------
    StoreError
        If there are no raters, a name is taken by someone who is no consensus, or a class is
        unknown.
    """
    panel = tuple(raters) or tuple(learnt_raters(cohort))
    wanted = list(classes) or [c.name for c in cohort.meta.classes]
    clip_names = list(clips) or cohort.clips()
    report = ConsensusReport(name or method, method, panel)
    _check(cohort, report, wanted, clip_names)
    steps = len(wanted) + len(clip_names)
    combine: dict[str, Combine] = {}
    for number, class_name in enumerate(wanted):
        if progress:
            progress(number, steps, f"estimating {class_name}")
        if cancelled and cancelled():
            return report
        index = cohort.meta.class_index(class_name)
        combine[class_name], fitted = fit_class(
            cohort, method, panel, clip_names, index, threshold, least
        )
        if fitted:
            report.fitted[class_name] = fitted
    for number, clip_name in enumerate(clip_names, len(wanted)):
        if cancelled and cancelled():
            break
        if progress:
            progress(number, steps, clip_name)
        clip = cohort.clip(clip_name)
        present = readings(clip, panel)
        if len(present) >= least:
            label = f"{method} of {len(panel)} raters"
            with clip.written_by_program(report.rater, Identity("consensus", label)) as target:
                _write_clip(cohort, clip, present, target, combine, least, report)
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


def fit_class(
    cohort: Cohort,
    method: ConsensusMethod,
    panel: Sequence[str],
    clips: Sequence[str],
    class_index: int,
    threshold: int,
    least: int,
) -> tuple[Combine, dict[str, Any]]:
    """Return how to combine the panel's answers for a class, and what was learnt of the raters."""
    if method in ("majority", "mean"):
        return fit(method, None, threshold)
    collector = Collector(panel, yes_or_no(threshold) if method == "staple" else CODES)
    for clip_name in clips:
        collector.add_clip(cohort.clip(clip_name), class_index, least=least)
    return fit(method, collector.patterns(), threshold)


def fit(
    method: ConsensusMethod, patterns: Patterns | None, threshold: int = YES
) -> tuple[Combine, dict[str, Any]]:
    """Return how to combine answers, and what was learnt of the raters on the way.

    Parameters
    ----------
    method : str
        One of :data:`METHODS`.
    patterns : Patterns or None
        What was said; may be None for ``"majority"`` and ``"mean"``. For ``"staple"`` counted with
        the codes of :func:`yes_or_no`.
    threshold : int
        For majority and staple.
    """
    if method == "majority":
        return lambda values: _majority(values, threshold), {}
    if method == "mean":
        return _mean, {}
    if patterns is None:
        raise ValueError(f"{method} needs the patterns of answers")
    if method == "calibrated":
        panel = fit_calibrated(patterns)
        return lambda values: _by_pattern(values, panel.combine), panel.as_dict()
    soft = method == "weighted-staple"
    plain = np.broadcast_to(np.arange(N_LEVELS) > 0, patterns.stated.shape).astype(float)
    staple = fit_staple(patterns, patterns.stated if soft else plain)

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


def yes_or_no(threshold: int) -> NDArray[np.uint8]:
    """Return codes ``uint8 (256)`` for a collector: 1 from `threshold` on, else 0."""
    codes = (np.arange(256) >= threshold).astype(np.uint8)
    codes[CODES == MISSING] = MISSING
    return codes


def _majority(values: NDArray[np.uint8], threshold: int) -> NDArray[np.float64]:
    known = values != EXCLUDED
    yes = ((values >= threshold) & known).sum(0)
    won: NDArray[np.bool_] = 2 * yes > known.sum(0)
    return won.astype(float)


def _mean(values: NDArray[np.uint8]) -> NDArray[np.float64]:
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


def _write_clip(
    cohort: Cohort,
    clip: Clip,
    present: Sequence[RaterView],
    target: ProgramWriter,
    combine: dict[str, Combine],
    least: int,
    report: ConsensusReport,
) -> None:
    names = report.raters
    status = target.rater.read_status()
    stale = set(target.rater.stored_chunks())
    # First: half-new planes must not stand under the old status if this is stopped.
    status[:, [cohort.meta.class_index(c) for c in combine]] = Status.UNTOUCHED
    target.write_status(status)
    target.say_made()
    blank = np.zeros(clip.shape[1:], np.uint8)
    with target.bulk() as write_plane:
        for class_name, rule in combine.items():
            index = cohort.meta.class_index(class_name)
            for frame in range(clip.shape[0]):
                planes = planes_of(present, frame, index, clip.shape[1:])
                if len(planes) < least:
                    continue
                status[frame, index] = Status.REVIEWED
                report.frames += 1
                plane = merge(names, planes, rule)
                if plane.any():
                    write_plane(frame, index, plane)
                    stale.discard((frame, index))
        wanted = {cohort.meta.class_index(c) for c in combine}
        for frame, index in sorted(stale):
            if index in wanted:
                write_plane(frame, index, blank)
    target.write_status(status)
    report.clips.append(clip.name)


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
    method: ConsensusMethod,
    clip_name: str,
    *,
    raters: Sequence[str] = (),
    threshold: int = YES,
    least: int = 2,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, NDArray[np.uint8]] | None:
    """Return the planes that ``make_consensus`` would write on a clip, class -> ``(T, Y, X)``.

    What raters are like is estimated over all clips, as it would be then. Classes without any mark
    are left out; None if cancelled. Parameters are those of ``make_consensus``.

    Raises
    ------
    StoreError
        If too few of the raters are on the clip.
    """
    panel = tuple(raters) or tuple(learnt_raters(cohort))
    clip = cohort.clip(clip_name)
    present = readings(clip, panel)
    if len(present) < least:
        raise StoreError(
            Problem(
                "too-few-raters",
                clip_name,
                f"{least} of {', '.join(panel)} must mark this clip, and {len(present)} did",
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
        rule, _ = fit_class(cohort, method, panel, clips, index, threshold, least)
        planes = np.zeros(clip.shape, np.uint8)  # pages that nobody touches cost nothing
        for frame in range(clip.shape[0]):
            said = planes_of(present, frame, index, clip.shape[1:])
            if len(said) >= least and any(p.any() for p in said.values()):
                planes[frame] = merge(panel, said, rule)
                found[class_name] = planes
    return found
