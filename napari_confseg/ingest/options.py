"""Options of an import, as command line, dialog and scripts give them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from napari_confseg.request_fields import setting
from napari_confseg.store.schema import Positive, Slug, Strict


def value_in(pattern: re.Pattern[str], name: str) -> str:
    """Return what `pattern` finds in a file name: group ``patient``, else the first; may be empty.

    Raises
    ------
    ValueError
        If the pattern has no group.
    """
    if not pattern.groups:
        raise ValueError("put what tells the patient into parentheses, as in ([A-Z]+[0-9]+)_")
    match = pattern.search(name)
    group = "patient" if "patient" in pattern.groupindex else 1
    return ((match and match[group]) or "").strip()


def _pattern(text: str) -> str:
    try:
        value_in(re.compile(text), "")
    except re.error as error:
        raise ValueError(f"this is no regular expression: {error}") from error
    return text


class ImportOptions(Strict):
    """How videos, DICOM files and folders of images become clips.

    Patients get codes; nothing of folders' names or of DICOM headers is kept.
    """

    patient: Slug | None = setting(
        None,
        "Patient",
        "name of the patient of all of them; where not given, they get codes",
        none="e.g. p017; not given: a code",
    )
    patient_per: Literal["folder", "file"] = setting(
        "folder",
        "Patients",
        "what makes a patient where nothing else says whose a file is, DICOM for one: clips of one "
        "folder are of one patient, or each file is a patient of its own",
        choices={"folder": "One for each folder", "file": "One for each file"},
    )
    patient_pattern: Annotated[str, AfterValidator(_pattern)] | None = setting(
        None,
        "In file names",
        "regular expression that finds the patient in a file's name: its group named patient, or "
        "its first one, e.g. ([A-Z]+[0-9]+)_; what it finds becomes a code. Files that it misses "
        "are refused, unless DICOM says whose they are",
        none="e.g. ([A-Z]+[0-9]+)_",
        max_length=200,
    )
    patient_table: Path | None = setting(
        None,
        "In a table",
        "CSV table with columns file and patient; what stands for a patient becomes a code. Files "
        "that are not in it are refused, unless DICOM or the pattern says whose they are",
        none="CSV: file, patient",
    )
    crop: Literal["none", "sector"] = setting(
        "none",
        "Crop",
        "keep the whole frame, or only the box around the ultrasound sector, without the margins "
        "where names and scanner settings are written; not by a sector that is doubtful",
        choices={"none": "Whole frame", "sector": "Ultrasound sector"},
    )
    mask: bool = setting(
        False,
        "Black out what lies outside the sector",
        "make everything outside the ultrasound sector black, letters among it, for good; stills, "
        "and clips in which no sector is found, are refused; one with a doubtful sector is left as "
        "it is until you have confirmed that",
    )
    fps: Positive | None = setting(
        None,
        "Frame rate",
        "frames a second where a source does not say; 25 if not given",
        unit="frames/s",
        none="25 where unknown",
    )
    name_from_file: bool = setting(
        False,
        "Name clips after their files",
        "name clips after their files, which may tell who the patient is",
    )
    key_file: Path | None = setting(
        None, "Key file", "key of the patients' codes; in your own state folder if not given"
    )
