"""Clips and readers' planes from arrays, for code that has them in memory."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from napari_confseg.store.codec import check_plane
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.identity import Identity
from napari_confseg.store.program_writer import ProgramWriter
from napari_confseg.store.schema import ClipMeta, Imported, Provenance, Spacing, Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_confseg.store.clip import Clip
    from napari_confseg.store.cohort import Cohort
    from napari_confseg.store.rater import Rater
    from napari_confseg.store.rater_kinds import RaterKind


def add_clip(
    cohort: Cohort,
    name: str,
    frames: NDArray[np.uint8],
    *,
    patient: str,
    fps: float = 25.0,
    spacing: float | None = None,
) -> Clip:
    """Write a clip whose frames are an array.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_confseg.store import Cohort, add_clip
    >>> cohort = Cohort.create("two-clips.zarr", name="two-clips")
    >>> frames = np.zeros((8, 48, 64), np.uint8)  # your grey values
    >>> clip = add_clip(cohort, "left-3", frames, patient="p1", fps=20, spacing=0.2)
    >>> clip.shape, clip.meta.frame_times[:3]
    ((8, 48, 64), (0.0, 0.05, 0.1))
    >>> cohort.clips()
    ['left-3']

    Parameters
    ----------
    cohort : Cohort
        Opened for writing.
    name : str
        Slug of the new clip.
    frames : ndarray of uint8, shape (T, Y, X)
        Grey values 0 to 255.
    patient : str
        Slug of the patient; what is split into training and test goes by it.
    fps : float, optional
        Frames a second.
    spacing : float, optional
        Millimetres of a pixel, in height and width; unknown if not given.

    Returns
    -------
    Clip
        The clip, without raters.

    Raises
    ------
    StoreError
        If the array is of another type or shape, a clip of this name exists, or it is no slug.
    ValueError
        If `patient`, `fps` or `spacing` breaks a rule; says which.
    """
    if frames.dtype != np.uint8 or frames.ndim != 3 or not frames.size:
        raise StoreError(
            Problem.mismatch(
                "frame-shape",
                name,
                "uint8 (T, Y, X), each at least 1",
                f"{frames.dtype} {frames.shape}",
                hint="Scale grey values to 0..255, and convert with astype(numpy.uint8).",
            )
        )
    digest = hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest()
    meta = ClipMeta(
        patient=patient,
        frame_times=tuple(i / fps for i in range(len(frames))),
        spacing=None if spacing is None else Spacing(y=spacing, x=spacing, source="manual"),
        provenance=Provenance(source_sha256=digest, decoder="array"),
    )
    with cohort.new_clip(name, shape=(frames.shape[1], frames.shape[2])) as new:
        for frame in frames:
            new.append(frame)
        new.finish(meta)
    return cohort.clip(name)


def add_rater(
    clip: Clip,
    name: str,
    planes: NDArray[np.uint8],
    *,
    reviewed: NDArray[np.bool_] | None = None,
    kind: RaterKind = "human",
    made_by: str | None = None,
) -> Rater:
    """Write a rater whose planes are an array, in place of one that was written so before.

    Such a rater counts as imported: it is compared like any other of its kind, and is learnt from
    where it is named.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_confseg.store import Cohort, add_clip, add_rater
    >>> cohort = Cohort.create("read.zarr", name="read")
    >>> clip = add_clip(cohort, "left-3", np.zeros((8, 48, 64), np.uint8), patient="p1")
    >>> planes = np.zeros((8, len(clip.classes), 48, 64), np.uint8)
    >>> planes[:, 2, 20:40, 10:14] = 80  # a B-line, at 80 %
    >>> ann = add_rater(clip, "ann", planes)
    >>> clip.raters(), ann.read_plane(0, 2).max(), ann.read_status().all()
    (['ann'], np.uint8(80), np.True_)

    Parameters
    ----------
    clip : Clip
        Of a cohort that was opened for writing.
    name : str
        Slug of the rater.
    planes : ndarray of uint8, shape (T, C, Y, X)
        Confidence in percent, 0 to 100, or 255 for excluded; C classes as in `clip.classes`.
    reviewed : ndarray of bool, shape (T, C), optional
        Where what is not marked is absent; everywhere if not given.
    kind : str, optional
        Key of :data:`~napari_confseg.store.RATER_KINDS`.
    made_by : str, optional
        Who or what made the planes, as people read it.

    Returns
    -------
    Rater
        The rater.

    Raises
    ------
    StoreError
        If a shape or value is wrong, the name belongs to a rater of another kind or to one with a
        record of strokes, or somebody else is writing it.
    """
    expected = (clip.shape[0], len(clip.classes), *clip.shape[1:])
    if planes.dtype != np.uint8 or planes.shape != expected:
        raise StoreError(
            Problem.mismatch(
                "plane-shape",
                f"{clip.name}/raters/{name}",
                f"uint8 {expected}: frames, classes, height, width",
                f"{planes.dtype} {planes.shape}",
                hint="Round percents to whole numbers, and convert with astype(numpy.uint8).",
            )
        )
    for frame, index in np.ndindex(*expected[:2]):  # before anything is written
        check_plane(planes[frame, index], f"{clip.name}/raters/{name}/0/{frame}/{index}")
    status = np.full(expected[:2], Status.REVIEWED, np.uint8)
    if reviewed is not None:
        status = np.where(reviewed, status, np.uint8(Status.UNTOUCHED)).astype(np.uint8)
    identity = Identity(kind, imported=Imported(format="array", made_by=made_by))
    with ProgramWriter(clip, name, identity) as writer:
        with writer.bulk() as write:
            for frame, index in np.ndindex(*expected[:2]):
                write(frame, index, planes[frame, index])
        writer.write_status(status)
        return writer.rater
