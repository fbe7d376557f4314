"""Names that tell nothing: clips by their content, patients by a keyed code.

A keyed code (HMAC-SHA256, RFC 2104) is the same for the same patient in one cohort, and cannot be
guessed back by trying names, as long as the key is kept apart from the cohort.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from contextlib import suppress
from pathlib import Path

from napari_confseg.ingest.sources import LARGEST_SOURCE
from napari_confseg.store import Problem, StoreError
from napari_confseg.store.durable import write_private
from napari_confseg.store.files import open_file, read_file
from napari_confseg.store.journal import journal_folder
from napari_confseg.store.schema import check_slug

NEW_KEY_BYTES, LEAST_KEY_BYTES = 32, 16
"""Bytes of a key that is made here, and the fewest of one that is taken."""
_MOST_BYTES = 4096
_BLOCK = 2**20


def source_sha256(paths: tuple[str, ...]) -> str:
    """Return the SHA-256 of a file; of several, that of their hashes one after the other."""
    digests = [_file_sha256(Path(p)) for p in paths]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open_file(path, LARGEST_SOURCE) as f:
        while block := f.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def slug_from_name(path: Path) -> str | None:
    """Return the name of `path` as a legal slug, or None if nothing usable is left of it."""
    plain = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:48]
    try:
        return check_slug(slug)
    except ValueError:
        return None


class Pseudonyms:
    """Gives codes to patients of one cohort.

    Parameters
    ----------
    cohort_id : str
        The cohort's id.
    key_file : Path, optional
        Where the key is; made if missing. The user's state folder if not given: who imports into
        one cohort from two machines copies the file, else a patient gets two codes.

    Raises
    ------
    StoreError
        If the file is there, and is no key that nobody can guess.
    """

    def __init__(self, cohort_id: str, key_file: Path | None = None) -> None:
        self.key_file = key_file or journal_folder() / "keys" / f"{cohort_id}.key"
        # A key that is there is checked before anything is decoded; a new one is made when needed.
        self._key = _load(self.key_file) if os.path.lexists(self.key_file) else None

    def code(self, kind: str, identity: str) -> str:
        """Return the code ``p-<10 hex>`` of `identity`, e.g. a folder or a hospital's number."""
        if self._key is None:
            self._key = _load_or_make(self.key_file)
        digest = hmac.new(self._key, f"{kind}\0{identity}".encode(), hashlib.sha256)
        return f"p-{digest.hexdigest()[:10]}"


def _load_or_make(path: Path) -> bytes:
    with suppress(FileExistsError):  # another import has made it meanwhile
        write_private(path, secrets.token_hex(NEW_KEY_BYTES).encode(), exclusive=True)
    return _load(path)


def _load(path: Path) -> bytes:
    text = read_file(path, _MOST_BYTES).decode("ascii", "replace").strip()
    # Few different digits: somebody has typed it, and somebody else can guess it.
    whole = len(text) >= 2 * LEAST_KEY_BYTES and re.fullmatch(r"(?:[0-9a-fA-F]{2})+", text)
    if not whole or len(set(text.lower())) < 8:
        raise StoreError(
            Problem(
                "patient-key",
                str(path),
                f"This is no key of patients: {LEAST_KEY_BYTES} random bytes or more, as "
                "hexadecimal digits",
                hint="Take the key file of the cohort, or name a file that is not there yet: a key "
                "is made then. Patients' codes change with it.",
            )
        )
    return bytes.fromhex(text)
