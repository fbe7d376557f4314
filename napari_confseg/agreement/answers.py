"""What a clip adds to the agreement as plain data, so that it can be remembered."""

from __future__ import annotations

from dataclasses import astuple
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_confseg.agreement.scores import (
    ClipAgreement,
    PairScore,
    Pixels,
    Presence,
    SoftScore,
    Stated,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
"""Raised whenever the same planes come to other numbers, or these are kept in another form."""


def pack(found: ClipAgreement) -> dict[str, Any]:
    """Return `found` as lists, numbers and text; undefined scores stay NaN."""
    return {
        "clip": found.clip,
        "patient": found.patient,
        "pairs": [_row(p) for p in found.pairs],
        "soft": [_row(s) for s in found.soft],
        "presence": [
            [*key, p.tally.tolist(), p.coincidences.tolist()] for key, p in found.presence.items()
        ],
        "pixels": [
            [
                name,
                p.marginal.tolist(),
                float(p.disagreement),
                [[t, matrix.tolist()] for t, matrix in p.binary.items()],
            ]
            for name, p in found.pixels.items()
        ],
        "stated": [
            [*key, _sparse(s.votes), _sparse(s.agreed), s.moments.tolist()]
            for key, s in found.stated.items()
        ],
        "read_at": {name: at.isoformat() for name, at in found.read_at.items()},
    }


def _row(score: PairScore | SoftScore) -> list[Any]:
    """Return the fields after clip and patient."""
    plain = [v.item() if isinstance(v, np.generic) else v for v in astuple(score)[2:]]
    return [list(v) if isinstance(v, tuple) else v for v in plain]


def _sparse(counts: NDArray[np.int64]) -> list[list[int]]:
    at = np.flatnonzero(counts)
    return [at.tolist(), counts[at].tolist(), [len(counts)]]


def _dense(kept: list[list[int]]) -> NDArray[np.int64]:
    at, counts, (n,) = kept
    found = np.zeros(n, np.int64)
    found[at] = counts
    return found


def unpack(data: dict[str, Any]) -> ClipAgreement:
    """Return what :func:`pack` was given."""
    who = data["clip"], data["patient"]
    found = ClipAgreement(*who)
    found.pairs = [PairScore(*who, *row) for row in data["pairs"]]
    rows = ([*who, *row[:6], tuple(row[6]), *row[7:]] for row in data["soft"])
    found.soft = [SoftScore(*row) for row in rows]
    for name, threshold, tally, coincidences in data["presence"]:
        found.presence[name, threshold] = Presence(
            np.array(tally, np.int64), np.array(coincidences, np.float64)
        )
    for name, marginal, disagreement, binary in data["pixels"]:
        found.pixels[name] = Pixels(
            np.array(marginal, np.float64),
            disagreement,
            {t: np.array(matrix, np.float64) for t, matrix in binary},
        )
    for name, rater, votes, agreed, moments in data["stated"]:
        found.stated[name, rater] = Stated(
            _dense(votes), _dense(agreed), np.array(moments, np.float64)
        )
    found.read_at = {name: datetime.fromisoformat(at) for name, at in data["read_at"].items()}
    return found
