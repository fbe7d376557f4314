"""How far raters agree, clip by clip and in bounded memory.

One pass over the frames of a clip fills a joint histogram per class and pair of raters; scores
follow from it. Only what both have reviewed is compared. What a clip adds to kappa, alpha,
calibration and correlation are sums, so :mod:`napari_confseg.dataset.summary` can add clips up and
resample patients without reading a plane again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.dataset.counting import compare_clip
from napari_confseg.dataset.reading import people, readings
from napari_confseg.dataset.scores import Agreement
from napari_confseg.store import MAX_CONFIDENCE, Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_confseg.store import Cohort


def agree(
    cohort: Cohort,
    *,
    raters: Sequence[str] = (),
    classes: Sequence[str] = (),
    clips: Sequence[str] = (),
    thresholds: Sequence[int] = (),
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Agreement:
    """Compare raters over a cohort.

    Parameters
    ----------
    cohort : Cohort
        Read only.
    raters : sequence of str
        Whom to compare; every human if empty. A model or a consensus may be named, too.
    classes, clips : sequence of str
        All if empty.
    thresholds : sequence of int
        Confidences in percent, 1..100; the cohort's anchors if empty.
    progress : callable, optional
        Called with (clips done, clips, name).
    cancelled : callable, optional
        Asked after each clip; if true, what is done so far is returned.

    Raises
    ------
    StoreError
        If there are fewer than two raters, or a class or threshold is not possible.
    """
    names = tuple(raters) or tuple(people(cohort))
    wanted = tuple(classes) or tuple(c.name for c in cohort.meta.classes)
    levels = tuple(sorted(set(thresholds))) or tuple(a.value for a in cohort.meta.anchors)
    _check(cohort, names, wanted, levels)
    clip_names = list(clips) or cohort.clips()
    done = []
    for number, clip_name in enumerate(clip_names):
        if cancelled and cancelled():
            break
        if progress:
            progress(number, len(clip_names), clip_name)
        clip = cohort.clip(clip_name)
        panel = readings(clip, names)
        if len(panel) > 1:
            done.append(compare_clip(clip, panel, names, cohort, wanted, levels))
    return Agreement(cohort.meta.name, names, wanted, levels, tuple(done))


def _check(
    cohort: Cohort, raters: tuple[str, ...], classes: tuple[str, ...], levels: tuple[int, ...]
) -> None:
    problems = []
    if len(set(raters)) < 2:
        problems.append(Problem("too-few-raters", "", "at least two raters", f"{list(raters)}",
                                "Name them, or let a second person read."))  # fmt: skip
    known = {c.name for c in cohort.meta.classes}
    for name in classes:
        if name not in known:
            problems.append(Problem("class-unknown", "", f"one of {sorted(known)}", repr(name)))
    for level in levels:
        if not 1 <= level <= MAX_CONFIDENCE:
            problems.append(Problem("threshold-range", "", "1..100 percent", str(level)))
    if problems:
        raise StoreError(problems)
