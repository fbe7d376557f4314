"""What lies at a place: a cohort of ours, a clip of one, or something else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_confseg.store.attributes import NAMESPACE, read_node
from napari_confseg.store.backend import Keys, Location, open_store
from napari_confseg.store.cohort import Cohort
from napari_confseg.store.problems import StoreError

if TYPE_CHECKING:
    from napari_confseg.store.clip import Clip


def kind_at(location: Location) -> Literal["cohort", "clip"] | None:
    """Return what of ours lies at `location`; None for anything else, other zarr among it.

    Looks at one attribute and validates nothing: opening it says what is wrong with it.
    """
    try:
        attributes = read_node(Keys(open_store(location, read_only=True)), "").get("attributes")
    except (StoreError, OSError, ValueError):
        return None
    ours = attributes.get(NAMESPACE) if isinstance(attributes, dict) else None
    kind = ours.get("kind") if isinstance(ours, dict) else None
    if kind == "cohort":
        return "cohort"
    return "clip" if kind == "clip" else None


def open_clip_at(folder: Location) -> tuple[Cohort, Clip]:
    """Return the clip whose folder is `folder`, and the cohort around it, for reading.

    Raises
    ------
    StoreError
        If the folder above is no cohort, or either breaks the contract.
    """
    path = Path(folder).expanduser().absolute()
    cohort = Cohort.open(path.parent, read_only=True)
    return cohort, cohort.clip(path.name)
