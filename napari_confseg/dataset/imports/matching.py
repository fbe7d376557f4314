"""Which clip of the cohort a source speaks of: by a pair given, by name, by the clip's own file."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from napari_confseg.store import Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_confseg.dataset.imports.common import Found
    from napari_confseg.store import Clip, Cohort

_NOT_VIDEOS = (".json", ".nrrd", ".png", ".txt", ".md", ".csv")


class Matcher:
    """Finds clips.

    Parameters
    ----------
    cohort : Cohort
        Where to look.
    pairs : mapping of str to str
        Name in the source -> clip; goes before anything else.
    """

    def __init__(self, cohort: Cohort, pairs: Mapping[str, str]) -> None:
        self._cohort, self._pairs = cohort, pairs
        self._names = set(cohort.clips())
        self._digests: dict[str, str] | None = None
        self._taken: dict[str, str] = {}

    def match(self, found: Found) -> Clip:
        """Return the clip.

        Raises
        ------
        StoreError
            If there is none, or something else of the source is that clip already.
        """
        slug = re.sub(r"[^a-z0-9_-]+", "-", found.name.lower()).strip("-")
        name = self._pairs.get(found.name) or (slug if slug in self._names else None)
        name = name or self._by_file(found)
        if name is None or name not in self._names:
            raise StoreError(
                Problem("clip-unknown", found.name, "the name of a clip, or its file beside it",
                        name or "neither", f"Say which it is with --clips '{found.name}=CLIP'.")
            )  # fmt: skip
        if name in self._taken:
            raise StoreError(
                Problem("clip-twice", found.name, "one source for a clip",
                        f"{self._taken[name]} is {name}, too")
            )  # fmt: skip
        self._taken[name] = found.name
        return self._cohort.clip(name)

    def _by_file(self, found: Found) -> str | None:
        """Look for a file of the source's name beside it, which a clip was imported from."""
        for path in sorted(_beside(found.near, found.name)):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            name = self._by_digest().get(digest)
            if name is not None:
                return name
        return None

    def _by_digest(self) -> dict[str, str]:
        if self._digests is None:
            clips = (self._cohort.clip(name) for name in sorted(self._names))
            self._digests = {c.meta.provenance.source_sha256: c.name for c in clips}
        return self._digests


def _beside(near: Path, name: str) -> list[Path]:
    folder = near if near.is_dir() else near.parent
    stem = name.rsplit("/", 1)[-1]
    return [
        p for p in folder.iterdir()
        if p.is_file() and p.name.split(".", 1)[0] == stem and p.suffix not in _NOT_VIDEOS
    ]  # fmt: skip
