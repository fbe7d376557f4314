"""Retired words stay retired, in identifiers and in the sentences that people read.

The page of words is docs/reference/words.md; the words here are those that it replaced.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    p for top in ("napari_confseg", "trainer", "sample_data") for p in (ROOT / top).rglob("*.py")
)
CODE = sorted({*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")})

RETIRED = {
    "acted": "edited",
    "backlog": "pending edits",
    "becoming": "resolve_regions",
    "chore": "background job",
    "chores": "background jobs",
    "deed": "tool action",
    "deeds": "tool actions",
    "desk": "model, actions or bench",
    "desks": "models or benches",
    "exercising": "calibration session",
    "learnable": "label inventory",
    "manners": "style",
    "ownscale": "relative threshold",
    "reality": "context",
    "ruling": "pending decision",
    "telling": "access, clip notes or activity timer",
    "tenure": "write access",
    "wish": "settings or request",
    "wished": "requested",
    "wishes": "settings or request",
}
"""Retired word in identifiers -> what to say instead."""

RETIRED_SENTENCES = {
    r"\bwish(ed|es)?\b": "request or settings",
    r"\bchores?\b": "job",
    r"\bdesks?\b(?!top)": "panel",
    r"\bfound held by\b": "Read-only: NAME on HOST is editing this clip since TIME.",
    r"\bthe right to write\b": "write access",
    r"\bgone astray\b": "Loss became NaN",
    r"\bown-scale\b": "relative-threshold",
    r"-doubt\b": "-aleatoric",
    r"-unseen\b": "-epistemic",
    r"\bgoes on with one that is there\b": "resumed if it exists",
}
"""Retired pattern in texts that people read -> what to write instead."""


def parts(identifier: str) -> set[str]:
    """Return the words of an identifier: ``_keep_wishesOf`` -> keep, wishes, of."""
    return {w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}


def identifiers(path: Path) -> list[tuple[int, str]]:
    """Return line and text of each name in a file; of none where no word of it is retired."""
    text = path.read_text(encoding="utf-8")
    if not any(parts(word) & RETIRED.keys() for word in set(re.findall(r"\w+", text))):
        return []  # most files: to take them apart takes long
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [(t.start[0], t.string) for t in tokens if t.type == tokenize.NAME]


def texts(path: Path) -> list[tuple[int, str]]:
    """Return line and text of each string literal of a file, docstrings included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def test_no_retired_word_in_identifiers() -> None:
    found = []
    for path in CODE:
        if path == Path(__file__).resolve():
            continue
        name = path.relative_to(ROOT).as_posix()
        found += [
            f"{name}: file name holds {word!r}; say {RETIRED[word]}"
            for word in sorted(parts(path.stem) & RETIRED.keys())
        ]
        found += [
            f"{name}:{line}: {identifier} holds {word!r}; say {RETIRED[word]}"
            for line, identifier in identifiers(path)
            for word in sorted(parts(identifier) & RETIRED.keys())
        ]
    assert not found, "\n".join(found)


def test_no_retired_word_on_the_screen() -> None:
    found = []
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        for line, text in texts(path):
            found += [
                f"{name}:{line}: {pattern}; say {instead}"
                for pattern, instead in RETIRED_SENTENCES.items()
                if re.search(pattern, text, re.IGNORECASE)
            ]
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found += [
                f"{path.relative_to(ROOT).as_posix()}:{line}: {pattern}; say {instead}"
                for pattern, instead in RETIRED_SENTENCES.items()
                if re.search(pattern, text, re.IGNORECASE)
            ]
    assert not found, "\n".join(found)


READERS = sorted(
    p
    for pattern in (
        "widgets/annotate/*.py",
        "widgets/calibrate/*.py",
        "widgets/layers/*.py",
        "widgets/review/*.py",
        "annotate/accepting.py",
        "annotate/access.py",
        "annotate/calibration.py",
        "annotate/cohort_draft.py",
        "annotate/cohort_follow.py",
        "annotate/review/*.py",
        "annotate/save_state.py",
        "annotate/session.py",
        "annotate/shortcuts.py",
        "annotate/suggestions.py",
        "annotate/zone_map.py",
    )
    for p in (ROOT / "napari_confseg").glob(pattern)
)
"""What a reader reads: words of the clinic stand here, not those of the store."""

STORE_WORDS = {
    r"\b[Cc]ohorts?\b": "study folder",
    r"\b[Tt]he store\b": "study folder",
    r"\bplanes?\b": "marks",
}


def said(path: Path) -> list[tuple[int, str]]:
    """Return line and text of each string that is a phrase and no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    # What a program is told, not a person: messages of ValueError begin with a small letter.
    raised = {
        id(part)
        for n in ast.walk(tree)
        if isinstance(n, ast.Raise) and n.exc is not None
        for part in ast.walk(n.exc)
        if isinstance(part, ast.Constant) and str(part.value)[:1].islower()
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and " " in node.value.strip()
        and id(node) not in alone | raised
    ]


def test_readers_read_words_of_the_clinic() -> None:
    found = [
        f"{path.relative_to(ROOT).as_posix()}:{line}: {text!r}; say {instead}"
        for path in READERS
        for line, text in said(path)
        for pattern, instead in STORE_WORDS.items()
        if re.search(pattern, text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("identifier", "words"),
    [("_keep_wishesOf", {"keep", "wishes", "of"}), ("HTMLPage", {"html", "page"})],
)
def test_identifiers_are_split_into_words(identifier: str, words: set[str]) -> None:
    assert parts(identifier) == words
