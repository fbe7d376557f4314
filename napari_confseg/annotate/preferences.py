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
from napari_confseg.annotate.view import Style
from napari_confseg.store import StoreError
from napari_confseg.store.files import MIB, read_file, write_private
from napari_confseg.store.journal import journal_folder

if TYPE_CHECKING:
    from pathlib import Path

MAX_RECENT = 8

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


class Preferences(BaseModel):
    """Kept as JSON in the state folder; a file that cannot be read counts as empty."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    # The reader's name as people read it; empty until chosen.
    reader: Annotated[str, Field(max_length=80)] = ""
    recent: tuple[str, ...] = ()  # locations of cohorts, latest first
    # The role each reader (by slug) was in last.
    roles: dict[str, Role] = Field(default_factory=dict)
    style: Style = Style.FILL  # how the person's own marks are drawn
    reading_layout: bool = False  # napari's lists and controls are folded away
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

    def with_role(self, reader: str, role: Role) -> Preferences:
        """Return a copy in which `reader` (a slug) is in `role`."""
        return self.model_copy(update={"roles": {**self.roles, reader: role}})


def _file() -> Path:
    return state_folder() / "preferences.json"
