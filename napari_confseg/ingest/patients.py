"""Whose a file is, by a table, its name, its DICOM header or its folder; and how many that makes.

What tells a patient becomes a code at once (:class:`~napari_confseg.ingest.pseudonyms.Pseudonyms`).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from napari_confseg.ingest.decoded import IngestError
from napari_confseg.ingest.options import value_in
from napari_confseg.ingest.sources import find_sources
from napari_confseg.store import Problem, StoreError
from napari_confseg.store.files import MIB, read_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_confseg.ingest.options import ImportOptions
    from napari_confseg.ingest.sources import Found

Identity = tuple[str, str]
"""Kind and value: what a code is made of. Never stored, never told."""

TOLD_BY: Final = {
    "patient": "as you named the patient",
    "table": "by the table",
    "pattern": "by the pattern",
    "dicom": "by DICOM",
    "file": "by file",
    "folder": "by folder",
}
"""What can tell whose a file is, in the order in which it counts, and how that is said."""

_LARGEST_TABLE = 16 * MIB
_FILE, _PATIENT = "file", "patient"
_UNMATCHED = "it cannot be told whose it is: "
SEVERAL: Final = (
    "If they are of several, choose one for each file, or tell patients by a pattern or a table."
)
_LUMPED = f"the others of their folder. {SEVERAL}"
_NAMED = 3
_SHOWN = 12


class PatientRule:
    """Tells whose a source is, by the options of an import.

    Parameters
    ----------
    options : ImportOptions
        What the person said about patients.

    Raises
    ------
    StoreError
        If the table of patients cannot be read, or contradicts itself.
    """

    def __init__(self, options: ImportOptions) -> None:
        self._options = options
        pattern, table = options.patient_pattern, options.patient_table
        if options.patient:  # it is said of all of them: nothing else counts
            pattern = table = None
        self._pattern = re.compile(pattern) if pattern else None
        self._table = _Table(table) if table else None

    def early(self, found: Found) -> tuple[str, Identity] | None:
        """Return what tells whose `found` is, and that, without opening it; None if it takes more.

        Raises
        ------
        IngestError
            If neither table nor pattern has it, and it is no DICOM that could tell.
        """
        if self._options.patient:
            return "patient", ("patient", self._options.patient)
        if self._table and (value := self._table.patient_of(found.path)):
            return "table", _as_number(value)
        if self._pattern and (value := value_in(self._pattern, found.path.name)):
            return "pattern", _as_number(value)
        if found.source.kind != "dicom":
            return self._by_place(found)
        return None

    def identity(self, found: Found, dicom: str | None) -> tuple[str, Identity]:
        """Return what tells whose `found` is, and that.

        Parameters
        ----------
        found : Found
            The source.
        dicom : str or None
            What its DICOM header says.

        Raises
        ------
        IngestError
            If nothing tells.
        """
        if told := self.early(found):
            return told
        return ("dicom", ("dicom", dicom)) if dicom else self._by_place(found)

    def _by_place(self, found: Found) -> tuple[str, Identity]:
        # A file that the person's rule misses would join a patient that the rule never meant.
        if self._table:
            raise IngestError(f"{_UNMATCHED}it is not in the table of patients")
        if self._pattern:
            raise IngestError(f"{_UNMATCHED}its name does not match the pattern of patients")
        if self._options.patient_per == "file":
            return "file", ("file", str(found.path))
        return "folder", ("folder", str(found.patient_folder.resolve()))

    @property
    def unused_rows(self) -> int:
        """Rows of the table that no file asked about so far was in."""
        return self._table.unused if self._table else 0


def _as_number(value: str) -> Identity:
    # As a DICOM header without an issuer says it: one patient has one code, however it was told.
    return "dicom", f"id\0\0{value}"


class _Table:
    """A CSV table with columns ``file`` and ``patient``."""

    def __init__(self, path: Path) -> None:
        header, lines = read_csv(path, _LARGEST_TABLE)
        columns = {name.strip().casefold(): name for name in header}
        if not {_FILE, _PATIENT} <= set(columns):
            found = ", ".join(header) or "none"
            raise StoreError(
                Problem.mismatch(
                    "patient-table",
                    str(path),
                    "columns file and patient",
                    found,
                    "Name them in the first line, separated by commas.",
                )
            )
        self._rows: dict[tuple[str, ...], str] = {}
        self._used: set[tuple[str, ...]] = set()
        wrong = []
        for number, row in lines:
            parts = _parts(row[columns[_FILE]].strip())
            patient = row[columns[_PATIENT]].strip()
            if not parts and not patient:
                continue
            if not parts or not patient:
                wrong.append((number, f"the {_PATIENT if parts else _FILE} is missing"))
            elif self._rows.setdefault(parts, patient) != patient:
                wrong.append((number, "the same file stands above with another patient"))
        if wrong:
            # The cells themselves may hold names: the line is enough to find them.
            raise StoreError(Problem("patient-table", f"{path}:{n}", text) for n, text in wrong)

    def patient_of(self, path: Path) -> str:
        """Return the patient of the row that names `path` by most of its folders; empty if none."""
        parts = _parts(str(path))
        for start in range(len(parts)):
            if (tail := parts[start:]) in self._rows:
                self._used.add(tail)
                return self._rows[tail]
        return ""

    @property
    def unused(self) -> int:
        return len(self._rows) - len(self._used)


def _parts(text: str) -> tuple[str, ...]:
    """Return folders and name of a path as written under any system."""
    return tuple(p for p in PurePath(text.replace("\\", "/")).parts if p not in ("/", "."))


# -- what it comes to


@dataclass(frozen=True)
class Census:
    """What an import would come to.

    Attributes
    ----------
    files : int
        Sources that become clips, if they can be decoded.
    patients : tuple of tuple of str
        Names of the files of each patient.
    told : dict
        Number of files by what told whose they are, a key of ``TOLD_BY``.
    refused : tuple of (name, reason)
        What would not be imported.
    unused_rows : int
        Rows of the table that name none of the files.
    lumped : int
        Files that count as one patient with others for no other reason than their folder.
    """

    files: int = 0
    patients: tuple[tuple[str, ...], ...] = ()
    told: dict[str, int] = field(default_factory=dict)
    refused: tuple[tuple[str, str], ...] = ()
    unused_rows: int = 0
    lumped: int = 0

    def words(self) -> str:
        """Return in a sentence or two how many files of how many patients there are."""
        how = [TOLD_BY[by] for by in TOLD_BY if by in self.told]
        text = f"{_count(self.files, 'file')} of {_count(len(self.patients), 'patient')}"
        text += f", told {' and '.join(how)}." if how else "."
        if self.refused:
            text += f" {_count(len(self.refused), 'file')} would be refused: {self._reasons()}."
        if self.unused_rows:
            text += f" {_count(self.unused_rows, 'row')} of the table name none of these files."
        return text

    def _reasons(self) -> str:
        shown = [f"{Path(name).name}: {reason}" for name, reason in self.refused[:_NAMED]]
        more = len(self.refused) - _NAMED
        return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")

    def warning(self) -> str:
        """Return what is dangerous about it, in a sentence or two; empty if nothing is."""
        if self.files < 2 or len(self.patients) != 1:
            return f"{self.lumped} files count as one patient with {_LUMPED}" if self.lumped else ""
        because = {"folder": ", since they lie in one folder", "dicom": ", as DICOM says"}
        why = because.get(next(iter(self.told)), "") if len(self.told) == 1 else ""
        return (
            f"All {self.files} files come to one patient{why}: none of them can be held out to "
            f"test a model on, for a split keeps each patient whole. {SEVERAL}"
        )

    def listing(self) -> str:
        """Return the files of each patient, a line for each of the first patients."""
        lines = [
            f"{i}: {_count(len(files), 'file')} ({', '.join(files[:_NAMED])}"
            f"{', …' if len(files) > _NAMED else ''})"
            for i, files in enumerate(self.patients[:_SHOWN], 1)
        ]
        more = len(self.patients) - _SHOWN
        return "\n".join(lines + ([f"and {_count(more, 'patient')} more"] if more > 0 else []))


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


@dataclass
class CensusTaker:
    """Counts files and patients again and again; reads the header of each DICOM file once."""

    _dicom: dict[Path, str | None] = field(default_factory=dict)

    def count(
        self,
        sources: Iterable[str | Path],
        options: ImportOptions,
        *,
        progress: Callable[[int, int, str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Census | None:
        """Return what importing `sources` would come to; None if `cancelled`.

        Nothing is decoded and nothing written: files that turn out to be damaged, or to be there
        already, are counted.

        Raises
        ------
        StoreError
            If the table of patients cannot be read.
        """
        rule = PatientRule(options)
        found, refused = find_sources(sources)
        patients: dict[Identity, list[str]] = {}
        told: Counter[str] = Counter()
        for i, one in enumerate(found):
            if cancelled and cancelled():
                return None
            if progress:
                progress(i, len(found), "counting patients")
            try:
                by, identity = rule.early(one) or rule.identity(one, self._identity(one.path))
            except IngestError as error:
                refused.append((str(one.path), str(error)))
            else:
                patients.setdefault(identity, []).append(one.path.name)
                told[by] += 1
        files = tuple(tuple(names) for names in patients.values())
        lumped = sum(len(p) for (kind, _), p in patients.items() if kind == "folder" and len(p) > 1)
        return Census(told.total(), files, dict(told), tuple(refused), rule.unused_rows, lumped)

    def _identity(self, path: Path) -> str | None:
        if path not in self._dicom:
            from napari_confseg.ingest.dicom import identity_in

            self._dicom[path] = identity_in(path)
        return self._dicom[path]
