"""``confseg build``: from a cohort to a frozen, versioned dataset.

A version is built beside its place, clip by clip, and moved there whole. What is finished of an
interrupted build is taken up again if its sources are still the same. The bytes depend on the
cohort, the request and the software alone: no clock, no path, no order of work.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import zarr
from pydantic import ValidationError
from zarr.storage import LocalStore

from napari_confseg import __version__
from napari_confseg.agreement.rater_view import learnt_raters, rater_views
from napari_confseg.dataset.card import write_card
from napari_confseg.dataset.disk_errors import room_in
from napari_confseg.dataset.frozen import Dataset, versions
from napari_confseg.dataset.leakage import find_leakage
from napari_confseg.dataset.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    BuildRequest,
    ClipRecord,
    Manifest,
    canonical,
    content_digest,
)
from napari_confseg.dataset.packing import DATA, pack_clip, source_digests
from napari_confseg.dataset.resample import LONGEST, choose_canvas
from napari_confseg.dataset.splits import part_clips
from napari_confseg.extras import needed_for
from napari_confseg.store import Cohort, Problem, StoreError
from napari_confseg.store.errors import needs_extra
from napari_confseg.store.files import read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Work = Callable[[Sequence[str]], Iterable[tuple[str, ClipRecord | None]]]

PACKAGES = ("numpy", "numcodecs", "scikit-image", "scipy", "zarr")


class BuildStopped(Exception):  # noqa: N818, nothing went wrong
    """The build was stopped on request; what is finished waits for the next one."""


def build(
    cohort: Cohort,
    request: BuildRequest,
    out: str | Path,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    scheduler: str | None = None,
) -> Dataset:
    """Build a version of a dataset, or find that the newest one is what would come out.

    Parameters
    ----------
    cohort : Cohort
        Read only.
    request : BuildRequest
        What goes in.
    out : str or Path
        Folder of the dataset; versions become ``v1``, ``v2``, ... inside.
    progress : callable, optional
        Called with (clips done, clips, name).
    cancelled : callable, optional
        Asked after each clip.
    scheduler : str, optional
        Address of a dask scheduler whose workers see the same folders; the clips are packed there.

    Returns
    -------
    Dataset
        The new version, or the newest if nothing has changed since.

    Raises
    ------
    StoreError
        If the request cannot be met: an unknown name, no reviewed frame, too few patients, a clip
        of unknown spacing. Every problem is listed. Or if the disk is full.
    BuildStopped
        If it was stopped.
    """
    out = Path(out)
    full = complete(cohort, request)
    _check_patients(cohort, full)
    digest = hashlib.sha256(canonical(full.model_dump(mode="json"))).hexdigest()
    place = out / f".building-{digest[:12]}"
    records: dict[str, ClipRecord] = {}
    work = _remote(cohort, full, place, scheduler) if scheduler else _local(cohort, full, place)

    def what_to_do() -> str:
        return (
            "Free some space and build again: what is finished is not done again "
            f"({len(records)} of {len(full.clips)} clips). Or build to a larger disk."
        )

    with room_in(out, what_to_do):
        place.mkdir(parents=True, exist_ok=True)
        for number, (name, record) in enumerate(work(full.clips)):
            if progress:
                progress(number, len(full.clips), name)
            if record is not None:
                records[name] = record
            if cancelled and cancelled():
                raise BuildStopped(f"stopped after {number + 1} of {len(full.clips)} clips")
        clips = tuple(records[name] for name in sorted(records))
        return _settle(_manifest(cohort, full, clips, place, out), place, out)


def complete(cohort: Cohort, request: BuildRequest) -> BuildRequest:
    """Return the request with all names filled in, so that the manifest leaves nothing open.

    Raises
    ------
    StoreError
        If a clip or class is unknown, or there is no rater.
    """
    known = [c.name for c in cohort.meta.classes]
    there = cohort.clips()
    problems = [
        Problem.mismatch("class-unknown", "", f"one of {known}", name)
        for name in request.classes
        if name not in known
    ]
    problems += [
        Problem("missing", name, "The cohort has no such clip")
        for name in request.clips
        if name not in there
    ]
    raters = request.raters or tuple(learnt_raters(cohort))
    if not raters:
        problems.append(
            Problem(
                "too-few-raters",
                "",
                "Nobody has marked these clips",
                hint="Name raters, or mark a clip first.",
            )
        )
    if problems:
        raise StoreError(problems)
    full = request.model_copy(
        update={
            "clips": tuple(sorted(set(request.clips or there))),
            "classes": tuple(n for n in known if not request.classes or n in request.classes),
            "raters": raters,
        }
    )
    if isinstance(full.size, str):
        shapes = _reviewed_shapes(cohort, full)
        # With nothing reviewed nothing comes of any size, which is said later.
        size = choose_canvas(shapes, LONGEST[full.size]) if shapes else None
        full = full.model_copy(update={"size": size})
    return full


def _reviewed_shapes(cohort: Cohort, request: BuildRequest) -> list[tuple[int, int]]:
    """Return the (Y, X) of each clip that goes in."""
    indices = [cohort.meta.class_index(c) for c in request.classes]
    clips = map(cohort.clip, request.clips)
    return [
        clip.shape[1:]
        for clip in clips
        if any(r.reviewed[:, indices].any() for r in rater_views(clip, request.raters))
    ]


def _check_patients(cohort: Cohort, request: BuildRequest) -> None:
    """Refuse before hours of packing what no split could come of."""
    there = {cohort.clip(name).meta.patient for name in request.clips}
    wanted = max(len(request.parts), request.folds)
    if len(there) < wanted:
        raise StoreError(
            Problem(
                "split",
                "",
                f"{wanted} parts need as many patients, and there are {len(there)}: "
                + ", ".join(sorted(there)),
                hint="Import more patients or ask for fewer parts: --split train=1 makes one.",
            )
        )


def _local(cohort: Cohort, request: BuildRequest, place: Path) -> Work:
    def work(names: Sequence[str]) -> Iterator[tuple[str, ClipRecord | None]]:
        for name in names:
            yield name, pack_once(cohort, request, name, place)

    return work


def _remote(cohort: Cohort, request: BuildRequest, place: Path, scheduler: str) -> Work:
    def work(names: Sequence[str]) -> Iterator[tuple[str, ClipRecord | None]]:
        with needed_for("building on a cluster", needs_extra(scheduler)):
            from distributed import Client, as_completed
        with Client(scheduler) as client:
            futures = {
                client.submit(
                    _pack_there, cohort.location, request, name, str(place.resolve()), pure=False
                ): name
                for name in names
            }
            for future in as_completed(futures):
                yield futures[future], future.result()

    return work


def _pack_there(location: str, request: BuildRequest, name: str, place: str) -> ClipRecord | None:
    return pack_once(Cohort.open(location, read_only=True), request, name, Path(place))


def pack_once(cohort: Cohort, request: BuildRequest, name: str, place: Path) -> ClipRecord | None:
    """Pack a clip, unless that was done before an interruption and its sources are the same."""
    journal = place / "records" / f"{name}.json"
    before = _packed_before(journal)
    if before is not None and source_digests(cohort, request, name) == sources(before):
        return before
    journal.unlink(missing_ok=True)  # what it tells of is about to be written over
    record = pack_clip(cohort, request, name, place)
    if record is not None:
        journal.parent.mkdir(exist_ok=True)
        _write(journal, record.model_dump_json().encode())
    return record


def _packed_before(journal: Path) -> ClipRecord | None:
    try:
        return ClipRecord.model_validate_json(read_file(journal, MAX_MANIFEST_BYTES))
    except (FileNotFoundError, StoreError, ValidationError):
        return None  # not yet, or damaged: it is packed again


def sources(record: ClipRecord) -> dict[str, str]:
    """Return the digests of a record's sources, keyed as by ``packing.source_digests``."""
    return {"": record.source_sha256} | {n: r.source_sha256 for n, r in record.raters.items()}


def changed_sources(cohort: Cohort, dataset: Dataset) -> list[str]:
    """Return what has changed in the cohort since a dataset was frozen, one line each.

    A clip that is new is named only if the request took all clips of its time.
    """
    request = dataset.manifest.request
    frozen = {c.clip: sources(c) for c in dataset.manifest.clips}
    there = set(cohort.clips())
    changes = [f"{name}: new in the cohort" for name in sorted(there - set(request.clips))]
    for name in request.clips:
        if name not in there:
            changes.append(f"{name}: gone from the cohort")
            continue
        now, before = source_digests(cohort, request, name), frozen.get(name, {})
        for key in sorted(now.keys() | before.keys()):
            if now.get(key) != before.get(key):
                changes.append(f"{name}: {f'marks of {key}' if key else 'frames'} changed")
    return changes


def _manifest(
    cohort: Cohort, request: BuildRequest, clips: tuple[ClipRecord, ...], place: Path, out: Path
) -> Manifest:
    if not clips:
        raise StoreError(
            Problem(
                "nothing-reviewed",
                "",
                "No frame is reviewed",
                hint="Mark frames as reviewed, or name other raters, classes or clips.",
            )
        )
    try:
        parts, rounds = part_clips(clips, request)
    except ValueError as error:
        raise StoreError(
            Problem(
                "split",
                "",
                f"No split by patient is possible: {error}",
                hint="Mark more patients, or ask for fewer parts: --split train=1 makes one.",
            )
        ) from error
    packed = LocalStore(place / DATA, read_only=True)

    def frame(clip: str, position: int) -> NDArray[np.uint8]:
        array = zarr.open_array(packed, path=f"{clip}/frames", mode="r", zarr_format=3)
        return np.asarray(array[position], np.uint8)

    leakage = find_leakage(clips, parts.of_clip, frame)
    chosen = set(request.classes)
    return Manifest(
        version=max(versions(out), default=0) + 1,
        cohort=cohort.meta.name,
        cohort_id=cohort.meta.cohort_id,
        classes=tuple(c for c in cohort.meta.classes if c.name in chosen),
        raters=tuple(r for r in request.raters if any(r in c.raters for c in clips)),
        request=request,
        software=_software(),
        clips=clips,
        split=parts,
        folds=rounds,
        leakage=leakage,
        content_sha256=content_digest(clips, request, parts, rounds),
    )


def _software() -> dict[str, str]:
    versions_of = {name: installed(name) for name in PACKAGES}
    return {"napari-confseg": __version__, "python": platform.python_version()} | versions_of


def _settle(manifest: Manifest, place: Path, out: Path) -> Dataset:
    """Move what was built to its version, unless the newest version holds the same."""
    there = versions(out)
    if there:
        newest = Dataset(out / f"v{there[-1]}")
        if newest.manifest.content_sha256 == manifest.content_sha256:
            shutil.rmtree(place)
            return newest
    kept = {c.clip for c in manifest.clips}
    for folder in (place / DATA).iterdir():
        if (
            folder.is_dir() and folder.name not in kept
        ):  # packed before an interruption, since gone from the cohort
            shutil.rmtree(folder)
    text = canonical(manifest.model_dump(mode="json")) + b"\n"
    write_card(manifest, hashlib.sha256(text).hexdigest(), place)
    _write(place / MANIFEST, text)
    shutil.rmtree(place / "records", ignore_errors=True)  # not before all else is there
    target = out / f"v{manifest.version}"
    place.rename(target)
    return Dataset(target)


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    partial.replace(path)
