"""Options of an import, as command line, dialog and scripts give them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from napari_confseg.request_fields import setting
from napari_confseg.store.schema import Positive, Slug, Strict


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
        "what makes a patient where neither --patient nor DICOM says: clips of one folder are of "
        "one patient, or each file is a patient of its own",
        choices={"folder": "One for each folder", "file": "One for each file"},
    )
    crop: Literal["none", "sector"] = setting(
        "none",
        "Crop",
        "keep the whole frame, or only the box around the ultrasound sector, without the margins "
        "where names and scanner settings are written",
        choices={"none": "Whole frame", "sector": "Ultrasound sector"},
    )
    mask: bool = setting(
        False,
        "Black out what lies outside the sector",
        "make everything outside the ultrasound sector black, letters among it, for good; stills, "
        "and clips in which no sector is found, are refused",
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
