"""Request, labels and matching of clips and classes, for all formats that labels come in."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator

from napari_confseg.formats import FORMATS, READ, taking
from napari_confseg.request_fields import setting
from napari_confseg.store import EXCLUDED, MAX_CONFIDENCE, RATER_KINDS, Problem, StoreError
from napari_confseg.store.errors import MOST_PROBLEMS, sentence
from napari_confseg.store.files import MIB, open_file, read_json
from napari_confseg.store.rater_kinds import RaterKind
from napari_confseg.store.schema import Confidence, Positive, Slug, Strict

MAX_JSON_BYTES = 512 * MIB
"""A JSON file of labels larger than this is refused unread."""
EXCLUDED_SUFFIX = " (excluded)"
"""What the segment of a class's excluded pixels is called after the class, in our own exports."""
_LARGEST_VIDEO = 2**40


def _read(name: str) -> str:
    if name not in READ:
        raise ValueError(f"there are no labels as {name!r}; use {', '.join(READ)}")
    return name


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
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
        f"that it lists or the clip has ({taking('reviewed')})",
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
        self.put(frame, index, np.where(mask, np.uint8(value), np.uint8(0)))

    def put(self, frame: int, index: int, values: NDArray[np.uint8]) -> None:
        """Put `values` where less was said."""
        if values.any():
            plane = self.planes.setdefault((frame, index), np.zeros(values.shape, np.uint8))
            np.maximum(plane, values, out=plane)


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
    problems : tuple of Problem
        What is wrong with its files; the clip is left out for any.
    files : tuple of Path
        Files that the source says the clip was made from, whatever their names.
    """

    name: str
    near: Path
    read: Callable[[Clip], Labels]
    problems: tuple[Problem, ...] = ()
    files: tuple[Path, ...] = ()


class ProblemList:
    """Problems, each told once; of very many of one kind the first, and how many there are.

    Parameters
    ----------
    items : list of Problem
        Where they are kept.
    """

    def __init__(self, items: list[Problem]) -> None:
        self.items = items
        self._counts: Counter[str] = Counter()
        self._more: dict[str, int] = {}

    def add(self, problem: Problem) -> None:
        """Keep a problem that is not there yet."""
        if problem in self.items:
            return
        seen = self._counts[problem.code] = self._counts[problem.code] + 1
        if seen <= MOST_PROBLEMS:
            self.items.append(problem)
        else:
            place = self._more.setdefault(problem.code, len(self.items))
            more = f"and {seen - MOST_PROBLEMS:,} more of this kind"
            self.items[place : place + 1] = [Problem(problem.code, "", more)]


class Target:
    """Where labels are to go, and what is told of them.

    A clip with any problem is left out whole. What is reported while a clip is read leaves out that
    clip; while the source is looked through, all its clips, unless :meth:`collected` gathers it for
    those that it is about.

    Attributes
    ----------
    request : LabelImportRequest
        Choices.
    problems : list of Problem
        What was left out, and why.
    """

    def __init__(
        self, meta: CohortMeta, request: LabelImportRequest, problems: list[Problem]
    ) -> None:
        self.request, self.problems = request, problems
        self._exact = {c.label: c.index for c in meta.classes}
        self._exact |= {c.name: c.index for c in meta.classes}
        self._alike: dict[str, set[int]] = defaultdict(set)
        for name, class_index in self._exact.items():
            self._alike[_plain(name)].add(class_index)
        self._names = [c.name for c in meta.classes]
        self._unknown: dict[str, Problem] = {}
        self._lists = [ProblemList(problems)]

    def class_index(self, name: str, where: str) -> int | None:
        """Return the class that `name` means; None, and a problem, if none or left out."""
        wanted = self.request.classes.get(name, name)
        if not wanted:
            return None
        index = self._index_of(wanted)
        if index is None:
            # The same one for all files: it is told once.
            unknown = self._unknown.setdefault(
                name,
                Problem(
                    "class-unknown",
                    where,
                    f"The cohort has no class {name!r}, only {', '.join(self._names)}",
                    hint=f"Name its class with --classes '{name}=CLASS', "
                    f"or leave it out with '{name}='.",
                ),
            )
            self.report(unknown)
        return index

    def knows(self, name: str) -> bool:
        """Return whether `name` means a class of the cohort; it is no problem if it does not."""
        return self._index_of(self.request.classes.get(name, name)) is not None

    def _index_of(self, wanted: str) -> int | None:
        alike = self._alike.get(_plain(wanted), set())
        return self._exact.get(wanted, min(alike) if len(alike) == 1 else None)

    def segment_meaning(self, name: str, where: str) -> tuple[int | None, int]:
        """Return the class and the value that a yes-or-no segment means.

        None, and a problem, as of :meth:`class_index`.
        """
        if name.endswith(EXCLUDED_SUFFIX):
            return self.class_index(name.removesuffix(EXCLUDED_SUFFIX), where), EXCLUDED
        return self.class_index(name, where), self.request.confidence

    @property
    def reviewed_all(self) -> bool:
        """Whether frames without a mark count as reviewed where the source does not say."""
        return self.request.reviewed == "all"

    def read_json(self, path: Path) -> dict[str, Any] | None:
        """Return the object in a JSON file; None if it cannot be read, which is told.

        Such a file is passed over: what others beside it say comes.
        """
        try:
            data = read_json(path, MAX_JSON_BYTES)
        except StoreError as error:
            for problem in error.problems:
                self.tell(problem)
            return None
        except OSError as error:
            self.tell(Problem("unreadable", str(path), f"It can't be read: {sentence(error)}"))
            return None
        if not isinstance(data, dict):
            self.tell(Problem.mismatch("json", str(path), "an object", type(data).__name__))
            return None
        return data

    def report(self, problem: Problem) -> None:
        """Keep a problem, for which the clips that it is about are left out."""
        self._lists[-1].add(problem)

    def tell(self, problem: Problem) -> None:
        """Keep a problem for which nothing is left out but what it names."""
        self._lists[0].add(problem)

    @contextmanager
    def collected(self) -> Iterator[list[Problem]]:
        """Gather what is reported within, e.g. of one file for the clips that it speaks of."""
        gathered = ProblemList([])
        self._lists.append(gathered)
        try:
            yield gathered.items
        finally:
            self._lists.remove(gathered)


def _plain(name: str) -> str:
    name = unicodedata.normalize("NFKC", name)
    return re.sub(r"[^\w]+|_", "", name.casefold())


def whole(value: object) -> int:
    """Return a whole number, however a file writes it: 7, 7.0 or "7"; else ``ValueError``."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{str(value)[:40]!r} is no whole number")
    return value


def key_of(value: object) -> str:
    """Return an identifier as it is compared: 7, 7.0 and "7" are one; else ``ValueError``."""
    try:
        return str(whole(value))
    except ValueError:
        if isinstance(value, str) and value:
            return value
        raise


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


def check_pixels(resampled: object, where: str) -> None:
    """Refuse what our own export says is of resized frames: their size may be the clip's."""
    if resampled not in (None, False, 0, "0"):
        raise StoreError(
            Problem(
                "resampled",
                where,
                "It was exported from a dataset of resized frames, whose pixels are not the clip's",
                hint="Export a dataset that keeps the size and spacing of frames.",
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


def check_labels(labels: Labels, clip: Clip, where: str) -> None:
    """Refuse planes of another size than the clip's, and values that are no confidence."""
    for (frame, _), plane in labels.planes.items():
        check_frame(clip, frame, where)
        check_size(clip, plane.shape, where)
        wrong = plane[(plane > MAX_CONFIDENCE) & (plane != EXCLUDED)]
        if wrong.size:
            raise StoreError(
                Problem.mismatch(
                    "confidence-range",
                    f"{where} frame {frame}",
                    f"0..{MAX_CONFIDENCE} percent, and {EXCLUDED} for excluded",
                    str(wrong[0]),
                )
            )
    for frame, _ in labels.reviewed:
        check_frame(clip, frame, where)


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

    def match_all(self, places: Sequence[Found], target: Target) -> list[tuple[Found, Clip]]:
        """Return the clip of each place; those without one, or with another's, are told."""
        sure: dict[str, list[Found]] = defaultdict(list)
        for place in places:
            try:
                sure[self.match(place)].append(place)
            except StoreError as error:
                for problem in (*error.problems, *place.problems):
                    target.tell(problem)
        for name, mine in sure.items():
            for place in mine if len(mine) > 1 else ():
                others = ", ".join(p.name for p in mine if p is not place)
                target.tell(
                    Problem(
                        "clip-twice",
                        place.name,
                        f"{others[:200]} holds labels of {name}, too",
                        hint="Import one of them at a time.",
                    )
                )
        return [(mine[0], self._cohort.clip(name)) for name, mine in sure.items() if len(mine) == 1]

    def match(self, found: Found) -> str:
        """Return the name of the clip.

        Raises
        ------
        StoreError
            If there is none.
        """
        last = found.name.rsplit("/", 1)[-1]
        name = self._pairs.get(found.name) or self._pairs.get(last)
        for part in (found.name, last):
            slug = re.sub(r"[^a-z0-9_-]+", "-", part.lower()).strip("-")
            name = name or (slug if slug in self._names else None)
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
        return name

    def _by_file(self, found: Found) -> str | None:
        """Look for a file of the source's name beside it, which a clip was imported from."""
        for path in (*found.files, *sorted(_beside(found.near, found.name))):
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
