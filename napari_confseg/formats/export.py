"""Export of a frozen dataset in one of the formats of :data:`napari_confseg.formats.FORMATS`.

A format that can hold confidences gets them whole; one that can't gets a threshold, which stands in
the names it writes and in ``EXPORT.md``.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from napari_confseg.dataset.disk_errors import room_in
from napari_confseg.formats import FORMATS, WRITTEN, taking
from napari_confseg.request_fields import setting
from napari_confseg.store import EXCLUDED, Problem, Status, StoreError
from napari_confseg.store.schema import Confidence, Slug, Strict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_confseg.dataset.frozen import Dataset
    from napari_confseg.dataset.manifest import ClipRecord
    from napari_confseg.store import RaterKind


class ExportStopped(Exception):  # noqa: N818, nothing went wrong
    """The export was stopped on request."""


def _written(name: str) -> str:
    if name not in WRITTEN:
        raise ValueError(f"there is no export as {name!r}; use {', '.join(WRITTEN)}")
    return name


class ExportRequest(Strict):
    """How a version of a dataset is written in another format."""

    format: Annotated[str, AfterValidator(_written)] = setting(
        ...,
        "Format",
        "file format to write",
        choices={
            name: FORMATS[name].title
            + ("" if FORMATS[name].keeps_confidence else " (cut at a threshold)")
            for name in WRITTEN
        },
    )
    rater: Slug | None = setting(
        None, "Rater", "whose marks; must be given if the dataset has several raters"
    )
    threshold: Confidence = setting(
        50,
        "Cut at",
        f"confidence from which a mark counts where none can be held ({taking('threshold')})",
        unit="%",
    )
    band: tuple[Confidence, Annotated[int, Field(ge=2, le=101)]] | None = setting(
        None,
        "Ignore",
        "confidences from LOW up to, not including, HIGH become the label to ignore in training "
        f"({taking('band')})",
        unit="%",
    )

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.band is not None and self.band[0] >= self.band[1]:
            raise ValueError(
                f"the band to ignore must rise, found {self.band[0]} to {self.band[1]}"
            )
        return self


@dataclass(frozen=True)
class Item:
    """One clip on its way out.

    Attributes
    ----------
    record : ClipRecord
        What the manifest says of it.
    part : str
        Its part of the split.
    frames : NDArray
        ``uint8 (T, Y, X)``.
    planes : NDArray
        ``uint8 (T, C, Y, X)``, 0..100 and 255.
    reviewed : NDArray
        ``bool (T, C)``.
    """

    record: ClipRecord
    part: str
    frames: NDArray[np.uint8]
    planes: NDArray[np.uint8]
    reviewed: NDArray[np.bool_]

    @property
    def name(self) -> str:
        """The clip's slug."""
        return self.record.clip

    @property
    def resampled(self) -> bool:
        """Whether pixels here are others than the clip's; labels then cannot come back to it."""
        return self.record.resampled

    @property
    def interval(self) -> float:
        """Mean seconds between the frames here; 1 for a single one."""
        t = self.record.times
        return (t[-1] - t[0]) / (len(t) - 1) if len(t) > 1 else 1.0

    @property
    def spacing(self) -> tuple[float, float]:
        """(y, x) millimetres a pixel; 1, 1 when unknown, which :meth:`Export.note_spacing` says."""
        s = self.record.spacing
        return (s.y, s.x) if s else (1.0, 1.0)


class Export:
    """One export under way."""

    def __init__(
        self,
        dataset: Dataset,
        request: ExportRequest,
        out: Path,
        *,
        progress: Callable[[int, int, str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.dataset = dataset
        self.manifest = dataset.manifest
        self.request = request
        self.rater = dataset.one_rater(request.rater)
        self.classes = self.manifest.class_names()
        self.notes: list[str] = []
        self.threshold: int | None = None
        self._out = out
        self._progress = progress
        self._cancelled = cancelled

    @property
    def out(self) -> Path:
        """The folder, made when first asked for."""
        self._out.mkdir(parents=True, exist_ok=True)
        return self._out

    @property
    def kind(self) -> RaterKind:
        """Who or what the rater is."""
        records = (c.raters.get(self.rater) for c in self.manifest.clips)
        return next(r.kind for r in records if r is not None)

    def folder(self, *names: str) -> Path:
        """Return a folder inside, made if needed."""
        path = self.out.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def items(self) -> Iterator[Item]:
        """Yield the clips that the rater marked, one in memory at a time."""
        records = [c for c in self.manifest.clips if self.rater in c.raters]
        for number, record in enumerate(records):
            if self._cancelled and self._cancelled():
                raise ExportStopped(f"stopped after {number} of {len(records)} clips")
            if self._progress:
                self._progress(number, len(records), record.clip)
            status = self.dataset.status(record.clip, self.rater)
            yield Item(
                record,
                self.manifest.split.of_clip[record.clip],
                self.dataset.frames(record.clip),
                self.dataset.planes(record.clip, self.rater),
                status == Status.REVIEWED,
            )

    def cut(self, planes: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return where the planes reach the threshold, and note that confidence was given up."""
        if self.threshold is None:
            self.threshold = self.request.threshold
            self.notes.append(
                f"Where confidence cannot be held, marks of at least {self.threshold} % count, "
                "others do not."
            )
        marks: NDArray[np.bool_] = (planes >= self.threshold) & (planes != EXCLUDED)
        return marks

    def note_spacing(self) -> None:
        """Say for which clips a spacing of 1 stands for "unknown"."""
        unknown = [c.clip for c in self.manifest.clips if c.spacing is None]
        if unknown:
            self.notes.append(
                f"The size of a pixel is unknown for {len(unknown)} clips; the format wants one, "
                f"and 1 is written: {', '.join(unknown[:5])}{' ...' if len(unknown) > 5 else ''}"
            )

    def write_json(self, path: Path, data: object, *, indent: int | None = 2) -> None:
        """Write `data` as JSON; in one line, as suits long lists of numbers, without `indent`."""
        path.write_text(json.dumps(data, indent=indent) + "\n", encoding="utf-8", newline="\n")

    def remove(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self._out, ignore_errors=True)

    def finish(self, name: str) -> dict[str, Any]:
        """Write ``EXPORT.md``, which says what this is, and return the facts."""
        m = self.manifest
        self.notes += [
            f"This model's contours hold {g}: {g.terms}." for g in m.guarantees(self.rater)
        ]
        kept = "kept" if self.threshold is None else f"cut at {self.threshold} %"
        lines = [
            f"# {m.request.name} v{m.version} as {name}",
            f"Rater `{self.rater}`; confidences {kept}. Content `{m.content_sha256[:16]}`.",
            *(f"- {note}" for note in self.notes),
        ]
        text = "\n\n".join(lines) + "\n"
        (self.out / "EXPORT.md").write_text(text, encoding="utf-8", newline="\n")
        files = sum(p.is_file() for p in self.out.rglob("*"))
        return {
            "format": name,
            "rater": self.rater,
            "threshold": self.threshold,
            "files": files,
            "notes": self.notes,
        }


def export(
    dataset: Dataset,
    request: ExportRequest,
    out: Path,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Write `dataset` in another format into the folder `out`.

    Parameters
    ----------
    dataset : Dataset
        The version to write.
    request : ExportRequest
        Format, rater, threshold, band.
    out : Path
        A folder that does not exist or is empty.
    progress : callable, optional
        Called with (clips done, clips, name).
    cancelled : callable, optional
        Asked before each clip; if true, nothing of the export is left.

    Returns
    -------
    dict
        ``format``, ``rater``, ``threshold`` (None if confidences are kept), ``files``, ``notes``.

    Raises
    ------
    StoreError
        If the folder is not empty, the rater is not clear, the format's library is not installed,
        or the disk is full. Nothing of the export is left.
    """
    if out.exists() and any(out.iterdir()):
        raise StoreError(
            Problem("exists", str(out), "The folder is not empty", hint="Choose another folder.")
        )
    module = FORMATS[request.format].load()
    job = Export(dataset, request, out, progress=progress, cancelled=cancelled)
    try:
        with room_in(out, lambda: "Free some space, or export to a larger disk. Nothing is left."):
            with FORMATS[request.format].needed():  # some need a second library
                module.write(job)
            return job.finish(request.format)
    except BaseException:
        job.remove()
        raise


__all__ = ["ExportRequest", "export"]
