"""One reader's notes on a clip: ``notes.json``.

Kept in the reader's own group, whose one writer writes it: readers share nothing that changes.
What the importer or the lead says of a clip stays in :class:`ClipMeta`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

from pydantic import Field, ValidationError

from napari_confseg.store.errors import StoreError, field_problems
from napari_confseg.store.schema import Moment, Seconds, Strict

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTES: Final = "notes.json"

Zone = Literal["L1", "L2", "L3", "L4", "L5", "L6", "R1", "R2", "R3", "R4", "R5", "R6"]
Pathology = Literal[
    "normal",
    "interstitial",
    "consolidation",
    "effusion",
    "pneumothorax",
    "pleural-irregularity",
    "atelectasis",
]
ZONES: Final[tuple[Zone, ...]] = get_args(Zone)
PATHOLOGIES: Final[tuple[Pathology, ...]] = get_args(Pathology)

Tag = Annotated[str, Field(min_length=1, max_length=64)]


class Unblinded(Strict):
    """When this reader first could see what others marked here, although the cohort blinds.

    Attributes
    ----------
    at : datetime
        When, with time zone; strokes made later may have been seen elsewhere first.
    by : str
        Who allowed it, as people read the name.
    why : str
        ``"complete"``: the reader's own clip was; ``"reviewer"``: they looked in that role;
        ``"allowed"``: a reviewer let them.
    """

    at: Moment
    by: str = Field(min_length=1, max_length=80)
    why: Literal["complete", "reviewer", "allowed"]


class Offer(Strict):
    """What came of a model's suggestion on a frame.

    Attributes
    ----------
    at : datetime
        When it was last so, with time zone.
    model, version : str
        Whose suggestion; empty for a frame where none was made.
    outcome : {"shown", "accepted", "changed", "dismissed", "withheld"}
        The reader saw it; took it whole and left it so; took some of it, or painted over or erased
        in what they took; put it away; was to mark the frame without. What was taken is in the
        strokes.
    """

    at: Moment
    model: Annotated[str, Field(max_length=64)] = ""
    version: Annotated[str, Field(max_length=200)] = ""
    outcome: Literal["shown", "accepted", "changed", "dismissed", "withheld"]


class ClipNotes(Strict):
    """One reader's notes on a clip, and their active time. All of it may be missing.

    Attributes
    ----------
    zone : str or None
        Where the probe was, of twelve zones: left or right, 1 and 2 anterior, 3 and 4 lateral,
        5 and 6 posterior; odd is upper, even is lower.
    quality : int or None
        1 (can't be read) to 5 (excellent).
    pathology : tuple of str
        What the clip shows, of ``PATHOLOGIES``.
    tags, note : tuple of str, str
        In the reader's own words.
    seconds : dict of int to float
        Time that this reader was active on a frame; frames that are missing had none.
    unblinded : Unblinded or None
        None if others were never shown, or the cohort does not blind.
    offers : dict of int to Offer
        Frames on which a model's suggestion was shown, or withheld.
    """

    zone: Zone | None = None
    quality: Annotated[int, Field(ge=1, le=5)] | None = None
    pathology: tuple[Pathology, ...] = ()
    tags: tuple[Tag, ...] = Field(default=(), max_length=32)
    note: str = Field(default="", max_length=4000)
    seconds: dict[Annotated[int, Field(ge=0)], Seconds] = Field(
        default_factory=dict, max_length=100_000
    )
    unblinded: Unblinded | None = None
    offers: dict[Annotated[int, Field(ge=0)], Offer] = Field(
        default_factory=dict, max_length=100_000
    )

    def changed(self, changes: Mapping[str, object]) -> ClipNotes:
        """Return a copy with some fields changed.

        Of seconds the larger number stands for each frame, of offers the latest: time is never
        taken back, and a change that is applied twice, or after someone else's, does no harm.

        Raises
        ------
        ValueError
            If a field breaks its rule.
        """
        made = ClipNotes.model_validate({**self.model_dump(), **changes})
        longest = {f: max(s, self.seconds.get(f, 0.0)) for f, s in made.seconds.items()}
        latest = {
            f: max(o, self.offers.get(f, o), key=lambda offer: offer.at)
            for f, o in made.offers.items()
        }
        return made.model_copy(
            update={
                "seconds": dict(sorted((self.seconds | longest).items())),
                "offers": dict(sorted((self.offers | latest).items())),
            }
        )

    def excerpt(self, fields: set[str]) -> str:
        """Return some of the fields as JSON; :func:`parse_changes` reads it."""
        return self.model_dump_json(include=fields)


def parse_changes(text: str) -> dict[str, object]:
    """Return the fields that an excerpt holds."""
    part = ClipNotes.model_validate_json(text)
    return {name: getattr(part, name) for name in part.model_fields_set}


def dump_notes(notes: ClipNotes) -> bytes:
    """Return `notes` as it is written."""
    return notes.model_dump_json(indent=1, exclude_defaults=True).encode()


def parse_notes(data: bytes, path: str) -> ClipNotes:
    """Return the notes in `data`.

    Raises
    ------
    StoreError
        With one problem for each field that is wrong.
    """
    try:
        return ClipNotes.model_validate_json(data)
    except ValidationError as error:
        hint = "Correct the field, or remove the file: its reader's notes are lost then."
        raise StoreError(field_problems(error, "notes", path, hint)) from error
