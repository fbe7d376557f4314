"""Request, labels and matching of clips and classes, for all formats that labels come in."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator

from napari_confseg.formats import FORMATS, READ, taking
from napari_confseg.request_fields import setting
from napari_confseg.store import RATER_KINDS, Problem, StoreError
from napari_confseg.store.errors import MOST_PROBLEMS, sentence
from napari_confseg.store.files import MIB, open_file, read_json
from napari_confseg.store.rater_kinds import RaterKind
from napari_confseg.store.schema import Confidence, Positive, Slug, Strict

MAX_JSON_BYTES = 512 * MIB
"""A JSON file of labels larger than this is refused unread."""
_LARGEST_VIDEO = 2**40


def _read(name: str) -> str:
    if name not in READ:
        raise ValueError(f"there are no labels as {name!r}; use {', '.join(READ)}")
    return name


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.store import Clip, Cohort, CohortMeta


class LabelImportRequest(Strict):
    """How labels of another tool become planes of a rater."""

    rater: Slug = setting(..., "Rater", "name of the rater that the labels become")
    label: str | None = setting(
        None, "Label", "what people read as the rater's name; the name itself if not given"
    )
    kind: RaterKind | None = setting(
        None,
        "Made by",
        "who or what made the labels; where not given, what one of our own exports says, else "
        "asked for in a terminal. Imported labels are learnt from only where the rater is named",
        choices={kind: f"{info.label}: {info.meaning}" for kind, info in RATER_KINDS.items()},
    )
    made_by: str | None = setting(
        None, "In words", "who or what made them, in words: a name, or a program and its version"
    )
    format: Annotated[str, AfterValidator(_read)] | None = setting(
        None,
        "Format",
        "file format of the labels; detected if not given",
        choices={name: FORMATS[name].title for name in READ},
    )
    confidence: Confidence = setting(
        80, "Confidence", "confidence of labels that state none", unit="%"
    )
    classes: dict[str, str] = setting(
        {},
        "Classes",
        "which class a name in the source means; NAME= leaves it out. Names that are not given are "
        "compared with the classes and their labels",
    )
    clips: dict[str, Slug] = setting({}, "Clips", "which clip a name in the source is")
    reviewed: Literal["marked", "all"] = setting(
        "marked",
        "Reviewed",
        "frames that count as reviewed where the source does not say: those with a mark, or all "
        f"({taking('reviewed')})",
        choices={"marked": "Frames with a mark", "all": "All frames"},
    )
    author: str | None = setting(
        None, "Author", f"whose marks to take, if several people marked ({taking('author')})"
    )
    line_width: Positive = setting(
        7.0,
        "Line width",
        f"width of what is drawn as a line, as the pleura ({taking('line_width')})",
        unit="pixels",
    )


@dataclass
class Labels:
    """Labels of one clip, as a source gives them.

    Attributes
    ----------
    planes : dict
        (frame, class index) -> ``uint8 (Y, X)``, 0..100 and 255; only planes with a mark.
    reviewed : set of (frame, class index)
        Where an absent mark means absence.
    """

    planes: dict[tuple[int, int], NDArray[np.uint8]] = field(default_factory=dict)
    reviewed: set[tuple[int, int]] = field(default_factory=set)

    def mark(self, frame: int, index: int, mask: NDArray[np.bool_], value: int) -> None:
        """Put `value` where `mask` is and less was said."""
        if not mask.any():
            return
        plane = self.planes.setdefault((frame, index), np.zeros(mask.shape, np.uint8))
        np.maximum(plane, np.where(mask, np.uint8(value), np.uint8(0)), out=plane)


@dataclass(frozen=True)
class Found:
    """A clip that a source speaks of.

    Attributes
    ----------
    name : str
        What the source calls it.
    near : Path
        A file of the source; the clip's own file may lie beside it.
    read : callable
        From the clip that it is to what the source says of it; raises ``StoreError``.
    """

    name: str
    near: Path
    read: Callable[[Clip], Labels]


class Target:
    """Where labels are to go.

    Attributes
    ----------
    request : LabelImportRequest
        Choices.
    problems : list of Problem
        What was left out, and why; readers add to it.
    """

    def __init__(
        self, meta: CohortMeta, request: LabelImportRequest, problems: list[Problem]
    ) -> None:
        self.request, self.problems = request, problems
        self._known = {_plain(c.label): c.index for c in meta.classes}
        self._known |= {_plain(c.name): c.index for c in meta.classes}
        self._names = [c.name for c in meta.classes]
        self._refused: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._more: dict[str, int] = {}

    def class_index(self, name: str, where: str) -> int | None:
        """Return the class that `name` means; None, and a problem, if none or left out."""
        wanted = self.request.classes.get(name, name)
        if not wanted:
            return None
        index = self._known.get(_plain(wanted))
        if index is None and name not in self._refused:
            self._refused.add(name)
            self.report(
                Problem(
                    "class-unknown",
                    where,
                    f"The cohort has no class {name!r}, only {', '.join(self._names)}",
                    hint=f"Name its class with --classes '{name}=CLASS', "
                    f"or leave it out with '{name}='.",
                )
            )
        return index

    def knows(self, name: str) -> bool:
        """Return whether `name` means a class of the cohort; it is no problem if it does not."""
        return _plain(self.request.classes.get(name, name)) in self._known

    def read_json(self, path: Path) -> dict[str, Any] | None:
        """Return the object in a JSON file; None, and a problem, if it cannot be read."""
        try:
            data = read_json(path, MAX_JSON_BYTES)
        except StoreError as error:
            self.problems += error.problems
            return None
        except OSError as error:
            self.report(Problem("unreadable", str(path), f"It can't be read: {sentence(error)}"))
            return None
        if not isinstance(data, dict):
            self.report(Problem.mismatch("json", str(path), "an object", type(data).__name__))
            return None
        return data

    def report(self, problem: Problem) -> None:
        """Keep a problem; of very many of one kind the first, and how many there are."""
        seen = self._counts[problem.code] = self._counts[problem.code] + 1
        if seen <= MOST_PROBLEMS:
            self.problems.append(problem)
        else:
            place = self._more.setdefault(problem.code, len(self.problems))
            more = f"and {seen - MOST_PROBLEMS:,} more of this kind"
            self.problems[place : place + 1] = [Problem(problem.code, "", more)]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def check_frame(clip: Clip, frame: int, where: str) -> None:
    """Refuse a frame that the clip does not have."""
    if not 0 <= frame < clip.shape[0]:
        raise StoreError(
            Problem.mismatch(
                "frame-range",
                where,
                f"frames 0..{clip.shape[0] - 1} of {clip.name}",
                str(frame),
                "Is it another clip, or counted from 1?",
            )
        )


def check_size(clip: Clip, size: tuple[int, ...], where: str) -> None:
    """Refuse a picture (Y, X) that is not as large as the clip's frames."""
    if tuple(size) != clip.shape[1:]:
        raise StoreError(
            Problem.mismatch(
                "image-size",
                where,
                f"{clip.shape[1:]} pixels (y, x) as in {clip.name}",
                str(tuple(size)),
                "Labels come back only to frames of their own size.",
            )
        )


_NOT_VIDEOS = (".json", ".nrrd", ".png", ".txt", ".md", ".csv")


class Matcher:
    """Finds clips.

    Parameters
    ----------
    cohort : Cohort
        Where to look.
    pairs : mapping of str to str
        Name in the source -> clip; goes before anything else.
    """

    def __init__(self, cohort: Cohort, pairs: Mapping[str, str]) -> None:
        self._cohort, self._pairs = cohort, pairs
        self._names = set(cohort.clips())
        self._digests: dict[str, str] | None = None
        self._taken: dict[str, str] = {}

    def match(self, found: Found) -> Clip:
        """Return the clip.

        Raises
        ------
        StoreError
            If there is none, or something else of the source is that clip already.
        """
        slug = re.sub(r"[^a-z0-9_-]+", "-", found.name.lower()).strip("-")
        name = self._pairs.get(found.name) or (slug if slug in self._names else None)
        name = name or self._by_file(found)
        if name is None or name not in self._names:
            raise StoreError(
                Problem(
                    "clip-unknown",
                    found.name,
                    f"There is no clip {name!r}"
                    if name
                    else "No clip has this name, and no file of a clip lies beside it",
                    hint=f"Name its clip with --clips '{found.name}=CLIP'.",
                )
            )
        if name in self._taken:
            raise StoreError(
                Problem(
                    "clip-twice",
                    found.name,
                    f"{self._taken[name]} holds labels of {name}, too",
                    hint="Import one of them at a time.",
                )
            )
        self._taken[name] = found.name
        return self._cohort.clip(name)

    def _by_file(self, found: Found) -> str | None:
        """Look for a file of the source's name beside it, which a clip was imported from."""
        for path in sorted(_beside(found.near, found.name)):
            with open_file(path, _LARGEST_VIDEO) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            name = self._by_digest().get(digest)
            if name is not None:
                return name
        return None

    def _by_digest(self) -> dict[str, str]:
        if self._digests is None:
            clips = (self._cohort.clip(name) for name in sorted(self._names))
            self._digests = {c.meta.provenance.source_sha256: c.name for c in clips}
        return self._digests


def _beside(near: Path, name: str) -> list[Path]:
    folder = near if near.is_dir() else near.parent
    stem = name.rsplit("/", 1)[-1]
    return [
        p
        for p in folder.iterdir()
        if p.is_file() and p.name.split(".", 1)[0] == stem and p.suffix not in _NOT_VIDEOS
    ]
