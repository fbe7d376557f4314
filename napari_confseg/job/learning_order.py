"""What to annotate next: frames and clips in the order in which a model would learn most.

``confseg-train rank`` writes it beside the cohort's runs, where everybody who works on the cohort
finds it; the work list reads it. Neither Qt nor torch is needed to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_confseg.job.folder import runs_folder
from napari_confseg.store.durable import write_durably
from napari_confseg.store.errors import Problem, StoreError, field_problems
from napari_confseg.store.files import MIB, read_file
from napari_confseg.store.schema import Moment, Slug

if TYPE_CHECKING:
    from pathlib import Path

    from napari_confseg.store import Cohort

ORDER = "most-to-learn.json"
"""Name of the file in the folder of the cohort's runs."""
_MOST_BYTES = 64 * MIB

Share = Annotated[float, Field(ge=0, le=1)]


class FrameToLearn(BaseModel):
    """A frame, and why it stands where it does.

    Attributes
    ----------
    clip, frame : str, int
        Which.
    unseen : float
        Share of the model's uncertainty that more examples would take away, 0..1.
    differ : float or None
        How far readers differ on this frame, else on others of its clip, 0 (alike) to 1 (not a
        pixel in common); None where fewer than two have read.
    apart : float
        Distance to the nearest frame that is reviewed or stands before it, in units of the usual
        distance between frames; 0 is a copy.
    why : str
        The same in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    clip: Slug
    frame: int = Field(ge=0)
    unseen: Share
    differ: Share | None
    apart: float = Field(ge=0)
    why: str


class LearningOrder(BaseModel):
    """Content of ``most-to-learn.json``.

    Attributes
    ----------
    cohort_id : str
        Identity of the cohort.
    made_at : datetime
        When; what was reviewed since is not taken into account.
    model, sha256 : str
        Name of the model, and the hash of its weights.
    looked_at : int
        Frames among which these were chosen.
    frames : tuple of FrameToLearn
        Most to learn first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: Literal[1] = 1
    cohort_id: str
    made_at: Moment
    model: str
    sha256: str
    looked_at: int = Field(ge=0)
    frames: tuple[FrameToLearn, ...]

    def clips(self) -> tuple[str, ...]:
        """Return the clips in the order of their first frames."""
        return tuple(dict.fromkeys(f.clip for f in self.frames))


def order_path(cohort: Cohort) -> Path:
    """Return where the order of a cohort is kept."""
    return runs_folder(cohort) / ORDER


def write_order(cohort: Cohort, order: LearningOrder) -> Path:
    """Write the order, whole or not at all, in the place of an older one; return where."""
    path = order_path(cohort)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, order.model_dump_json(indent=1).encode())
    return path


def read_order(cohort: Cohort) -> LearningOrder | None:
    """Return the latest order; None if there is none, or if it is another cohort's.

    Raises
    ------
    StoreError
        If the file can't be read.
    """
    path = order_path(cohort)
    try:
        order = LearningOrder.model_validate_json(read_file(path, _MOST_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        hint = "Remove it, and run confseg-train rank again."
        raise StoreError(field_problems(error, "order", str(path), hint)) from error
    except OSError as error:
        raise StoreError(Problem("order", str(path), f"Can't be read: {error.strerror}")) from error
    return order if order.cohort_id == cohort.meta.cohort_id else None
