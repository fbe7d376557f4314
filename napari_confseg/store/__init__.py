"""The store: what is on disk, typed and validated, and the only door to it."""

from napari_confseg.store.backend import Location
from napari_confseg.store.clip import Clip, ClipWriter
from napari_confseg.store.clip_notes import PATHOLOGIES, ZONES, ClipNotes, Offer, Unblinded
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
    "check_slug",
    "kind_at",
    "kind_rank",
    "open_clip_at",
    "rater_label",
    "validate",
]
