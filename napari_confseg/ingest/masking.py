"""Black out what lies outside the sector, once a person has said where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_confseg.ingest.decoded import IngestError
from napari_confseg.ingest.sector import inside_mask
from napari_confseg.store.rewrite import change_frames

if TYPE_CHECKING:
    from napari_confseg.store import Cohort

MASKED = "masked-outside-sector"
"""Tag of a clip that shows its sector and nothing else."""


def mask_clip(cohort: Cohort, name: str) -> None:
    """Make every pixel of a clip outside its confirmed sector black, for good.

    Raises
    ------
    IngestError
        If no person has confirmed the sector: one that is merely found may cut off a dim edge, or
        take in a letter.
    """
    clip = cohort.clip(name)
    sector = clip.meta.sector
    if sector is None or not sector.confirmed:
        raise IngestError(
            f"the sector of {name} is not confirmed: open the clip, correct the outline, confirm it"
        )
    keep = inside_mask(sector, clip.shape[1:])
    change_frames(cohort, name, lambda frames: frames * keep)
    if MASKED not in clip.meta.tags:
        clip.update_meta(tags=(*clip.meta.tags, MASKED))
