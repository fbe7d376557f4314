"""What others' validators say of our defects; ``python -m tests.store.outside`` prints it."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from functools import cache
from importlib.resources import files
from pathlib import Path

import jsonschema
import yaozarrs
import zarr
from ome_zarr_models import open_ome_zarr
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.store.defects import CLIP, DEFECTS, RATER, make_good


@cache
def official_schema() -> jsonschema.Draft202012Validator:
    """Return the strict schema of images in OME-Zarr 0.5, as published with the specification."""
    folder = files("ngff_zarr") / "spec/0.5/schemas"
    schemas = {p.name: json.loads(p.read_text()) for p in folder.iterdir()}
    resources = [
        (s["$id"], Resource.from_contents(s, default_specification=DRAFT202012))
        for s in schemas.values()
    ]
    registry = Registry().with_resources(resources)
    return jsonschema.Draft202012Validator(schemas["image.schema"], registry=registry)


def by_models(group: Path) -> None:
    """Raise what ome-zarr-models has against the group."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        open_ome_zarr(zarr.open_group(group, mode="r"), version="0.5")


def by_yaozarrs(group: Path) -> None:
    """Raise what yaozarrs has against the group."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yaozarrs.validate_zarr_store(str(group))


def by_schema(group: Path) -> None:
    """Raise what the official JSON schema has against the group's attributes."""
    node = json.loads((group / "zarr.json").read_text())
    official_schema().validate(node["attributes"])


VALIDATORS = {"ome-zarr-models": by_models, "yaozarrs": by_yaozarrs, "JSON schema": by_schema}


def finds(validator: str, root: Path) -> bool:
    """Whether a validator has anything against the clip or the rater of a broken cohort."""
    for group in (CLIP, RATER):
        path = root / group
        if not path.exists():  # renamed, by the defect itself
            path = next(p for p in root.iterdir() if p.is_dir()) / group[len(CLIP) + 1 :]
        try:
            VALIDATORS[validator](path)
        except Exception:  # each has exceptions of its own
            return True
    return False


def table() -> str:
    """Return the table of defects in Markdown."""
    lines = [
        f"| planted defect | code | {' | '.join(VALIDATORS)} |",
        f"|---|---|{'---|' * len(VALIDATORS)}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        good = make_good(Path(folder), Path(folder) / "journal")
        for i, defect in enumerate(DEFECTS):
            root = Path(folder) / str(i) / "cohort.zarr"
            shutil.copytree(good, root)
            defect.plant(root)
            said = ("finds" if finds(v, root) else "–" for v in VALIDATORS)
            lines.append(f"| {defect.name} | `{defect.code}` | {' | '.join(said)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
