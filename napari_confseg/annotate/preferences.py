"""The person's preferences, kept between sessions."""

from __future__ import annotations

import getpass
import hashlib
import re
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_confseg.annotate.access import Role
from napari_confseg.annotate.view import Style, Tool
from napari_confseg.annotate.worklist import Facet, Sort, Which, WorkListSettings
from napari_confseg.store import MAX_CONFIDENCE, StoreError
from napari_confseg.store.durable import write_private
from napari_confseg.store.files import MIB, read_file
from napari_confseg.store.journal import journal_folder

if TYPE_CHECKING:
    from pathlib import Path

MAX_RECENT = 8
MAX_SCHEDULERS = 4

state_folder = journal_folder
"""Where this program keeps its state: ``$CONFSEG_STATE_DIR``, else the platform's folder."""


def account_name() -> str:
    """Return the name of the person's account, as a first guess at the reader's."""
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return ""


def slug_of(name: str) -> str:
    """Return a slug for a name: ``"Dr. Zoë Adams"`` gives ``"dr-zoe-adams"``.

    Of letters that have no plain form (``"王医生"``, ``"Søren"``) a checksum of the whole name
    stands in the slug, so that two names do not become one. What people read is the name itself.

    Raises
    ------
    ValueError
        If there is neither a letter nor a digit in the name.
    """
    whole = unicodedata.normalize("NFKD", name.strip().casefold())
    plain = re.sub(r"[^a-z0-9]+", "-", whole.encode("ascii", "ignore").decode()).strip("-")
    if any(c.isalnum() and not c.isascii() for c in whole):
        mark = hashlib.sha256(whole.encode()).hexdigest()[:8]
        return f"{plain[:55].rstrip('-')}-n{mark}".strip("-")
    if not plain:
        raise ValueError(f"{name!r}: a name needs at least one letter or digit")
    return plain[:64].rstrip("-")


class ListPreferences(BaseModel):
    """How a person left the work list."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    sort: Sort = Sort.NAME
    falling: bool = False
    which: Which = Which.ALL
    # Words and facets are of one cohort; in others they would hide clips for no reason.
    cohort: str = ""
    text: Annotated[str, Field(max_length=200)] = ""
    facets: Annotated[tuple[tuple[Facet, str], ...], Field(max_length=200)] = ()
    # Pixels, by column; those the person never set are not among them.
    widths: dict[str, Annotated[int, Field(ge=10, le=4000)]] = Field(default_factory=dict)
    floating: bool = False  # a window of its own
    place: tuple[int, int, int, int] | None = None  # of that window: left, top, width, height

    def settings_for(self, cohort_id: str) -> WorkListSettings:
        """Return what to list of a cohort when it is opened."""
        own = cohort_id == self.cohort
        return WorkListSettings(
            which=self.which,
            text=self.text if own else "",
            facets=frozenset(self.facets if own else ()),
            sort=self.sort,
            falling=self.falling,
        )

    def with_settings(self, cohort_id: str, settings: WorkListSettings) -> ListPreferences:
        """Return a copy with what is listed of a cohort."""
        return self.model_copy(
            update={
                "sort": settings.sort,
                "falling": settings.falling,
                "which": settings.which,
                "cohort": cohort_id,
                "text": settings.text[:200],
                "facets": tuple(sorted(settings.facets)),
            }
        )


class LastPlace(BaseModel):
    """Where a reader was in a cohort, and with what in hand; a file for each reader and cohort.

    Kept on this computer, not in the cohort. One that cannot be read counts as empty.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    clip: str = ""  # the one open last; empty if there was none
    frames: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)  # by clip
    class_name: str = ""
    tool: Tool = Tool.BRUSH
    confidence: Annotated[int, Field(ge=1, le=MAX_CONFIDENCE)] = 60
    brush_size: Annotated[int, Field(ge=1, le=400)] = 12

    @classmethod
    def load(cls, cohort_id: str, rater: str) -> LastPlace:
        """Return where `rater` was in a cohort."""
        with suppress(OSError, StoreError, ValidationError):
            return cls.model_validate_json(read_file(_place_file(cohort_id, rater), 16 * MIB))
        return cls()

    def save(self, cohort_id: str, rater: str) -> None:
        """Remember this; a disk that refuses costs the place, not the session."""
        with suppress(OSError):
            write_private(_place_file(cohort_id, rater), self.model_dump_json().encode())


class Preferences(BaseModel):
    """Kept as JSON in the state folder; a file that cannot be read counts as empty."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    # The reader's name as people read it; empty until chosen.
    reader: Annotated[str, Field(max_length=80)] = ""
    recent: tuple[str, ...] = ()  # locations of cohorts, latest first
    schedulers: tuple[str, ...] = ()  # addresses that runs were sent to, latest first
    # The role each reader (by slug) was in last.
    roles: dict[str, Role] = Field(default_factory=dict)
    style: Style = Style.FILL  # how the person's own marks are drawn
    reading_layout: bool = False  # napari's lists and controls are folded away
    work_list: ListPreferences = ListPreferences()
    pen_tilt: bool = False  # the tilt of a pen sets the confidence
    # Keys that the person chose, by the id of the action; empty for none.
    keys: Annotated[dict[str, Annotated[str, Field(max_length=40)]], Field(max_length=500)] = {}

    @classmethod
    def load(cls) -> Preferences:
        """Return what is remembered."""
        with suppress(OSError, StoreError, ValidationError):
            return cls.model_validate_json(read_file(_file(), MIB))
        return cls()

    def save(self) -> None:
        """Remember this; a disk that refuses costs the preferences, not the session."""
        with suppress(OSError):
            write_private(_file(), self.model_dump_json(indent=2).encode())

    def with_recent(self, location: str) -> Preferences:
        """Return a copy with `location` as the latest cohort."""
        others = [r for r in self.recent if r != location]
        return self.model_copy(update={"recent": (location, *others)[:MAX_RECENT]})

    def with_scheduler(self, address: str) -> Preferences:
        """Return a copy with `address` as the latest place that a run was sent to."""
        others = [a for a in self.schedulers if a != address]
        return self.model_copy(update={"schedulers": (address, *others)[:MAX_SCHEDULERS]})

    def with_role(self, reader: str, role: Role) -> Preferences:
        """Return a copy in which `reader` (a slug) is in `role`."""
        return self.model_copy(update={"roles": {**self.roles, reader: role}})


def _file() -> Path:
    return state_folder() / "preferences.json"


def _place_file(cohort_id: str, rater: str) -> Path:
    return state_folder() / "places" / f"{cohort_id}-{rater}.json"
