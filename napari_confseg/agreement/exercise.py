"""A calibration exercise: frames of which the answer is known, and how sure against how right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_confseg.agreement.agreement import VOTE
from napari_confseg.agreement.overlap import LEVELS, joint_histogram
from napari_confseg.agreement.rater_view import RaterView, planes_of
from napari_confseg.agreement.reliability import BIN, binned, calibration_error
from napari_confseg.store import RATER_KINDS, Status, rater_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_confseg.store import Clip, Cohort, RaterKind

MARKED_SHARE: Final = 0.8
"""Of the frames asked, so many show something; on the others nothing is there to be found."""

ENOUGH: Final = 100
"""Pixels of one bin below which nothing is said of it."""

CLOSE: Final = 0.05
"""A gap between sure and right that counts as none."""


@dataclass(frozen=True)
class Reference:
    """A rater to compare with: slug, label, kind, and how many frames it can ask."""

    name: str
    label: str
    kind: RaterKind
    frames: int

    @property
    def title(self) -> str:
        """What lists call it."""
        return rater_label(self.name, self.label, self.kind)


def references(cohort: Cohort, reader: str) -> list[Reference]:
    """Return who can be held for right in `cohort`, with the frames that `reader` never touched.

    The most trustworthy first: a truth, then a consensus, then what somebody adjudicated; those
    with no frame to ask come last.
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

    They are dealt from one clip after the other, most of them such that show something; the same
    `seed` gives the same frames. In the order of the clips, so that each is opened once.
    """
    rng = np.random.default_rng(seed)
    marked: list[list[tuple[str, int]]] = []
    empty: list[list[tuple[str, int]]] = []
    for name in cohort.clips():
        clip = cohort.clip(name)
        if reference not in clip.raters():
            continue
        reading = RaterView(clip, reference)
        stored = {t for t, _ in reading.rater.stored_chunks()}
        frames = rng.permutation(_open_frames(clip, reading, reader)).tolist()
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
    """Return for each class what was marked at which confidence, and how much of it is there.

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
        reference holds for likelier than not. Column 0 is what the reader did not mark.
    """
    classes = [c.name for c in cohort.meta.classes]
    sums = {name: np.zeros((2, LEVELS), np.int64) for name in classes}
    by_clip: dict[str, list[int]] = {}
    for name, frame in frames:
        by_clip.setdefault(name, []).append(frame)
    for name, asked in by_clip.items():
        clip = cohort.clip(name)
        if not {reference, reader} <= set(clip.raters()):
            continue
        panel = [RaterView(clip, reader), RaterView(clip, reference)]
        for frame in asked:
            for index, class_name in enumerate(classes):
                planes = planes_of(panel, frame, index, clip.shape[1:])
                if len(planes) == len(panel):
                    table = joint_histogram(planes[reader], planes[reference])
                    sums[class_name] += [table.sum(1), table[:, VOTE:].sum(1)]
    return sums


@dataclass(frozen=True)
class Curve:
    """How sure against how right, of one class or several together.

    Attributes
    ----------
    stated, right : tuple of float
        Per bin of 10 %: mean stated confidence and the share of it that is there, 0..1; NaN for
        an empty bin.
    pixels : tuple of int
        Per bin.
    error : float
        Calibration error; NaN where nothing was marked.
    missed : float
        Share of what is there that was not marked; NaN where nothing is.
    """

    stated: tuple[float, ...]
    right: tuple[float, ...]
    pixels: tuple[int, ...]
    error: float
    missed: float


def curve(sums: NDArray[np.int64]) -> Curve:
    """Return the curve of ``(2, 101)``; see :func:`score`."""
    flat = sums.astype(float).reshape(1, -1)
    pixels, stated, right = (v[0] for v in binned(flat))
    there = float(sums[1].sum())
    return Curve(
        tuple(stated.tolist()),
        tuple(right.tolist()),
        tuple(int(v) for v in pixels),
        float(calibration_error(flat)[0]),
        float(sums[1, 0] / there) if there else float("nan"),
    )


def in_words(of: Curve) -> str:
    """Return what a curve says to the reader, in a sentence or two."""
    marked = sum(of.pixels)
    if not marked:
        nothing = "You marked nothing"
        return f"{nothing}, and nothing was there." if np.isnan(of.missed) else f"{nothing} of it."
    bins = [
        (s, r, n) for s, r, n in zip(of.stated, of.right, of.pixels, strict=True) if n >= ENOUGH
    ]
    if not bins:
        return f"Only {marked} pixels marked: too little to tell."
    words = ""
    for side, which in ((-1, "surer than right"), (1, "more often right than you say")):
        off = [(side * (r - s) * n, s, r) for s, r, n in bins if side * (r - s) > CLOSE]
        if off:  # what most pixels are wrong by
            _, stated, right = max(off)
            words += f" When you said {stated:.0%}, {right:.0%} was there: you are {which}."
    words = (words or " You are as sure as you are right.").replace("%", " %").strip()
    if of.missed > CLOSE:
        words += f" {of.missed:.0%}".replace("%", " %") + " of what is there you left out."
    if sum(n > 0 for n in of.pixels) == 1:
        words += f" All lies within one step of {BIN} %: use more of the scale to learn more."
    return words
