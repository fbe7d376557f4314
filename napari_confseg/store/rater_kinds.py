"""Kinds of raters: who or what a rater is, and what follows from it everywhere.

Whoever needs to know what a kind may do or how it is called asks this table: nothing else in the
project compares a kind with a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

RaterKind = Literal["human", "adjudicated", "consensus", "model", "truth", "imported"]


@dataclass(frozen=True)
class KindInfo:
    """What a kind of rater is called and may do.

    Attributes
    ----------
    label : str
        What people read.
    meaning : str
        Who or what it is, in a few words.
    hand : {"person", "program"}
        Who writes the planes. A person can't paint under the name of a program's rater, and a
        program can't write under a person's.
    learnt : bool
        Whether a model learns from it, and a consensus counts it, if nobody is named.
    compared : bool
        Whether it is compared if nobody is named.
    fills_in : bool
        Whether it is compared where too few others are.
    teaches : bool
        Whether the Train panel offers it: a model does not learn from models.
    reference : int or None
        Rank among those that can be held for right, the most trustworthy first; None for a kind
        that can't.
    seen_early : bool
        Whether readers see it under the rule ``"until-reviewed"`` before they are done.
    own_threshold : bool
        Whether it is drawn from a threshold of its own on, as probabilities are.
    """

    label: str
    meaning: str
    hand: Literal["person", "program"]
    learnt: bool = False
    compared: bool = False
    fills_in: bool = False
    teaches: bool = True
    reference: int | None = None
    seen_early: bool = False
    own_threshold: bool = False


# The order is that of every list of raters: people first.
# References: a truth is known by construction. A consensus is of several who read on their own.
# An adjudicated reading is one person's decision, who saw the others' marks.
RATER_KINDS: Final[Mapping[RaterKind, KindInfo]] = {
    "human": KindInfo("reader", "a person who paints here", "person", learnt=True, compared=True),
    "adjudicated": KindInfo(
        "adjudicated", "disagreements decided by a person", "person", reference=3
    ),
    "consensus": KindInfo(
        "consensus", "several raters combined", "program", fills_in=True, reference=2
    ),
    "model": KindInfo(
        "model",
        "a network's probabilities",
        "program",
        fills_in=True,
        teaches=False,
        seen_early=True,
        own_threshold=True,
    ),
    "truth": KindInfo("truth", "known by construction", "program", reference=1),
    "imported": KindInfo(
        "imported", "made elsewhere, by whom is not sure", "program", fills_in=True
    ),
}


def kind_rank(kind: RaterKind) -> int:
    """Return the place of `kind` in lists of raters."""
    return list(RATER_KINDS).index(kind)


def rater_label(name: str, label: str, kind: RaterKind) -> str:
    """Return what every list calls a rater: its label, its slug where that differs, its kind.

    Parameters
    ----------
    name : str
        Slug, by which commands and files call it.
    label : str
        What people read, as in its attributes.
    kind : str
        Key of :data:`RATER_KINDS`.
    """
    known = name in (_slug_like(label, "-"), _slug_like(label, ""))
    words = (
        label if known or _slug_like(name, "-") in _slug_like(label, "-") else (f"{name}: {label}")
    )
    word = RATER_KINDS[kind].label
    return words if word in words.lower() else f"{words} ({word})"


def _slug_like(text: str, gap: str) -> str:
    return re.sub(r"[^a-z0-9]+", gap, text.lower()).strip(gap)
