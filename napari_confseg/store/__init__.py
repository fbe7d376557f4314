"""The store: what is on disk, typed and validated, and the only door to it.

Examples
--------
>>> import numpy as np
>>> from napari_confseg.store import Cohort, add_clip, add_rater, validate
>>> cohort = Cohort.create("cohort.zarr", name="cohort")
>>> frames = np.zeros((4, 48, 64), np.uint8)
>>> clip = add_clip(cohort, "left-3", frames, patient="p1", fps=20)
>>> [c.name for c in clip.classes]
['pleura', 'a-line', 'b-line', 'consolidation', 'effusion', 'rib']
>>> planes = np.zeros((4, 6, 48, 64), np.uint8)
>>> planes[:, 2, 20:40, 10:14] = 80  # a B-line, at 80 %
>>> ann = add_rater(clip, "ann", planes)
>>> clip = Cohort.open("cohort.zarr", read_only=True).clip("left-3")
>>> clip.rater("ann").read_planes(2).max()
np.uint8(80)
>>> list(validate("cohort.zarr"))
[]

People's strokes go through :class:`RaterWriter`, which keeps a record of them; programs write
planes with :class:`ProgramWriter`.
"""

from napari_confseg.store.arrays import add_clip, add_rater
from napari_confseg.store.backend import Location
from napari_confseg.store.clip import Clip
from napari_confseg.store.clip_notes import PATHOLOGIES, ZONES, ClipNotes, Offer, Unblinded
from napari_confseg.store.clip_writer import ClipWriter
from napari_confseg.store.cohort import Cohort, kind_at, open_clip_at
from napari_confseg.store.conflict import Choice, Conflict
from napari_confseg.store.edits import Edit, Patch, StatusChange
from napari_confseg.store.errors import Problem, StoreError
from napari_confseg.store.identity import Identity
from napari_confseg.store.lease import Holder
from napari_confseg.store.packed_planes import AnyPlanes, PackedPlanes
from napari_confseg.store.pending import SaveState
from napari_confseg.store.program_writer import ProgramWriter
from napari_confseg.store.rater import Rater
from napari_confseg.store.rater_kinds import (
    RATER_KINDS,
    KindInfo,
    RaterKind,
    kind_rank,
    rater_label,
)
from napari_confseg.store.schema import (
    DEFAULT_ANCHORS,
    DEFAULT_CLASSES,
    EXCLUDED,
    MAX_CONFIDENCE,
    NOT_MARKED,
    Anchor,
    Band,
    ClassSpec,
    ClipMeta,
    CohortMeta,
    Guarantee,
    Imported,
    Margin,
    ModelChange,
    Provenance,
    RaterMeta,
    Sector,
    Spacing,
    Status,
    check_slug,
)
from napari_confseg.store.strokes import (
    Acceptance,
    Carrying,
    DecidedRegion,
    Decision,
    Stroke,
    Verdict,
)
from napari_confseg.store.validate import validate
from napari_confseg.store.writer import RaterWriter

__all__ = [
    "DEFAULT_ANCHORS",
    "DEFAULT_CLASSES",
    "EXCLUDED",
    "MAX_CONFIDENCE",
    "NOT_MARKED",
    "PATHOLOGIES",
    "RATER_KINDS",
    "ZONES",
    "Acceptance",
    "Anchor",
    "AnyPlanes",
    "Band",
    "Carrying",
    "Choice",
    "ClassSpec",
    "Clip",
    "ClipMeta",
    "ClipNotes",
    "ClipWriter",
    "Cohort",
    "CohortMeta",
    "Conflict",
    "DecidedRegion",
    "Decision",
    "Edit",
    "Guarantee",
    "Holder",
    "Identity",
    "Imported",
    "KindInfo",
    "Location",
    "Margin",
    "ModelChange",
    "Offer",
    "PackedPlanes",
    "Patch",
    "Problem",
    "ProgramWriter",
    "Provenance",
    "Rater",
    "RaterKind",
    "RaterMeta",
    "RaterWriter",
    "SaveState",
    "Sector",
    "Spacing",
    "Status",
    "StatusChange",
    "StoreError",
    "Stroke",
    "Unblinded",
    "Verdict",
    "add_clip",
    "add_rater",
    "check_slug",
    "kind_at",
    "kind_rank",
    "open_clip_at",
    "rater_label",
    "validate",
]
