"""Drafts of a cohort's classes and confidence words, checked while typed."""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import ValidationError
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_confseg.annotate.preferences import slug_of
from napari_confseg.store import Anchor, ClassSpec, CohortMeta

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Palette:
    """A set of colours with a name and where it comes from."""

    name: str
    colors: tuple[str, ...]
    source: str


_TOL: Final = "Tol, Colour Schemes, SRON/EPS/TN/09-002, issue 3.2 (2021)"
PALETTES: Final = (
    Palette(
        "Okabe-Ito",
        ("#f0e442", "#56b4e9", "#d55e00", "#cc79a7", "#009e73", "#0072b2", "#e69f00"),
        "Okabe and Ito, Color Universal Design (2008)",
    ),
    Palette(
        "Tol bright",
        ("#ccbb44", "#66ccee", "#ee6677", "#aa3377", "#228833", "#4477aa"),  # and no grey
        _TOL,
    ),
    Palette(
        "Tol muted",
        (
            "#ddcc77",
            "#88ccee",
            "#cc6677",
            "#aa4499",
            "#117733",
            "#332288",
            "#44aa99",
            "#999933",
            "#882255",
        ),
        _TOL,
    ),
)

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", IEEE TVCG 15 (2009), severity 1.0; on linear RGB.
_SIGHT: Final = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
}

EXCLUDED_GREY: Final = "#9e9e9e"
"""How what is excluded is drawn: no class should look like it."""

TOO_CLOSE: Final = 11.0
"""Difference (CIEDE2000) below which two colours count as one: the palettes above, made for those
who see so, keep 11.6 and more; matplotlib's ten default colours come down to 1.3."""


def seen(colors: Sequence[str], sight: str) -> NDArray[np.float64]:
    """Return how `colors` look with ``"protanopia"`` or ``"deuteranopia"``, sRGB ``(n, 3)``."""
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(_SIGHT[sight]).T, 0, 1) if sight in _SIGHT else linear
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def confusable(colors: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return which two of `colors` look alike, and with which sight; the alike pairs once each.

    Returns
    -------
    list of (int, int, str)
        Indices, and ``"any sight"``, ``"protanopia"`` or ``"deuteranopia"``.
    """
    found: dict[tuple[int, int], str] = {}
    for sight in ("any sight", *_SIGHT):
        lab = rgb2lab(seen(colors, sight)) if colors else np.zeros((0, 3))
        for i, j in combinations(range(len(colors)), 2):
            if float(deltaE_ciede2000(lab[i], lab[j])) < TOO_CLOSE:
                found.setdefault((i, j), sight)
    return [(i, j, sight) for (i, j), sight in sorted(found.items())]


def next_color(used: Sequence[str], palette: Palette = PALETTES[0]) -> str:
    """Return a colour for one more class: the palette's next, else the one least like any used.

    Unlike in any sight, and unlike the grey of what is excluded.
    """
    free = next((c for c in palette.colors if c not in used), None)
    if free is not None:
        return free
    steps = [
        colorsys.hsv_to_rgb(hue / 24, saturation, value)
        for hue in range(24)
        for saturation, value in ((0.45, 1.0), (0.85, 0.9), (0.85, 0.55))
    ]
    candidates = ["#{:02x}{:02x}{:02x}".format(*(round(255 * v) for v in c)) for c in steps]
    nearest = np.full(len(candidates), np.inf)
    for sight in ("any sight", *_SIGHT):
        there = rgb2lab(seen([*used, EXCLUDED_GREY], sight))
        new = rgb2lab(seen(candidates, sight))
        nearest = np.minimum(nearest, deltaE_ciede2000(new[:, None], there[None]).min(axis=1))
    return candidates[int(nearest.argmax())]


@dataclass(frozen=True)
class ClassRow:
    """A class as typed; `name` is empty for a new one, whose name follows from its label."""

    label: str
    color: str
    key: str = ""
    name: str = ""


@dataclass(frozen=True)
class AnchorRow:
    """A word of confidence as typed."""

    value: str
    word: str
    key: str = ""
    example: str = ""


@dataclass(frozen=True)
class Draft:
    """A draft with its problems and warnings."""

    meta: CohortMeta | None  # what would be written; None if there are problems
    problems: tuple[str, ...] = ()  # what has to be put right first
    warnings: tuple[str, ...] = ()  # what may stay


def rows_of(meta: CohortMeta) -> tuple[list[ClassRow], list[AnchorRow]]:
    """Return a cohort's classes and anchors as rows to edit."""
    return (
        [ClassRow(c.label, c.color, c.key or "", c.name) for c in meta.classes],
        [AnchorRow(str(a.value), a.word, a.key or "", a.example or "") for a in meta.anchors],
    )


def drafted(
    meta: CohortMeta,
    classes: Sequence[ClassRow],
    anchors: Sequence[AnchorRow],
    taken: Mapping[str, str] | None = None,
) -> Draft:
    """Return what `meta` becomes with these rows.

    Parameters
    ----------
    meta : CohortMeta
        As it is.
    classes, anchors : sequence
        As typed; anchors in any order. Existing classes come first, in their order.
    taken : mapping of str to str, optional
        Keys that cannot be had, and what they do.
    """
    problems = [*_class_problems(meta, classes), *_anchor_problems(anchors)]
    keys = [(c.key, c.label) for c in classes] + [(a.key, a.word) for a in anchors]
    problems += _doubled(keys)
    if problems:
        return Draft(None, tuple(problems))
    names = [c.name for c in classes if c.name]
    specs, words = [], []
    for index, row in enumerate(classes):
        name = row.name or _new_name(row.label, names)
        names.append(name)
        specs.append(
            {
                "index": index,
                "name": name,
                "label": row.label.strip(),
                "color": row.color.lower(),
                "key": row.key.strip() or None,
            }
        )
    for anchor in sorted(anchors, key=lambda a: int(a.value)):
        words.append(
            {
                "value": int(anchor.value),
                "word": anchor.word.strip(),
                "key": anchor.key.strip() or None,
                "example": anchor.example.strip() or None,
            }
        )
    try:
        new = CohortMeta.model_validate(
            meta.model_dump()
            | {"classes": [ClassSpec(**s) for s in specs], "anchors": [Anchor(**w) for w in words]}
        )
    except ValidationError as error:
        return Draft(None, tuple(_words(e) for e in error.errors()))
    return Draft(new, (), tuple(_warnings(new, taken or {})))


def _words(error: Mapping[str, object]) -> str:
    where = ".".join(map(str, error["loc"])) if error["loc"] else "These"  # type: ignore[call-overload]
    return f"{where}: {error['msg']}; found {error['input']!r}."[:200]


def _new_name(label: str, names: Sequence[str]) -> str:
    base = slug_of(label)
    return next(n for n in (base, *(f"{base[:60]}-{i}" for i in range(2, 99))) if n not in names)


def _class_problems(meta: CohortMeta, rows: Sequence[ClassRow]) -> Iterable[str]:
    kept = [r.name for r in rows[: len(meta.classes)]]
    if kept != [c.name for c in meta.classes]:
        yield "Classes stay in place: marks are kept under their numbers. Change labels instead."
    labels = [r.label.strip() for r in rows]
    for number, (row, text) in enumerate(zip(rows, labels, strict=True), 1):
        if not text or len(text) > 80:
            yield f"Class {number}: a label has 1 to 80 characters, this one {len(text)}."
        elif labels.count(text) > 1 and labels.index(text) == number - 1:
            yield f"Two classes are called {text}."
        elif not row.name and not any(c.isalnum() for c in text):
            yield f"Class {number}: a label needs a letter or a digit, found {text!r}."
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", row.color):
            yield f"Class {number}: a colour is # and six hexadecimal digits, not {row.color!r}."
        yield from _key_problem(row.key, text)


def _anchor_problems(rows: Sequence[AnchorRow]) -> Iterable[str]:
    if not rows:
        yield "At least one word of confidence is needed."
    values = []
    for row in rows:
        word = row.word.strip()
        if not re.fullmatch(r"\d{1,3}", row.value.strip()) or not 1 <= int(row.value) <= 100:
            yield f"{word or 'A word'}: a confidence is 1 to 100 percent, found {row.value!r}."
        elif int(row.value) in values:
            yield f"Two words stand for {int(row.value)} %."
        else:
            values.append(int(row.value))
        if not word or len(word) > 40:
            yield f"{row.value} %: a word has 1 to 40 characters, this one {len(word)}."
        if len(row.example.strip()) > 200:
            yield f"{word}: an example has at most 200 characters, this one {len(row.example)}."
        yield from _key_problem(row.key, word)


def _key_problem(key: str, whose: str) -> Iterable[str]:
    if key.strip() and not re.fullmatch(r"\S{1,12}", key.strip()):
        yield f"{whose}: a key has 1 to 12 characters and no space, found {key!r}."


def _doubled(keys: Sequence[tuple[str, str]]) -> Iterable[str]:
    seen: dict[str, str] = {}
    for key, whose in ((k.strip(), w) for k, w in keys if k.strip()):
        if key.lower() in seen:
            yield f"{seen[key.lower()]} and {whose} both want the key {key}."
        seen[key.lower()] = whose


def _warnings(meta: CohortMeta, taken: Mapping[str, str]) -> Iterable[str]:
    labels = [c.label for c in meta.classes]
    for i, j, sight in confusable([c.color for c in meta.classes]):
        yield f"{labels[i]} and {labels[j]} look alike with {sight}."
    for whose, key in [
        *((c.label, c.key) for c in meta.classes),
        *((a.word, a.key) for a in meta.anchors),
    ]:
        if key and key in taken:
            yield f"{whose}: {key} does something else already ({taken[key]}); a free key is used."
