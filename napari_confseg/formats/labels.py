"""Import of labels of other tools, as planes of a rater at a stated confidence.

The formats are those of :data:`napari_confseg.formats.FORMATS` that can be read. A clip comes in
whole or not at all, as one edit that can be undone; what cannot be read or matched is reported as a
problem, and the rest goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_confseg.formats import FORMATS, READ
from napari_confseg.formats.label_source import (
    MAX_JSON_BYTES,
    LabelImportRequest,
    Labels,
    Matcher,
    Target,
    check_labels,
)
from napari_confseg.formats.origin import recorded_origin
from napari_confseg.store import (
    Edit,
    Imported,
    Patch,
    Problem,
    RaterWriter,
    Status,
    StatusChange,
    StoreError,
)
from napari_confseg.store.errors import MOST_PROBLEMS
from napari_confseg.store.files import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.formats.label_source import Found
    from napari_confseg.store import Clip, Cohort, RaterKind


FLUSH_SECONDS = 120.0
_MOST_LOOKED_AT = 1000  # JSON files of a folder, to find out what they are


class ImportIdentity(NamedTuple):
    """Identity of the rater that labels come to."""

    kind: RaterKind
    label: str | None
    adjudicator: str | None
    imported: Imported


def write_labels(
    cohort: Cohort, clip: Clip, rater: str, labels: Labels, identity: ImportIdentity
) -> None:
    """Commit `labels` as one edit of `rater` on `clip`, and wait until the store has it.

    Raises
    ------
    StoreError
        If the rater has marked or reviewed anything there, somebody else holds the planes, or the
        disk refuses; the clip is then as it was.
    """
    _check_untouched(clip, rater)
    if not labels.planes and not labels.reviewed:
        raise StoreError(
            Problem("nothing-found", clip.name, "It has neither a mark nor a reviewed frame")
        )
    edit = _edit(labels)
    writer = RaterWriter.open(
        cohort,
        clip.name,
        rater,
        label=identity.label,
        kind=identity.kind,
        adjudicator=identity.adjudicator,
        imported=identity.imported,
    )
    try:
        writer.commit(edit)
        if writer.state.unsaved or not writer.flush(FLUSH_SECONDS):
            found = writer.state.problem or "it is still waiting"
            raise StoreError(
                Problem(
                    "disk",
                    f"{clip.name}/raters/{rater}",
                    f"The store cannot be written: {found}",
                    hint="What the journal holds comes in when the clip is opened next.",
                )
            )
    finally:
        writer.abandon()


def _check_untouched(clip: Clip, rater: str) -> None:
    if rater not in clip.raters():
        return
    there = clip.rater(rater)
    if there.stored_chunks() or there.read_status().any():
        raise StoreError(
            Problem(
                "exists",
                f"{clip.name}/raters/{rater}",
                "This rater has marks or reviewed frames already",
                hint="Import under another name.",
            )
        )


def _edit(labels: Labels) -> Edit:
    patches = tuple(
        _patch(frame, index, plane) for (frame, index), plane in sorted(labels.planes.items())
    )
    changes = [
        StatusChange(frame, index, Status.UNTOUCHED, Status.REVIEWED)
        for frame, index in sorted(labels.reviewed)
    ]
    changes += [
        StatusChange(frame, index, Status.UNTOUCHED, Status.IN_PROGRESS)
        for frame, index in sorted(labels.planes.keys() - labels.reviewed)
    ]
    frame, index = min([*labels.planes, *labels.reviewed])
    values = {int(p.after.max()) for p in patches}
    confidence = max((v for v in values if v <= 100), default=0)
    return Edit(patches, confidence, "import", index, frame, tuple(changes))


def _patch(frame: int, index: int, plane: NDArray[np.uint8]) -> Patch:
    rows, columns = np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))
    y, x = int(rows[0]), int(columns[0])
    box = plane[y : rows[-1] + 1, x : columns[-1] + 1]
    return Patch(index, frame, y, x, np.zeros_like(box), box.copy())


@dataclass(frozen=True)
class ClipImport:
    """Labels that came, or would come, to one clip.

    `frames` are those reviewed for any class, `pixels` those marked, by class.
    """

    clip: str
    source: str
    frames: int
    pixels: dict[str, int]
    written: bool


@dataclass
class ImportReport:
    """Result of an import of labels; `problems` hold all that was left out, and why."""

    format: str
    rater: str
    kind: RaterKind = "imported"
    made_by: str | None = None
    clips: list[ClipImport] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def detect(source: Path) -> str:
    """Return the format that a file or folder seems to be.

    Raises
    ------
    StoreError
        If it is none that is known.
    """
    if not source.exists():
        raise StoreError(Problem("missing", str(source), "There is no such file or folder"))
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    for name in READ:
        if FORMATS[name].marker and any(p.match(FORMATS[name].marker) for p in files):
            return name
    for path in islice((p for p in files if p.suffix == ".json"), _MOST_LOOKED_AT):
        keys = _keys(path)
        for name in READ:
            if FORMATS[name].json_keys and keys >= FORMATS[name].json_keys:
                return name
    for name in READ:
        if FORMATS[name].looks_inside and _recognised(name, files):
            return name
    raise StoreError(
        Problem(
            "format",
            str(source),
            f"The format is not recognised as one of {', '.join(READ)}",
            hint="Name it with --format.",
        )
    )


def _recognised(name: str, files: list[Path]) -> bool:
    likely = (p for p in files if p.name.lower().endswith(FORMATS[name].extensions))
    try:
        recognises = FORMATS[name].load().recognises
    except StoreError:  # its library is not installed
        return False
    return any(recognises(path) for path in islice(likely, _MOST_LOOKED_AT))


def _keys(path: Path) -> frozenset[str]:
    try:
        data = read_json(path, MAX_JSON_BYTES)
    except (OSError, StoreError):
        return frozenset()
    data = data[0] if isinstance(data, list) and data else data  # a list of alike, as of tasks
    return frozenset(data) if isinstance(data, dict) else frozenset()


def import_labels(
    cohort: Cohort,
    source: Path,
    request: LabelImportRequest,
    *,
    dry_run: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ImportReport:
    """Bring the labels of `source` into a cohort as planes of a rater.

    Parameters
    ----------
    cohort : Cohort
        Open for writing, unless `dry_run`.
    source : Path
        A file, or a folder of them.
    request : LabelImportRequest
        Rater, who must not have marked the clips that labels come to; confidence, names, what
        counts as reviewed.
    dry_run : bool
        Read and match everything, and write nothing.
    progress : callable, optional
        Called with (clips done, clips, name).
    cancelled : callable, optional
        Asked before each clip; clips done so far stand.

    Returns
    -------
    ImportReport
        With every problem; a clip with one is left out, the others are not.

    Raises
    ------
    StoreError
        If the source is none of the formats, or the format's library is not installed.
    """
    name = request.format or detect(source)
    report = ImportReport(name, request.rater)
    identity = _identity(source, name, request)
    report.kind, report.made_by = identity.kind, identity.imported.made_by
    target = Target(cohort.meta, request, report.problems)
    places = _places(FORMATS[name].load(), source, target)
    matcher = Matcher(cohort, request.clips)
    matched = matcher.match_all(places, target)
    for number, (place, clip) in enumerate(matched):
        if cancelled and cancelled():
            break
        if progress:
            progress(number, len(matched), place.name)
        try:
            with FORMATS[name].needed():  # only some files of a format need its library
                labels = _labels(place, clip, target)
            if not dry_run:
                write_labels(cohort, clip, request.rater, labels, identity)
            report.clips.append(_row(cohort, clip, place, labels, written=not dry_run))
        except StoreError as error:
            _leave_out(place, error.problems, target)
    return report


def _labels(place: Found, clip: Clip, target: Target) -> Labels:
    """Return what a source says of a clip.

    Raises
    ------
    StoreError
        If anything is wrong with it: half of a clip would pass for all of it, and what is missing
        for absent.
    """
    with target.collected() as problems:
        problems += place.problems
        try:
            labels = place.read(clip)
        except StoreError as error:
            problems += error.problems
        except ImportError:
            raise
        except Exception as error:  # whatever the format's library raises on a damaged file
            problems.append(_malformed(place.name, error))
    if problems:
        raise StoreError(problems)
    check_labels(labels, clip, place.name)
    return labels


def _leave_out(place: Found, problems: Sequence[Problem], target: Target) -> None:
    """Tell why a clip does not come, also where the reason was told of another one."""
    before = len(target.problems)
    for problem in problems[:MOST_PROBLEMS]:
        target.tell(problem)
    if len(target.problems) == before:
        why = f"It is left out for what is told above: {problems[0].message[:100]}"
        target.tell(Problem("left-out", place.name, why))


def _identity(source: Path, format: str, request: LabelImportRequest) -> ImportIdentity:
    told = recorded_origin(source, format)
    kind, made_by = request.kind, request.made_by
    known = kind or (told.kind if told else "imported")
    # Who made the file we are told of has made what is in it, unless somebody says otherwise.
    who = made_by or (told.made_by if told and kind in (None, told.kind) else None)
    if known == "adjudicated" and not who:
        raise StoreError(
            Problem(
                "made-by",
                str(source),
                "Nothing says who adjudicated these labels",
                hint="Name the person with --made-by.",
            )
        )
    adjudicator = who[:80] if known == "adjudicated" and who else None
    return ImportIdentity(known, request.label, adjudicator, Imported(format=format, made_by=who))


def _malformed(where: str, error: BaseException) -> Problem:
    return Problem(
        "malformed",
        where,
        f"The file does not follow its format: {type(error).__name__}: {str(error)[:120]}",
    )


def _places(module: Any, source: Path, target: Target) -> list[Found]:
    places: list[Found] = []
    with target.collected() as problems:
        try:
            places += module.find(source, target)
        except StoreError as error:
            problems += error.problems
        except Exception as error:  # its keys and types are anything
            problems.append(_malformed(str(source), error))
    for problem in problems:
        target.tell(problem)
    if not places and not target.problems:
        target.tell(Problem("nothing-found", str(source), "There are no labels"))
    return [replace(place, problems=(*place.problems, *problems)) for place in places]


def _row(cohort: Cohort, clip: Clip, place: Found, labels: Labels, *, written: bool) -> ClipImport:
    names = [c.name for c in cohort.meta.classes]
    pixels: dict[str, int] = {}
    for (_, c), plane in labels.planes.items():
        pixels[names[c]] = pixels.get(names[c], 0) + int((plane > 0).sum())
    frames = len({frame for frame, _ in labels.reviewed})
    return ClipImport(clip.name, place.name, frames, pixels, written)


__all__ = ["ClipImport", "ImportReport", "LabelImportRequest", "detect", "import_labels"]
