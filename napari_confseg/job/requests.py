"""What a run may be asked for: ``job.json``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_confseg.methods import Method
from napari_confseg.store.schema import Slug, check_slug

ALEATORIC, EPISTEMIC = "-aleatoric", "-epistemic"
"""Ends of the names of the raters that hold what several models together don't know."""


class Frozen(BaseModel):
    """Part of the protocol: no field unknown, none changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FitRequest(Frozen):
    """Fit a model to a cohort or a frozen dataset.

    Attributes
    ----------
    cohort : str or None
        Location of the cohort: learnt from unless there is a dataset, and where the clip on screen
        is marked.
    dataset : str or None
        Location of a version of a frozen dataset, to learn from.
    fold : int or None
        Which fold of the dataset is kept for a test; its parts decide if None.
    rater : str
        Slug under which the model's planes appear in the cohort.
    classes : tuple of str
        Classes to learn.
    raters : tuple of str
        Whose planes to learn from; empty means every reader of a cohort, but nothing imported, and
        everybody in a dataset.
    method : Method
        How confidence reaches the model, e.g. ``threshold`` with ``{"t": 60}``, or ``soft``.
    size : {"study", "quick", "normal"}
        How large a network and how long a fit; ``"study"`` is for many short ones.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    steps : int or None
        Optimiser steps; the size's own number if None.
    preview_clip : str or None
        The clip on screen at the start: on each improvement the model's planes for it are
        written. :meth:`RunFolder.preview_clip` says which it is later on.
    held_out : tuple of str
        Patients kept for a test: neither learnt from nor validated on.
    precision : {"auto", "fp32", "bf16"}
        ``"auto"`` takes what is fastest here; name one where runs must equal each other.
    """

    kind: Literal["fit"] = "fit"
    cohort: str | None = None
    dataset: str | None = None
    fold: int | None = Field(default=None, ge=0)
    rater: Slug
    classes: tuple[Slug, ...] = Field(min_length=1)
    raters: tuple[Slug, ...] = ()
    method: Method = Method(name="relative-threshold")
    size: Literal["study", "quick", "normal"] = "quick"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    seed: int = Field(default=0, ge=0)
    steps: int | None = Field(default=None, ge=1)
    threads: int = Field(default=1, ge=0, description="torch CPU threads; 0 leaves it to torch")
    compile: bool = False
    preview_clip: Slug | None = None
    held_out: tuple[str, ...] = ()
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    dropout: float = Field(default=0, ge=0, lt=1, description="share of units dropped in training")

    @property
    def source(self) -> str:
        """Location of what is learnt from."""
        location = self.dataset or self.cohort
        assert location is not None  # validated
        return location

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.dataset and not self.cohort:
            raise ValueError("name a cohort or a dataset to learn from")
        if self.fold is not None and not self.dataset:
            raise ValueError("only a frozen dataset has folds")
        if self.preview_clip and not self.cohort:
            raise ValueError("a frozen dataset can't be marked: leave the clip to preview out")
        return self


class PredictRequest(Frozen):
    """Let a fitted model mark clips of a cohort.

    Attributes
    ----------
    run, cohort : str
        The model, and where to mark.
    rater : str
        Slug to write as.
    clips : tuple of str
        Which clips; empty means all.
    members : tuple of str
        More runs: the mean over all is written, and as ``<rater>-aleatoric`` and
        ``<rater>-epistemic`` what readers disagree about and what the models have not seen.
    draws : int
        Passes of each model with units dropped at random, which serve as members do.
    replace : bool
        Overwrite what another run marked under that name; else it is refused.
    """

    kind: Literal["predict"] = "predict"
    run: str
    cohort: str
    rater: Slug
    clips: tuple[Slug, ...] = ()
    members: tuple[str, ...] = ()
    draws: int = Field(default=0, ge=0, le=100)
    replace: bool = False
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    threads: int = Field(default=1, ge=0)

    @property
    def maps(self) -> tuple[str, ...]:
        """Ends of the names of the raters that are written beside `rater`."""
        return (ALEATORIC, EPISTEMIC) if self.members or self.draws else ()

    @model_validator(mode="after")
    def _room_for_the_maps(self) -> Self:
        for end in self.maps:
            check_slug(self.rater + end)
        return self


Request = Annotated[FitRequest | PredictRequest, Field(discriminator="kind")]
