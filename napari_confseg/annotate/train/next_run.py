"""What the next run would be, worked out from what the person wants and what there is.

`plan` is a pure function from wish and reality to a frozen state. Where it comes to no request, it
says in one sentence what is missing.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from pydantic import ValidationError

from napari_confseg.job import FitRequest
from napari_confseg.methods import METHODS, Method
from napari_confseg.store import RATER_KINDS, rater_label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_confseg.annotate.train.inventory import Frozen, LabelInventory
    from napari_confseg.store import CohortMeta

SIZES: Final = {
    "study": "A tiny network for trying many methods: seconds on a laptop, and coarse.",
    "quick": "A small network for a first look: minutes on a laptop.",
    "normal": "The full network: best left running, or on a GPU.",
}

FROZEN_TEACHERS: Final = tuple(kind for kind in RATER_KINDS if kind != "truth")
"""Kinds of raters in a dataset that are learnt from unless others are chosen."""


@dataclass(frozen=True)
class Wish:
    """What the person has chosen; None for a choice not made.

    Attributes
    ----------
    dataset : str or None
        Location of a version of a frozen dataset to learn from; the open cohort if None.
    classes, raters : frozenset of str or None
        What to learn, and from whom.
    method : str
        One of :data:`~napari_confseg.methods.METHODS`.
    params : mapping of str to float
        Of methods, by name; those that `method` doesn't take are left aside.
    loss, levels : str or None
        Of :data:`~napari_confseg.methods.LOSSES` and :data:`~napari_confseg.methods.LEVELS`; the
        method's own if None.
    size, device, steps : str, str, int or None
        As in :class:`~napari_confseg.job.FitRequest`. Only scripts ask for a number of steps.
    """

    dataset: str | None = None
    classes: frozenset[str] | None = None
    raters: frozenset[str] | None = None
    method: str = "relative-threshold"
    params: Mapping[str, float] = field(default_factory=dict)
    loss: str | None = None
    levels: str | None = None
    size: Literal["study", "quick", "normal"] = "quick"
    device: str = "auto"
    steps: int | None = None


@dataclass(frozen=True)
class Reality:
    """What there is.

    Attributes
    ----------
    cohort : CohortMeta or None
        The open cohort.
    location : str
        Where it is.
    read_only : bool
        Whether nothing can be written into it.
    learnable : LabelInventory or None
        What it holds to learn from; None while that is being counted.
    frozen : Frozen or None
        The dataset that was wished for; None while it is being counted.
    busy : str
        Name of a run that is at work already; empty if none.
    trainer_problem : str
        Why no trainer can be started here; empty if it can.
    """

    cohort: CohortMeta | None = None
    location: str = ""
    read_only: bool = False
    learnable: LabelInventory | None = None
    frozen: Frozen | None = None
    busy: str = ""
    trainer_problem: str = ""


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
class Plan:
    """What the panel shows of the next run.

    Attributes
    ----------
    classes, raters : tuple of Choice
        What can be ticked, and what is.
    request : FitRequest or None
        What Start would ask for, but for run name and clip on screen; None if it can't start.
    reason : str
        Why it can't, and what to do; empty if it can.
    caution : str
        What to know before starting; empty if nothing.
    counts : str
        What there is to learn from, in words.
    """

    classes: tuple[Choice, ...] = ()
    raters: tuple[Choice, ...] = ()
    request: FitRequest | None = None
    reason: str = ""
    caution: str = ""
    counts: str = ""


def plan(wish: Wish, reality: Reality) -> Plan:
    """Return what the next run would be. Pure.

    Where no choice was made, everything that people have reviewed is learnt from all of them; of a
    frozen dataset, from everybody in it but the truth.
    """
    cohort, learnable, frozen = reality.cohort, reality.learnable, reality.frozen
    if cohort is None:
        return Plan(reason="Open a cohort in the Annotate panel first.")
    if wish.dataset is None:
        frozen = None
    elif frozen is not None:
        learnable = frozen.learnable
        if frozen.problem:
            return Plan(reason=frozen.problem)
    if learnable is None or (wish.dataset and frozen is None):
        return Plan(reason="Counting reviewed frames…")
    specs = frozen.classes if frozen else cohort.classes
    raters = _rater_choices(wish, learnable)
    chosen = [r.name for r in raters if r.chosen]
    frames = learnable.frames_by_class(chosen, len(specs))
    classes = tuple(
        Choice(
            c.name,
            c.label,
            c.color,
            int(n),
            bool(n) and (wish.classes is None or c.name in wish.classes),
        )
        for c, n in zip(specs, frames, strict=True)
    )
    names = tuple(c.name for c in classes if c.chosen)
    method, wrong = _method(wish)
    reason = _reason(reality, raters, classes) or _strange_classes(cohort, names) or wrong
    counts = _frozen_counts(frozen) if frozen else _counts(learnable)
    if reason or method is None:
        return Plan(classes, raters, reason=reason, counts=counts)
    request = FitRequest(
        cohort=reality.location,
        dataset=frozen.location if frozen else None,
        rater="new",
        classes=names,
        raters=tuple(chosen),
        method=method,
        size=wish.size,
        device=wish.device,
        steps=wish.steps,
    )
    indices = [c.index for c in specs if c.name in names]
    cautions = []
    if frozen and frozen.cohort_id != cohort.cohort_id:
        cautions.append(f"{frozen.name} was built from another cohort than the open one.")
    if len(learnable.patients(chosen, indices)) < 2:
        cautions.append(
            "Only one patient is reviewed: the model is checked on the patient it learns from, "
            "so its scores will look better than they are."
        )
    return Plan(classes, raters, request, caution=" ".join(cautions), counts=counts)


def _method(wish: Wish) -> tuple[Method | None, str]:
    takes = METHODS[wish.method].parameters
    params = {name: float(wish.params.get(name, p.default)) for name, p in takes.items()}
    try:
        return Method(name=wish.method, params=params, loss=wish.loss, levels=wish.levels), ""
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        return None, f"{said[0].upper()}{said[1:]}."


def _counts(learnable: LabelInventory) -> str:
    reviewed = {e.clip: e.patient for e in learnable.entries if e.frames.any()}
    if not reviewed:
        n = len(learnable.clips)
        return f"{n} clip{'s' * (n != 1)}, no frame reviewed yet"
    patients = len(set(reviewed.values()))
    return (
        f"{len(reviewed)} of {len(learnable.clips)} clips reviewed, "
        f"{patients} patient{'s' * (patients != 1)}"
    )


def _frozen_counts(frozen: Frozen) -> str:
    patients = len({e.patient for e in frozen.learnable.entries})
    parts = ", ".join(f"{name} {n}" for name, n in frozen.parts)
    return f"{frozen.name}: {patients} patient{'s' * (patients != 1)}, clips by part: {parts}"


def _strange_classes(cohort: CohortMeta, names: tuple[str, ...]) -> str:
    """Return why the model could not mark the open cohort; empty if it could."""
    there = {c.name for c in cohort.classes}
    strange = [n for n in names if n not in there]
    if not strange:
        return ""
    return f"The open cohort has no class {', '.join(strange)}: the model could not mark its clips."


def _rater_choices(wish: Wish, learnable: LabelInventory) -> tuple[Choice, ...]:
    found = learnable.raters()
    # What came from a file is never learnt from unless it is ticked.
    default = {name for name, e in found.items() if e.learnt}
    if wish.dataset is not None:
        default = {name for name, e in found.items() if e.kind in FROZEN_TEACHERS} or set(found)
    chosen = default if wish.raters is None else wish.raters
    titles = {name: rater_label(name, e.label, e.kind) for name, e in found.items()}
    return tuple(
        Choice(name, title, "", learnable.frames_of(name), name in chosen)
        for name, title in titles.items()
    )


def _reason(reality: Reality, raters: tuple[Choice, ...], classes: tuple[Choice, ...]) -> str:
    if reality.trainer_problem:
        return f"{reality.trainer_problem}."
    if reality.read_only:
        return "This cohort can only be read: open a copy that the model may write into."
    if not raters:
        return "Mark frames as reviewed first: there is nothing to learn from yet."
    if not any(r.chosen for r in raters):
        return "Choose at least one rater to learn from."
    if not any(c.chosen for c in classes):
        return "Choose at least one class to learn."
    if reality.busy:
        return f"{reality.busy} is at work: stop it, or wait until it is done."
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
