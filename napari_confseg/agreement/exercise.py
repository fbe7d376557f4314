"""Calibration exercises: choice of frames, scores and reliability curves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_confseg.agreement.agreement import VOTE
from napari_confseg.agreement.overlap import N_VALUES, joint_histogram
from napari_confseg.agreement.rater_view import RaterView, planes_of
from napari_confseg.agreement.reliability import BIN, binned, calibration_error
from napari_confseg.store import RATER_KINDS, Status, rater_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Clip, Cohort, RaterKind

MARKED_SHARE: Final = 0.8
"""Share of the frames of an exercise on which the reference marks something."""

ENOUGH: Final = 100
"""Pixels that a bin needs to be described."""

CLOSE: Final = 0.05
"""Gap between stated confidence and share present that counts as none."""


@dataclass(frozen=True)
class Reference:
    """A rater to compare with: slug, label, kind, and number of frames for an exercise."""

    name: str
    label: str
    kind: RaterKind
    frames: int

    @property
    def title(self) -> str:
        """What lists call it."""
        return rater_label(self.name, self.label, self.kind)


def references(cohort: Cohort, reader: str) -> list[Reference]:
    """Return the references in `cohort`, with the frames that `reader` has not touched.

    The most trustworthy first: a truth, then a consensus, then adjudicated planes; those without
    such a frame come last.
    """
    found: dict[str, Reference] = {}
    for name in cohort.clips():
        clip = cohort.clip(name)
        raters = [clip.rater(r) for r in clip.raters() if r != reader]
        for rater in (r for r in raters if RATER_KINDS[r.meta.kind].reference is not None):
            n = len(_open_frames(clip, RaterView(clip, rater.name), reader))
            new = Reference(rater.name, rater.meta.label, rater.meta.kind, 0)
            old = found.get(rater.name, new)
            found[rater.name] = replace(old, frames=old.frames + n)
    return sorted(found.values(), key=_trust)


def _trust(reference: Reference) -> tuple[bool, int, str]:
    return (not reference.frames, RATER_KINDS[reference.kind].reference or 0, reference.name)


def _open_frames(clip: Clip, reference: RaterView, reader: str) -> list[int]:
    known = reference.reviewed.any(axis=1)
    if reader in clip.raters():
        known = known & (clip.rater(reader).read_status() == Status.UNTOUCHED).all(axis=1)
    return [int(t) for t in np.flatnonzero(known)]


def choose_frames(
    cohort: Cohort, reference: str, reader: str, n: int, seed: int
) -> list[tuple[str, int]]:
    """Return at most `n` frames (clip, frame) that `reference` reviewed and `reader` never touched.

    They are spread over the clips, and on most of them the reference marks something; the same
    `seed` gives the same frames. Sorted by clip, so that each is opened once.
    """
    rng = np.random.default_rng(seed)
    marked: list[list[tuple[str, int]]] = []
    empty: list[list[tuple[str, int]]] = []
    for name in cohort.clips():
        clip = cohort.clip(name)
        if reference not in clip.raters():
            continue
        view = RaterView(clip, reference)
        stored = {t for t, _ in view.rater.stored_chunks()}
        frames = rng.permutation(_open_frames(clip, view, reader)).tolist()
        marked.append([(name, int(t)) for t in frames if t in stored])
        empty.append([(name, int(t)) for t in frames if t not in stored])
    order = rng.permutation(len(marked))
    some, none = (_dealt([piles[i] for i in order]) for piles in (marked, empty))
    n_some = min(len(some), max(round(MARKED_SHARE * n), n - len(none)))
    return sorted([*some[:n_some], *none[: n - n_some]])


def _dealt(piles: Sequence[list[tuple[str, int]]]) -> list[tuple[str, int]]:
    longest = max(map(len, piles), default=0)
    return [pile[i] for i in range(longest) for pile in piles if i < len(pile)]


def score(
    cohort: Cohort, reference: str, reader: str, frames: Iterable[tuple[str, int]]
) -> dict[str, NDArray[np.int64]]:
    """Return counts of pixels by confidence, and of those that the reference marks, by class.

    Parameters
    ----------
    cohort : Cohort
        Where both are.
    reference, reader : str
        Slugs.
    frames : iterable of (str, int)
        Clips and frames; only what both reviewed counts.

    Returns
    -------
    dict
        By class ``int64 (2, 101)``: pixels by the reader's confidence, and those of them that the
        reference marks with at least 50 %. Column 0 is what the reader did not mark.
    """
    classes = [c.name for c in cohort.meta.classes]
    sums = {name: np.zeros((2, N_VALUES), np.int64) for name in classes}
    by_clip: dict[str, list[int]] = {}
    for name, frame in frames:
        by_clip.setdefault(name, []).append(frame)
    for name, indices in by_clip.items():
        clip = cohort.clip(name)
        if not {reference, reader} <= set(clip.raters()):
            continue
        views = [RaterView(clip, reader), RaterView(clip, reference)]
        for frame in indices:
            for index, class_name in enumerate(classes):
                planes = planes_of(views, frame, index, clip.shape[1:])
                if len(planes) == len(views):
                    table = joint_histogram(planes[reader], planes[reference])
                    sums[class_name] += [table.sum(1), table[:, VOTE:].sum(1)]
    return sums


@dataclass(frozen=True)
class Curve:
    """Reliability curve of one class or several together.

    `stated`, `present` and `pixels` are per bin of 10 %: mean stated confidence, share present in
    the reference (both 0..1, NaN for an empty bin), and number of pixels. `error` is the
    calibration error, NaN where nothing was marked; `missed` the share of the reference that was
    not marked, NaN where it is empty.
    """

    stated: tuple[float, ...]
    present: tuple[float, ...]
    pixels: tuple[int, ...]
    error: float
    missed: float


def curve(sums: NDArray[np.int64]) -> Curve:
    """Return the curve of ``(2, 101)``; see :func:`score`."""
    flat = sums.astype(float).reshape(1, -1)
    pixels, stated, present = (v[0] for v in binned(flat))
    there = float(sums[1].sum())
    return Curve(
        tuple(stated.tolist()),
        tuple(present.tolist()),
        tuple(int(v) for v in pixels),
        float(calibration_error(flat)[0]),
        float(sums[1, 0] / there) if there else float("nan"),
    )


def describe_curve(of: Curve) -> str:
    """Return a sentence or two about a curve, for the reader."""
    marked = sum(of.pixels)
    if not marked:
        nothing = "You marked nothing"
        return f"{nothing}, and nothing was there." if np.isnan(of.missed) else f"{nothing} of it."
    bins = [
        (s, r, n) for s, r, n in zip(of.stated, of.present, of.pixels, strict=True) if n >= ENOUGH
    ]
    if not bins:
        return f"Only {marked} pixels are marked: too few for a curve."
    words = ""
    for side, which in ((-1, "overconfident"), (1, "underconfident")):
        off = [(side * (r - s) * n, s, r) for s, r, n in bins if side * (r - s) > CLOSE]
        if off:  # what most pixels are wrong by
            _, stated, present = max(off)
            said, there = f"{100 * stated:.0f} %", f"{100 * present:.0f} %"
            words += f" Of what you marked at {said}, {there} is there: {which}."
    words = (words or " Your confidence is well calibrated.").strip()
    if of.missed > CLOSE:
        words += f" {100 * of.missed:.0f} % of what is there is not marked."
    if sum(n > 0 for n in of.pixels) == 1:
        words += f" All marks lie within one step of {BIN} %: use more of the scale to learn more."
    return words
