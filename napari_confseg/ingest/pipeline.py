"""Sources become clips of a cohort: one after the other, each whole or not at all."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from napari_confseg.ingest.decoded import ASSUMED_RATE, RATE_ASSUMED, Head, IngestError
from napari_confseg.ingest.options import ImportOptions
from napari_confseg.ingest.patients import PatientRule
from napari_confseg.ingest.pseudonyms import Pseudonyms, slug_from_name, source_sha256
from napari_confseg.ingest.sector import (
    CROP_WAITS,
    MASK_WAITS,
    MASKED,
    crop_box,
    find_sector,
    inside_mask,
    is_still,
    moved,
    waiting_words,
)
from napari_confseg.ingest.sector_evidence import Survey
from napari_confseg.ingest.sources import look_through
from napari_confseg.ingest.worker import Decoder
from napari_confseg.store import ClipMeta, Provenance, Spacing, StoreError
from napari_confseg.store.lease import only_import

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_confseg.ingest.sources import Found
    from napari_confseg.store import Cohort, Sector


NOT_FROM_SOURCE = "frame-times-from-rate"


def frame_times(
    stated: Sequence[float | None], rate: float | None, fallback: float | None = None
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return frame times that rise strictly from 0, and tags that say what is not certain.

    Parameters
    ----------
    stated : sequence of float or None
        Seconds as the source gives them, one a frame; a variable rate is kept.
    rate : float or None
        The source's average frames a second; used where `stated` has gaps or doesn't rise.
    fallback : float, optional
        Frames a second that the person gave, used where the source has neither; 25 if not given.
    """
    known = [s for s in stated if s is not None]
    if len(known) == len(stated) > 1 and all(b > a for a, b in pairwise(known)):
        return tuple(round(s - known[0], 9) for s in known), ()
    if len(stated) == 1:
        return (0.0,), ()
    tags = (NOT_FROM_SOURCE,) if rate else () if fallback else (RATE_ASSUMED,)
    used = rate or fallback or ASSUMED_RATE
    return tuple(round(i / used, 9) for i in range(len(stated))), tags


@dataclass
class ImportReport:
    """Result of an import; clips that are imported stay, however it ended.

    Parameters
    ----------
    imported : list of str
        Names of the new clips.
    refused : list of (name, reason)
        What did not become a clip, as the person named it, and one sentence why.
    passed_over : list of (path, kind)
        What is no picture, or hidden: with the three other lists, all that was there.
    left_out : list of str
        Files and folders that were not reached because the import was stopped.
    patients : dict
        Patient of each new clip.
    waiting : dict
        Of each new clip that was to be cropped or masked and is not, why, and what to do.
    cancelled : bool
        Whether it was stopped before its end.
    """

    imported: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    passed_over: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    patients: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    cancelled: bool = False


@dataclass(frozen=True)
class View:
    """Part of each frame that is kept.

    Attributes
    ----------
    box : tuple of int or None
        (y0, x0, y1, x1); None keeps the whole frame.
    keep : ndarray or None
        ``uint8 (Y, X)`` of 1 where pixels stay and 0 where they become black.
    tags : tuple of str
        What was done.
    """

    box: tuple[int, int, int, int] | None = None
    keep: NDArray[np.uint8] | None = None
    tags: tuple[str, ...] = ()


class _CancelledError(Exception):
    """The person has stopped the import."""


def import_sources(
    sources: Iterable[str | Path],
    cohort: Cohort,
    options: ImportOptions | None = None,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ImportReport:
    """Make a clip of each video, DICOM file and folder of images under `sources`.

    Each clip is there whole or not at all, however the import ends. Memory does not grow with the
    length of a video.

    Parameters
    ----------
    sources : iterable of str or Path
        Files and folders; folders are searched with their subfolders.
    cohort : Cohort
        Where the clips go.
    options : ImportOptions, optional
        Patients, cropping, masking, names.
    progress : callable, optional
        Called with (frames done, frames in all or 0 if unknown, what is being imported).
    cancelled : callable, optional
        Asked at each frame; True stops the import and removes the clip in the making.

    Returns
    -------
    ImportReport
        Never raises for a bad source: one does not keep the others out.

    Raises
    ------
    StoreError
        If another import into this cohort is under way, or the table of patients is wrong.
    """
    chosen = options or ImportOptions()
    findings = look_through(sources)
    found = findings.found
    report = ImportReport(refused=findings.refused, passed_over=findings.passed_over)
    pseudonyms = Pseudonyms(cohort.meta.cohort_id, chosen.key_file)
    with only_import(cohort.store, cohort.location), Decoder() as decoder:
        work = _Import(cohort, decoder, pseudonyms, chosen, cancelled or (lambda: False))
        for i, one in enumerate(found):
            label = f"{i + 1} of {len(found)}: {one.path.name}"
            try:
                name, meta = work.one(one, label, progress or (lambda *_: None))
            except _CancelledError:
                report.cancelled = True
                report.left_out = [str(f.path) for f in found[i:]]
                break
            except (IngestError, StoreError, OSError) as error:
                report.refused.append((str(one.path), _reason(error)))
            else:
                report.imported.append(name)
                report.patients[name] = meta.patient
                if waits := waiting_words(meta):
                    report.waiting[name] = waits
    return report


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"reading it or writing the cohort failed: {(error.strerror or str(error)).lower()}"
    return str(error)


class _Import:
    """The work on one cohort."""

    def __init__(
        self,
        cohort: Cohort,
        decoder: Decoder,
        pseudonyms: Pseudonyms,
        options: ImportOptions,
        cancelled: Callable[[], bool],
    ) -> None:
        self._cohort = cohort
        self._decoder = decoder
        self._pseudonyms = pseudonyms
        self._options = options
        self._rule = PatientRule(options)
        self._cancelled = cancelled
        self._known = {
            cohort.clip(name).meta.provenance.source_sha256: name for name in cohort.clips()
        }

    def one(
        self, found: Found, label: str, progress: Callable[[int, int, str], None]
    ) -> tuple[str, ClipMeta]:
        """Import one source; return the name of its clip, and what is known of it."""
        sha256 = source_sha256(found.source.paths)
        if sha256 in self._known:
            raise IngestError(f"the cohort has it already, as {self._known[sha256]}")
        self._rule.early(found)  # refused before anything is decoded
        view = View()
        if self._options.crop == "sector" or self._options.mask:
            view = self._look(found, lambda n, total: progress(n, total, f"{label}, looking"))
        name = self._name(found, sha256)
        meta = self._write(found, name, sha256, view, lambda n, total: progress(n, total, label))
        self._known[sha256] = name
        return name, meta

    def _patient(self, found: Found, head: Head, sha256: str) -> str:
        by, (kind, value) = self._rule.identity(found, head.identity)
        if by == "patient":
            return value
        # A file is a patient of its own wherever it lies: by what is in it.
        return self._pseudonyms.code(kind, sha256 if by == "file" else value)

    def _name(self, found: Found, sha256: str) -> str:
        taken = set(self._cohort.clips())
        stem = slug_from_name(found.path) if self._options.name_from_file else None
        name = stem or f"clip-{sha256[:8]}"
        return f"{stem or 'clip'}-{sha256[:12]}" if name in taken else name

    def _look(self, found: Found, tell: Callable[[int, int], None]) -> View:
        """Decode once to see where the sector is, and what of each frame is to be kept."""
        survey = None
        total = 0
        with closing(self._decoder.read(found.source)) as parts:
            for part in parts:
                if isinstance(part, Head):
                    survey, total = Survey(part.shape), part.n_frames or 0
                    continue
                self._check_cancelled()
                assert survey is not None  # the head comes first
                survey.add(part.pixels)
                tell(survey.n_frames, total)
        sector = find_sector(survey) if survey else None
        if survey and self._options.mask and is_still(survey):
            raise IngestError(
                "nothing moves in it, so text cannot be told from tissue to mask it; import it "
                "without masking, and look at it"
            )
        if sector is None or survey is None:
            if self._options.mask:
                raise IngestError(
                    "no sector was found in it, so nothing outside can be masked; import it "
                    "without masking, draw its sector, and black out then"
                )
            return View(tags=("sector-not-found",))
        if sector.doubtful:
            asked = {CROP_WAITS: self._options.crop == "sector", MASK_WAITS: self._options.mask}
            return View(tags=tuple(tag for tag, wanted in asked.items() if wanted))
        return View(
            box=crop_box(sector, survey.shape) if self._options.crop == "sector" else None,
            keep=inside_mask(sector, survey.shape) if self._options.mask else None,
            tags=(MASKED,) if self._options.mask else (),
        )

    def _write(
        self,
        found: Found,
        name: str,
        sha256: str,
        view: View,
        tell: Callable[[int, int], None],
    ) -> ClipMeta:
        with closing(self._decoder.read(found.source)) as parts:
            head = next(parts)
            assert isinstance(head, Head)
            y0, x0, y1, x1 = view.box or (0, 0, *head.shape)
            survey = Survey(head.shape)
            seconds: list[float | None] = []
            with self._cohort.new_clip(name, shape=(y1 - y0, x1 - x0)) as new:
                for part in parts:
                    assert not isinstance(part, Head)
                    self._check_cancelled()
                    survey.add(part.pixels)
                    pixels = part.pixels if view.keep is None else part.pixels * view.keep
                    new.append(pixels[y0:y1, x0:x1])
                    seconds.append(part.seconds)
                    tell(len(seconds), head.n_frames or 0)
                meta = self._meta(found, head, sha256, view, seconds, find_sector(survey))
                new.finish(meta)
        return meta

    def _meta(
        self,
        found: Found,
        head: Head,
        sha256: str,
        view: View,
        seconds: list[float | None],
        sector: Sector | None,
    ) -> ClipMeta:
        times, tags = frame_times(seconds, head.rate, self._options.fps)
        if sector and view.box:
            sector = moved(sector, -view.box[0], -view.box[1])
        spacing = None
        if head.spacing:
            spacing = Spacing(y=head.spacing[0], x=head.spacing[1], source="dicom-region")
        return ClipMeta(
            patient=self._patient(found, head, sha256),
            probe=head.probe or "unknown",
            frame_times=times,
            spacing=spacing,
            sector=sector,
            tags=head.tags + tags + view.tags,
            provenance=Provenance(source_sha256=sha256, decoder=head.decoder, crop=view.box),
        )

    def _check_cancelled(self) -> None:
        if self._cancelled():
            raise _CancelledError
