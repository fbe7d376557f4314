"""The read-outs of one frame. Formulas and sources: ``docs/reference/readouts.md``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.readouts.belief import ABSENT, Belief, levels_of, regions, states
from napari_confseg.readouts.findings import Finding, Presence
from napari_confseg.readouts.pleura import pleural_line
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_confseg.readouts.beams import Beams
    from napari_confseg.readouts.findings import Unit

PLEURA, A_LINE, B_LINE, RIB = "pleura", "a-line", "b-line", "rib"
CONSOLIDATION, EFFUSION = "consolidation", "effusion"

LEAST_REACH = 0.1
"""Share of the way from the pleura to the sector's bottom that a region must run along some beam
to be a B-line: specks are none."""

THINNEST = 0.25
"""The pleural line ends where it is thinner than this share of its mean thickness: the corner of
a last pixel is not yet line."""

HALF_WIDTH = 0.5
"""A B-line is as wide as the beams that it covers for at least this share of its longest one:
full width at half maximum, which the pixels' staircase at its flanks leaves unbiased."""


@dataclass(frozen=True)
class FrameReadouts:
    """What the planes of one frame say of the lung; a class that does not exist gives NaN.

    Attributes
    ----------
    pleura_percentage : Finding
        Share of the pleural line's extent with B-lines beneath it, in %.
    b_line_count : Finding
        Number of separate B-lines.
    artefact_score : Finding
        Share of the intercostal space that B-lines fill, in %.
    a_lines : Presence
        Whether there is an A-line.
    consolidation, effusion : Finding
        Area, in mm² if the spacing is known, else in px².
    pleura_thickness, pleura_thickness_p90, pleura_breaks, pleura_interrupted : Finding
    pleura_irregularity, pleura_indentations : Finding
    pleura_doubled, pleura_hidden, pleura_specks : Finding
        Of :class:`~napari_confseg.readouts.pleura.PleuralLine`, which says what each is.
    """

    pleura_percentage: Finding
    b_line_count: Finding
    artefact_score: Finding
    a_lines: Presence
    consolidation: Finding
    effusion: Finding
    pleura_thickness: Finding
    pleura_thickness_p90: Finding
    pleura_breaks: Finding
    pleura_interrupted: Finding
    pleura_irregularity: Finding
    pleura_indentations: Finding
    pleura_doubled: Finding
    pleura_hidden: Finding
    pleura_specks: Finding


def frame_readouts(planes: Mapping[str, NDArray[np.uint8]], beams: Beams) -> FrameReadouts:
    """Return the read-outs of one frame.

    Parameters
    ----------
    planes : mapping of str to ndarray of uint8 (Y, X)
        Planes by class name (``"pleura"``, ``"a-line"``, ``"b-line"``, ``"rib"``,
        ``"consolidation"``, ``"effusion"``), all of the same rater. Others are not looked at.
    beams : Beams
        Of the clip.

    Raises
    ------
    ValueError
        If a plane is not of the beams' shape.
    """
    for name, plane in planes.items():
        if plane.shape != beams.shape:
            raise ValueError(
                f"plane {name!r} has the wrong shape: expected {beams.shape}, found {plane.shape}; "
                "give the planes of one frame and the beams of its clip"
            )
    percentage, count, score = _b_line_findings(planes, beams)
    line = pleural_line(planes.get(PLEURA), beams, planes.get(RIB))
    return FrameReadouts(
        pleura_percentage=percentage,
        b_line_count=count,
        artefact_score=score,
        a_lines=presence(planes.get(A_LINE)),
        consolidation=area(planes.get(CONSOLIDATION), beams),
        effusion=area(planes.get(EFFUSION), beams),
        **{f"pleura_{f.name}": getattr(line, f.name) for f in fields(line)},
    )


def _undefined(unit: Unit) -> Finding:
    return Finding.of(Belief.of(np.array([np.nan]), np.ones(1)), unit)


def area(plane: NDArray[np.uint8] | None, beams: Beams) -> Finding:
    """Return the area of a class within the sector, in mm² if the spacing is known."""
    unit: Unit = "mm²" if beams.unit == "mm" else "px²"
    if plane is None:
        return _undefined(unit)
    plane = np.where(beams.inside, plane, np.uint8(0))
    labels = regions(plane)
    thresholds, weights = states(levels_of(plane, labels))
    marked = labels > 0
    # table[k, t]: pixels of region k + 1 with at least confidence t
    counts = np.zeros((int(labels.max(initial=0)), ABSENT + 1))
    np.add.at(counts, (labels[marked] - 1, plane[marked]), 1)
    table = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    pixels = table[np.arange(len(table)), thresholds].sum(axis=1)
    return Finding.of(Belief.of(pixels * beams.pixel_area, weights), unit)


def presence(plane: NDArray[np.uint8] | None) -> Presence:
    """Return how sure it is that a class is anywhere on the frame.

    With p_k the highest confidence of region k: 1 - prod(1 - p_k) if regions are independent, at
    least max p_k and at most min(1, sum p_k) whatever they are.
    """
    if plane is None:
        return Presence(float("nan"), float("nan"), float("nan"))
    labels = regions(plane)
    p = np.array([v[-1] for v in levels_of(plane, labels)]) / MAX_CONFIDENCE
    independent = 1 - float(np.prod(1 - p))
    return Presence(independent, float(p.max(initial=0)), float(min(1.0, p.sum())))


@dataclass(frozen=True, eq=False)
class _Along:
    """One class along the beams: what each region covers of each beam, by threshold.

    `tables[k]` is ``(ABSENT + 1, n)``: weight of the points of region k with at least that
    confidence, for the beams from `first[k]` on.
    """

    levels: list[NDArray[np.int64]]
    tables: list[NDArray[np.float32]]
    first: list[int]

    @classmethod
    def of(
        cls, plane: NDArray[np.uint8], beams: Beams, points: NDArray[np.bool_]
    ) -> tuple[_Along, NDArray[np.uint8]]:
        """Tabulate `plane` over `points` ``(depths, beams)``; also return it along the beams."""
        samples = beams.samples
        plane = np.where(beams.inside & (plane != EXCLUDED), plane, np.uint8(0))
        labels = regions(plane)
        value = samples.take(plane).astype(np.uint8)
        owner = np.where(points, samples.take(labels), 0)
        at = np.nonzero(owner)
        order = np.argsort(owner[at], kind="stable")
        rows, columns = at[0][order], at[1][order]
        n = int(labels.max(initial=0))
        bounds = np.searchsorted(owner[at][order], np.arange(1, n + 2))
        tables, first = [], []
        for k in range(n):
            r, c = rows[bounds[k] : bounds[k + 1]], columns[bounds[k] : bounds[k + 1]]
            left, width = (int(c.min()), int(np.ptp(c)) + 1) if len(c) else (0, 0)
            table = np.zeros((ABSENT + 1, width), np.float32)
            np.add.at(table, (value[r, c], c - left), samples.area[r, 0])
            tables.append(table[::-1].cumsum(axis=0)[::-1])
            first.append(left)
        return cls(levels_of(plane, labels), tables, first), value

    def cover(self, thresholds: NDArray[np.int64], n_beams: int) -> NDArray[np.float32]:
        """Return the weight covered in each state and beam, ``(states, beams)``."""
        out = np.zeros((len(thresholds), n_beams), np.float32)
        for k, here in enumerate(self._slices()):
            out[:, here] += self.tables[k][thresholds[:, k]]
        return out

    def lines(self, thresholds: NDArray[np.int64], n_beams: int) -> NDArray[np.bool_]:
        """Return the beams that cross the pleural line in each state, ``(states, beams)``."""
        out = np.zeros((len(thresholds), n_beams), np.bool_)
        for k, here in enumerate(self._slices()):
            table = self.tables[k]
            usual = table.sum(axis=1) / np.maximum((table > 0).sum(axis=1), 1)
            there = (table > 0) & (table >= THINNEST * usual[:, None])
            out[:, here] |= there[thresholds[:, k]]
        return _bridged(out)

    def b_lines(
        self, thresholds: NDArray[np.int64], room: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """Return the beams with a B-line in each state, ``(states, beams)``.

        `room` is the weight of each beam's points beneath the pleura, ``(beams,)``.
        """
        out = np.zeros((len(thresholds), len(room)), np.bool_)
        for k, here in enumerate(self._slices()):
            table = self.tables[k]
            reach = np.divide(table, room[here], out=np.zeros_like(table), where=room[here] > 0)
            longest = reach.max(axis=1, keepdims=True, initial=0)
            wide = (reach >= HALF_WIDTH * longest) & (longest >= LEAST_REACH)
            out[:, here] |= wide[thresholds[:, k]]
        return _bridged(out)

    def _slices(self) -> list[slice]:
        return [
            slice(left, left + table.shape[1])
            for table, left in zip(self.tables, self.first, strict=True)
        ]


def _b_line_findings(
    planes: Mapping[str, NDArray[np.uint8]], beams: Beams
) -> tuple[Finding, Finding, Finding]:
    """Return pleura percentage, B-line count and artefact score, from the same states."""
    none = _undefined("%"), _undefined("lines"), _undefined("%")
    if B_LINE not in planes:
        return none
    samples = beams.samples
    n_beams = samples.inside.shape[1]
    empty = np.zeros(beams.shape, np.uint8)
    pleura, along_pleura = _Along.of(planes.get(PLEURA, empty), beams, samples.inside)
    beneath = _beneath(along_pleura, samples.inside)
    if PLEURA in planes:
        excluded = samples.take(planes[B_LINE] == EXCLUDED).astype(np.bool_)
        beneath = beneath & ~excluded
    lines, _ = _Along.of(planes[B_LINE], beams, beneath)
    rib, _ = _Along.of(planes.get(RIB, empty), beams, samples.inside)
    thresholds, weights = states([*pleura.levels, *lines.levels, *rib.levels])
    split = np.cumsum([len(pleura.levels), len(lines.levels)])
    t_pleura, t_lines, t_rib = np.split(thresholds, split, axis=1)

    room = (beneath * samples.area).sum(axis=0)  # (beams,)
    filled = lines.cover(t_lines, n_beams)  # (states, beams)
    has_line = lines.b_lines(t_lines, room)
    has_pleura = pleura.lines(t_pleura, n_beams)
    space = has_pleura & (rib.cover(t_rib, n_beams) <= 0)
    count = Finding.of(Belief.of(_runs(has_line), weights), "lines")
    if PLEURA not in planes:
        return none[0], count, none[2]
    percentage = _percent((has_line & has_pleura).sum(axis=1), has_pleura.sum(axis=1))
    score = _percent((filled * space).sum(axis=1), space @ room)
    return (
        Finding.of(Belief.of(percentage, weights), "%"),
        count,
        Finding.of(Belief.of(score, weights), "%"),
    )


def _percent(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    out = np.full(len(whole), np.nan)
    np.divide(100.0 * part, whole, out=out, where=whole > 0)
    return out


def _beneath(pleura: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the points of the sector from the pleural line down, ``(depths, beams)``.

    On a beam the line begins where it first reaches the highest confidence it has there; where
    there is none, the beam counts from the face.
    """
    top = np.where(pleura.any(axis=0), pleura.argmax(axis=0), 0)
    return inside & (np.arange(len(pleura))[:, None] >= top)


def _bridged(there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps of up to two beams in ``(states, beams)``.

    A beam can slip between the pixels of a slanting line that touch at their corners only.
    """
    padded = np.pad(there, ((0, 0), (2, 2)))
    wide = padded | np.roll(padded, 1, axis=1) | np.roll(padded, -1, axis=1)
    closed = wide & np.roll(wide, 1, axis=1) & np.roll(wide, -1, axis=1)
    return np.asarray(closed[:, 2:-2])


def _runs(there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the number of runs of beams in each state of ``(states, beams)``."""
    starts = there[:, 0] + (there[:, 1:] & ~there[:, :-1]).sum(axis=1)
    return np.asarray(starts, float)
