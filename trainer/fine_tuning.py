"""Fine-tuning: a fit that begins with the weights of another run.

Everything of the same shape is taken over as it is. What a network has once for each class, its
outputs, is matched by the classes' names; a class that the other run did not know begins as it
would from scratch. With the weights come the grey values' mean and spread that they were learnt
with and the prevalence that their outputs are added to, so that before its first step the network
marks the classes that it knows exactly as the other run does. Output scaling and raters' biases
begin anew: they follow from the marks that are learnt from.

Rate and length of the schedule are the size's own. Gentler ones were measured and learn less
(``docs/explanation/training.md``); what they are meant to guard against, forgetting, is met by
counting the weights that a fit begins with among those of which the best are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from napari_confseg.job import weights_sha256
from trainer.checkpoint import Base, RunConfig, load_checkpoint, load_config
from trainer.shipped import is_shipped, run_folder
from trainer.targets import RECIPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_confseg.dataset.holdout import HoldOut
    from napari_confseg.methods import Method
    from trainer.heads import Head
    from trainer.network import Segmenter
    from trainer.sources import AnyCohort, Source

_ANEW = (
    "probability_slope",
    "probability_shift",
    "contour_slope",
    "contour_shift",
    "log_scale",
    "bias",
)
"""Parts of a network that follow from the marks; see the module's text."""


@dataclass(frozen=True)
class Start:
    """A run to begin from.

    Attributes
    ----------
    name : str
        As people know it: ``"starter"``, or the name of its folder.
    config : RunConfig
        Its decisions.
    weights : dict of tensor
        Its best.
    sha256 : str
        Of the file that holds them.
    """

    name: str
    config: RunConfig
    weights: dict[str, Tensor]
    sha256: str

    def base(self, classes: Sequence[str], method: Method) -> Base:
        """Return what is recorded of it in a run that learns `classes` by `method`."""
        same = outputs_of(self.config.method) == outputs_of(method)
        matched = set(self.config.classes) if same else set()
        return Base(
            name=self.name,
            sha256=self.sha256,
            cohort_id=self.config.origin.cohort_id,
            taken=tuple(c for c in classes if c in matched),
            fresh=tuple(c for c in classes if c not in matched),
            learnt=tuple(sorted(set(self.config.learnt))),
        )


def read_start(location: str) -> Start:
    """Return the run at `location`, the folder of a run or ``"starter"``.

    Raises
    ------
    TrainError
        If there is no model, or it can't be read.
    """
    folder = run_folder(location)
    config = load_config(folder)
    network, _ = load_checkpoint(folder, config)
    name = location if is_shipped(location) else folder.name
    return Start(name, config, network.state_dict(), weights_sha256(folder))


def outputs_of(method: Method) -> tuple[Head, int]:
    """Return what a network's outputs of a class mean: the head, and how many there are."""
    head = RECIPES[method.name].head
    return head, head.outputs or round(method.settings["n"])


def inherited(split: HoldOut, start: Start, source: AnyCohort, clips: Sequence[Source]) -> HoldOut:
    """Return a drawn hold-out without the patients that the other run has learnt from.

    Who validated there validates here, so that no score is of what the weights have seen. If none
    of them is left the hold-out stays as it is, and :func:`caution` says what that means.
    """
    before = start.config.split
    same = start.config.origin.cohort_id == source.meta.cohort_id
    if not same or split.level != "patient" or before.level != "patient":
        return split
    patient_of = {s.clip.name: s.clip.meta.patient for s in clips}
    part = (*split.train, *split.validation)
    held = {patient_of[c] for c in part if c in before.validation}
    train = tuple(c for c in part if patient_of[c] not in held)
    if not held or not train:
        return split
    return split.model_copy(
        update={
            "train": train,
            "validation": tuple(c for c in part if patient_of[c] in held),
            "validation_patients": tuple(sorted(held)),
        }
    )


def caution(config: RunConfig) -> str:
    """Return why the validation of a run is optimistic by what it began from; empty if it isn't."""
    base, split = config.base, config.split
    if base is None or base.cohort_id != config.origin.cohort_id:
        return ""
    known = len(set(base.learnt) & set(split.validation))
    if not known:
        return ""
    return (
        f"{base.name}, which this run starts from, has learnt from {known} of the "
        f"{len(split.validation)} clips that it is validated on, so its scores look better than "
        "they are."
    )


def in_words(base: Base) -> str:
    """Return what was taken over from where.

    >>> in_words(Base(name="r1", sha256="ab" * 32, cohort_id="", taken=("rib",), fresh=("pleura",)))
    'r1 (abababababab): knows rib; pleura begins anew'
    """
    knows = f"knows {', '.join(base.taken)}" if base.taken else "none of its outputs is taken over"
    many = len(base.fresh) > 1
    anew = f"; {', '.join(base.fresh)} {'begin' if many else 'begins'} anew" if base.fresh else ""
    return f"{base.name} ({base.sha256[:12]}): {knows}{anew}"


@torch.no_grad()
def take_over(network: Segmenter, start: Start, config: RunConfig) -> None:
    """Give `network`, just made for `config`, the weights of another run.

    Parameters
    ----------
    network : Segmenter
        With the statistics of its own samples, which stay for classes that begin anew.
    start : Start
        The other run, of the same channels and residual units.
    config : RunConfig
        Of the run that begins; its `base` says which classes are matched.
    """
    assert config.base is not None
    ours, theirs = list(config.classes), list(start.config.classes)
    _, outputs = outputs_of(config.method)
    rows = [_rows(ours.index(c), outputs) for c in config.base.taken]
    into = torch.tensor([r for row in rows for r in row], dtype=torch.int64)
    rows = [_rows(theirs.index(c), outputs) for c in config.base.taken]
    taken_from = torch.tensor([r for row in rows for r in row], dtype=torch.int64)
    by_class = _class_axes(config)
    for name, mine in network.state_dict().items():
        given = start.weights.get(name)
        if name in _ANEW or given is None:
            continue
        axes = by_class[name]
        if not axes:
            mine.copy_(given)
        elif into.numel():
            _take_classes(mine, given, axes, into, taken_from)


def _rows(index: int, outputs: int) -> range:
    return range(index * outputs, (index + 1) * outputs)


def _take_classes(
    mine: Tensor, given: Tensor, axes: Sequence[int], into: Tensor, taken_from: Tensor
) -> None:
    """Copy what belongs to classes that both know, along the axes that count classes."""
    if len(axes) == 1:
        mine.index_copy_(axes[0], into, given.index_select(axes[0], taken_from))
        return
    # From classes to classes, as in a residual unit: a known one is made of known ones alone.
    out, inputs = axes
    block = mine.index_select(out, into).zero_()
    known = given.index_select(out, taken_from).index_select(inputs, taken_from)
    block.index_copy_(inputs, into, known)
    mine.index_copy_(out, into, block)


def _class_axes(config: RunConfig) -> dict[str, list[int]]:
    """Return the axes of each part of the network that grow with the number of classes."""
    more = config.model_copy(update={"classes": (*config.classes, "one-more")})
    with torch.device("meta"):
        small, large = config.network().state_dict(), more.network().state_dict()
    return {
        name: [i for i, (a, b) in enumerate(zip(t.shape, large[name].shape, strict=True)) if a != b]
        for name, t in small.items()
    }
