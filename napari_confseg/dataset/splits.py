"""Splits that keep a patient whole and every class as frequent in each part as in the whole.

scikit-learn's ``StratifiedGroupKFold`` knows one label per item; clips carry several. The method
is greedy: patients with the most of what is rare are placed first, each where the worst gap to the
requested share becomes smallest, and then single moves and exchanges are tried until none helps
(iterative stratification after Sechidis et al., ECML PKDD 2011, with groups).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_confseg.dataset.manifest import SplitRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_confseg.dataset.manifest import BuildRequest


@dataclass(frozen=True)
class Split:
    """Which part each item belongs to, and how fair that is.

    Attributes
    ----------
    parts : tuple of int
        Part of each item, in the order given.
    names : tuple of str
        Names of the parts.
    prevalence : NDArray
        ``float (parts, classes)``, share of a part's items that carry the class; NaN if empty.
    deviation : float
        Worst absolute difference between a part's prevalence and that of all items.
    size_deviation : float
        Worst absolute difference between a part's share of the items and the share requested.
    """

    parts: tuple[int, ...]
    names: tuple[str, ...]
    prevalence: NDArray[np.float64]
    deviation: float
    size_deviation: float

    def items(self, name: str) -> list[int]:
        """Return the positions of the items in the part called `name`."""
        wanted = self.names.index(name)
        return [i for i, part in enumerate(self.parts) if part == wanted]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for a manifest; the prevalence rounded to six digits, None if empty."""
        rounded = [
            [None if np.isnan(v) else round(float(v), 6) for v in row] for row in self.prevalence
        ]
        return {
            "names": list(self.names),
            "prevalence": rounded,
            "worst_prevalence_deviation": round(self.deviation, 6),
            "worst_size_deviation": round(self.size_deviation, 6),
        }


def split(
    patients: Sequence[str],
    labels: NDArray[np.bool_],
    fractions: dict[str, float],
    *,
    seed: int = 0,
) -> Split:
    """Return a split of items into parts of about the given sizes, no patient in two of them.

    Parameters
    ----------
    patients : sequence of str
        Patient of each item.
    labels : ndarray of bool, shape (items, classes)
        Whether the item carries the class.
    fractions : dict
        Name of each part and its requested share; they must add up to 1.
    seed : int
        Order in which equals are placed. Same seed, same split.

    Raises
    ------
    ValueError
        If the lengths differ, the shares don't add up to 1, or there are fewer patients than parts.
    """
    shares = np.array(list(fractions.values()), float)
    if (shares <= 0).any() or abs(shares.sum() - 1) > 1e-9:
        raise ValueError(f"shares must be positive and add up to 1, found {fractions}")
    names, group = np.unique(np.asarray(patients), return_inverse=True)
    if len(patients) != len(labels):
        raise ValueError(f"{len(patients)} patients for {len(labels)} items: give one for each")
    if len(names) == 1 < len(shares):
        raise ValueError(
            f"all clips are of one patient, and a patient is kept whole, so {len(shares)} parts "
            "cannot be filled: if they are of several, import them again so that each has its own "
            "(one for each file, a pattern over file names, or a table)"
        )
    if len(names) < len(shares):
        raise ValueError(
            f"{len(names)} patients cannot fill {len(shares)} parts: import more patients "
            "or ask for fewer parts"
        )
    content = _content(group, labels, len(names))
    placed = _improve(_greedy(content, shares, seed), content, shares)
    parts = placed[group]
    return _judge(parts, labels, shares, tuple(fractions))


def folds(patients: Sequence[str], labels: NDArray[np.bool_], k: int, *, seed: int = 0) -> Split:
    """Return a split into `k` folds of equal size called ``"fold-0"``...; see :func:`split`.

    Parameters
    ----------
    patients : sequence of str
        Patient of each item.
    labels : ndarray of bool, shape (items, classes)
        Whether the item carries the class.
    k : int
        Number of folds, at least 2.
    seed : int
        Order in which equals are placed.

    Raises
    ------
    ValueError
        If there are fewer patients than folds, or the lengths differ.
    """
    if k < 2:
        raise ValueError(f"k folds need k of at least 2, found {k}")
    return split(patients, labels, {f"fold-{i}": 1 / k for i in range(k)}, seed=seed)


def _content(
    group: NDArray[np.intp], labels: NDArray[np.bool_], n_groups: int
) -> NDArray[np.float64]:
    """Return (groups, 1 + classes): how many items a patient has, and how many of each class."""
    content = np.zeros((n_groups, 1 + labels.shape[1]))
    np.add.at(content, group, np.column_stack([np.ones(len(labels)), labels]))
    return content


def _cost(
    sums: NDArray[np.float64], total: NDArray[np.float64], shares: NDArray[np.float64]
) -> float:
    """Return how far parts holding `sums` are from their shares: worst gap first, then the rest.

    Prevalence and size weigh alike; an empty part counts as wholly wrong. Of a gap in prevalence
    counts what lies beyond half an item: a part of two clips has one with a class, or none, or
    two, and should not be made larger than asked for because of that. The small second term lets
    a move that leaves the worst gap but mends others count as progress.
    """
    size = sums[:, 0]
    overall = total[1:] / total[0]
    prevalence = np.divide(
        sums[:, 1:], size[:, None], out=np.full_like(sums[:, 1:], 2.0), where=size[:, None] > 0
    )
    half = 0.5 / np.maximum(shares * total[0], 0.5)
    beyond = np.maximum(np.abs(prevalence - overall) - half[:, None], 0)
    gaps = np.column_stack([np.abs(size / total[0] - shares), beyond])
    return float(gaps.max() + 0.01 * gaps.mean())


def _greedy(
    content: NDArray[np.float64], shares: NDArray[np.float64], seed: int
) -> NDArray[np.intp]:
    """Return the part of each patient: rarest first, each where it is missed most."""
    total = content.sum(0)
    rarity = 1 / np.maximum(total, 1)
    rarity[0] *= 0.5  # a large patient is hard to place late, too
    order = np.random.default_rng(seed).permutation(len(content))
    order = order[np.argsort(-(content @ rarity)[order], kind="stable")]
    requested = shares[:, None] * total
    sums = np.zeros_like(requested)
    placed = np.zeros(len(content), np.intp)
    weight = rarity * np.maximum(total > 0, 0)
    for patient in order:
        # Where adding it takes away most of what is still missing, counted in shares of the total.
        before = np.abs(requested - sums) @ weight
        after = np.abs(requested - sums - content[patient]) @ weight
        empty = (sums[:, 0] == 0) & (shares > 0)
        part = int(np.lexsort((-requested[:, 0], after - before - empty))[0])
        placed[patient] = part
        sums[part] += content[patient]
    return placed


def _improve(
    placed: NDArray[np.intp], content: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return `placed` after the best single move or exchange, again and again until none helps."""
    placed = placed.copy()
    total = content.sum(0)
    sums = np.zeros((len(shares), content.shape[1]))
    np.add.at(sums, placed, content)
    best = _cost(sums, total, shares)
    improved = True
    while improved:
        improved = False
        for a in range(len(content)):
            for change in _changes(placed, content, a, len(shares)):
                delta, other, part = change
                trial = sums.copy()
                trial[placed[a]] -= delta
                trial[part] += delta
                cost = _cost(trial, total, shares)
                if cost < best - 1e-12:
                    best, sums, improved = cost, trial, True
                    if other is not None:
                        placed[other] = placed[a]
                    placed[a] = part
                    break
    return placed


def _changes(
    placed: NDArray[np.intp], content: NDArray[np.float64], a: int, n_parts: int
) -> list[tuple[NDArray[np.float64], int | None, int]]:
    """Return what patient `a` could do: move to another part, or change places with someone."""
    moves: list[tuple[NDArray[np.float64], int | None, int]] = [
        (content[a], None, p) for p in range(n_parts) if p != placed[a]
    ]
    others = np.flatnonzero(placed != placed[a])
    # A hundred partners are plenty; all of a thousand would be a minute for nothing.
    step = max(1, len(others) // 100)
    return moves + [(content[a] - content[b], int(b), int(placed[b])) for b in others[::step]]


def _judge(
    parts: NDArray[np.intp],
    labels: NDArray[np.bool_],
    shares: NDArray[np.float64],
    names: tuple[str, ...],
) -> Split:
    prevalence = np.full((len(shares), labels.shape[1]), np.nan)
    for part in range(len(shares)):
        if (parts == part).any():
            prevalence[part] = labels[parts == part].mean(0)
    gaps = np.abs(prevalence - labels.mean(0)) if labels.size else np.zeros((1, 1))
    sizes = np.bincount(parts, minlength=len(shares)) / max(len(parts), 1)
    deviation = float(np.nanmax(gaps)) if gaps.size else 0.0
    return Split(
        tuple(int(p) for p in parts),
        names,
        prevalence,
        deviation,
        float(np.abs(sizes - shares).max()),
    )


class Counted(Protocol):
    """A clip of which is known who was filmed and which classes are on it."""

    @property
    def clip(self) -> str:
        """Its name."""

    @property
    def patient(self) -> str:
        """Whose it is."""

    def marks(self, class_name: str) -> bool:
        """Whether anybody marked the class anywhere on it."""


def part_clips(
    clips: Sequence[Counted], request: BuildRequest
) -> tuple[SplitRecord, SplitRecord | None]:
    """Return the split and, if the request wants any, the folds.

    Raises
    ------
    ValueError
        If there are fewer patients than parts or folds.
    """
    parts = _record(clips, request, dict(request.parts))
    if not request.folds:
        return parts, None
    shares = {f"fold-{i}": 1 / request.folds for i in range(request.folds)}
    return parts, _record(clips, request, shares)


def _record(
    clips: Sequence[Counted], request: BuildRequest, shares: dict[str, float]
) -> SplitRecord:
    labels = np.array([[clip.marks(c) for c in request.classes] for clip in clips])
    result: Split = split([c.patient for c in clips], labels, shares, seed=request.seed)
    prevalence = {
        name: {
            c: None if np.isnan(v) else round(float(v), 6)
            for c, v in zip(request.classes, row, strict=True)
        }
        for name, row in zip(result.names, result.prevalence, strict=True)
    }
    return SplitRecord(
        names=result.names,
        of_clip={c.clip: result.names[p] for c, p in zip(clips, result.parts, strict=True)},
        prevalence=prevalence,
        worst_prevalence_deviation=round(result.deviation, 6),
        worst_size_deviation=round(result.size_deviation, 6),
    )
