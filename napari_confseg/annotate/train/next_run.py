"""The next run, worked out from the settings of the form and what there is to learn from.

:func:`next_run` is a pure function from settings and context to a frozen state. Where it comes to
no request, it says in one sentence what is missing.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from pydantic import ValidationError

from napari_confseg.job import STARTER, FitRequest
from napari_confseg.job.scheduler import where_problem
from napari_confseg.methods import DEFAULT, METHODS, Method
from napari_confseg.store import RATER_KINDS, rater_label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_confseg.annotate.train.inventory import FrozenVersion, LabelInventory
    from napari_confseg.store import CohortMeta

SIZES: Final = {
    "study": "A tiny network for trying many methods: seconds on a laptop, and coarse.",
    "quick": "A small network for a first look: minutes on a laptop.",
    "normal": "The full network: best left running, or on a GPU.",
}

WORKER_DEVICES: Final = (("auto", "Automatic"), ("cpu", "CPU"), ("cuda", "GPU"))
"""What a worker may be asked to train on: (device, what people read)."""

FROZEN_TEACHERS: Final = tuple(kind for kind in RATER_KINDS if kind != "truth")
"""Kinds of raters in a dataset that are learnt from unless others are chosen."""


@dataclass(frozen=True)
class RunSettings:
    """Settings of the next run, as in :class:`~napari_confseg.job.FitRequest`.

    `dataset` is None for the open cohort, `base` to start from scratch; `classes`, `raters`, `loss`
    and `levels` are None where no choice was made; `params` may hold parameters of other methods,
    which are left aside. `where` is the address of a dask scheduler, empty for this computer; it
    holds for resuming and predicting too. Only scripts set a number of steps.
    """

    dataset: str | None = None
    base: str | None = None
    classes: frozenset[str] | None = None
    raters: frozenset[str] | None = None
    method: str = DEFAULT
    params: Mapping[str, float] = field(default_factory=dict)
    loss: str | None = None
    levels: str | None = None
    size: Literal["study", "quick", "normal"] = "quick"
    device: str = "auto"
    where: str = ""
    steps: int | None = None


@dataclass(frozen=True)
class StartFrom:
    """A model that the next run may begin with: the shipped one, or a run of the cohort.

    `classes` are those that it knows; empty if that is not known here.
    """

    location: str
    label: str
    classes: tuple[str, ...] = ()


SHIPPED: Final = StartFrom(STARTER, "The starter model")


@dataclass(frozen=True)
class Context:
    """The open cohort, what it holds to learn from, and whether one can train."""

    cohort: CohortMeta | None = None
    location: str = ""
    runs_at: str = ""  # folder that its runs go to, if they can't lie beside it
    read_only: bool = False
    inventory: LabelInventory | None = None  # None while it is being counted
    frozen: FrozenVersion | None = None  # the chosen dataset; None while it is being counted
    bases: tuple[StartFrom, ...] = ()  # what it may start from
    busy: str = ""  # name of a run at work
    trainer_problem: str = ""  # why no trainer can be started here; empty if it can


@dataclass(frozen=True)
class Choice:
    """A box to tick: a class or a rater.

    `frames` is how many frames were reviewed; one without any cannot be chosen.
    """

    name: str
    label: str
    color: str
    frames: int
    chosen: bool


@dataclass(frozen=True)
class NextRun:
    """The next run, as the panel shows it."""

    classes: tuple[Choice, ...] = ()
    raters: tuple[Choice, ...] = ()
    request: FitRequest | None = None  # but for run name and clip on screen; None: can't start
    reason: str = ""  # why it can't start, and what to do
    caution: str = ""  # what to know before starting
    counts: str = ""  # what there is to learn from, in words
    begins: str = ""  # what it takes over from the model that it starts from, in words


def next_run(settings: RunSettings, context: Context) -> NextRun:
    """Return what the next run would be. Pure.

    Where no choice was made, everything that people have reviewed is learnt from all of them; of a
    frozen dataset, from everybody in it but the truth.
    """
    cohort, inventory, frozen = context.cohort, context.inventory, context.frozen
    if cohort is None:
        return NextRun(reason="Open a study folder in the Annotate panel first.")
    if settings.dataset is None:
        frozen = None
    elif frozen is not None:
        inventory = frozen.inventory
        if frozen.problem:
            return NextRun(reason=frozen.problem)
    if inventory is None or (settings.dataset and frozen is None):
        return NextRun(reason="Counting reviewed frames…")
    specs = frozen.classes if frozen else cohort.classes
    raters = _rater_choices(settings, inventory)
    chosen = [r.name for r in raters if r.chosen]
    frames = inventory.frames_by_class(chosen, len(specs))
    classes = tuple(
        Choice(
            c.name,
            c.label,
            c.color,
            int(n),
            bool(n) and (settings.classes is None or c.name in settings.classes),
        )
        for c, n in zip(specs, frames, strict=True)
    )
    names = tuple(c.name for c in classes if c.chosen)
    method, wrong = _method(settings)
    reason = _reason(context, raters, classes) or _unknown_classes(cohort, names) or wrong
    reason = reason or where_problem(settings.where)
    counts = _frozen_counts(frozen) if frozen else _counts(inventory)
    if reason or method is None:
        return NextRun(classes, raters, reason=reason, counts=counts)
    request = FitRequest(
        cohort=context.location,
        dataset=frozen.location if frozen else None,
        rater="new",
        classes=names,
        raters=tuple(chosen),
        method=method,
        base=settings.base,
        # The network is that of the run which it starts from.
        size=None if settings.base else settings.size,
        device=settings.device,
        steps=settings.steps,
    )
    indices = [c.index for c in specs if c.name in names]
    cautions = []
    if frozen and frozen.cohort_id != cohort.cohort_id:
        cautions.append(f"{frozen.name} was built from another cohort than the open one.")
    if len(inventory.patients(chosen, indices)) < 2:
        cautions.append(
            "Only one patient is reviewed: the model is checked on the patient it learns from, "
            "so its scores will look better than they are."
        )
    if settings.where and context.runs_at:
        cautions.append(
            f"Workers must see the runs' folder as this computer does: {context.runs_at}"
        )
    return NextRun(
        classes,
        raters,
        request,
        caution=" ".join(cautions),
        counts=counts,
        begins=_begins(settings.base, context.bases, classes),
    )


def _begins(base: str | None, bases: tuple[StartFrom, ...], classes: tuple[Choice, ...]) -> str:
    """Return what is taken over from the model that is started from; empty from scratch."""
    found = next((b for b in bases if b.location == base), None)
    if found is None:
        return ""
    fresh = [c.label for c in classes if c.chosen and c.name not in found.classes]
    if not found.classes or not fresh:
        return "Its weights are where learning begins, and its size is kept."
    return f"Its weights are where learning begins; it does not know {', '.join(fresh)} yet."


def _method(settings: RunSettings) -> tuple[Method | None, str]:
    takes = METHODS[settings.method].parameters
    params = {name: float(settings.params.get(name, p.default)) for name, p in takes.items()}
    try:
        return Method(
            name=settings.method, params=params, loss=settings.loss, levels=settings.levels
        ), ""
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        return None, f"{said[0].upper()}{said[1:]}."


def _counts(inventory: LabelInventory) -> str:
    reviewed = {e.clip: e.patient for e in inventory.entries if e.frames.any()}
    if not reviewed:
        n = len(inventory.clips)
        return f"{n} clip{'s' * (n != 1)}, no frame reviewed yet"
    patients = len(set(reviewed.values()))
    return (
        f"{len(reviewed)} of {len(inventory.clips)} clips reviewed, "
        f"{patients} patient{'s' * (patients != 1)}"
    )


def _frozen_counts(frozen: FrozenVersion) -> str:
    patients = len({e.patient for e in frozen.inventory.entries})
    parts = ", ".join(f"{name} {n}" for name, n in frozen.parts)
    return f"{frozen.name}: {patients} patient{'s' * (patients != 1)}, clips by part: {parts}"


def _unknown_classes(cohort: CohortMeta, names: tuple[str, ...]) -> str:
    """Return why the model could not mark the open cohort; empty if it could."""
    there = {c.name for c in cohort.classes}
    unknown = [n for n in names if n not in there]
    if not unknown:
        return ""
    return f"The open cohort has no class {', '.join(unknown)}: the model could not mark its clips."


def _rater_choices(settings: RunSettings, inventory: LabelInventory) -> tuple[Choice, ...]:
    found = inventory.raters()
    # What came from a file is never learnt from unless it is ticked.
    default = {name for name, e in found.items() if e.learnt}
    if settings.dataset is not None:
        default = {name for name, e in found.items() if e.kind in FROZEN_TEACHERS} or set(found)
    chosen = default if settings.raters is None else settings.raters
    titles = {name: rater_label(name, e.label, e.kind) for name, e in found.items()}
    return tuple(
        Choice(name, title, "", inventory.frames_of(name), name in chosen)
        for name, title in titles.items()
    )


def _reason(context: Context, raters: tuple[Choice, ...], classes: tuple[Choice, ...]) -> str:
    if context.trainer_problem:
        return f"{context.trainer_problem}."
    if context.read_only:
        return "This cohort can only be read: open a copy that the model may write into."
    if not raters:
        return "Mark frames as reviewed first: there is nothing to learn from yet."
    if not any(r.chosen for r in raters):
        return "Choose at least one rater to learn from."
    if not any(c.chosen for c in classes):
        return "Choose at least one class to learn."
    if context.busy:
        return f"{context.busy} is at work: stop it, or wait until it is done."
    return ""


def find_devices() -> tuple[tuple[str, str], ...]:
    """Return (device, what people read) for what this machine can train on.

    Asks the driver, not torch, which the viewer never imports. Takes up to a few seconds.
    """
    found = [("auto", "Automatic"), ("cpu", f"CPU ({os.cpu_count()} cores)")]
    try:
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index,name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            creationflags=flags,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return tuple(found)
    for line in listed.splitlines():
        index, _, name = line.partition(", ")
        if index.isdigit():
            found.append((f"cuda:{index}", name.strip()))
    return tuple(found)
