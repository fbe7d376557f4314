"""Requests of a run, as ``job.json`` holds them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_confseg.methods import DEFAULT, Method
from napari_confseg.request_fields import setting
from napari_confseg.store.schema import Slug, check_slug

PROBABILITY, EPISTEMIC = "-probability", "-epistemic"
"""Ends of the names of the raters that hold a model's probability beside its contour, and how
much of what several models together doubt is their own disagreement."""

STARTER = "starter"
"""Name by which the model that comes with the package is asked for where a run may be named."""


class Frozen(BaseModel):
    """Part of the protocol: no field unknown, none changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FitRequest(Frozen):
    """Fit a model to a cohort or a frozen dataset."""

    kind: Literal["fit"] = "fit"
    cohort: str | None = setting(
        None,
        "Cohort",
        "folder or s3:// address of the cohort to learn from unless there is a dataset, and where "
        "the clip on screen is marked",
    )
    dataset: str | None = setting(
        None, "Dataset", "folder of a version of a frozen dataset to learn from"
    )
    fold: int | None = setting(
        None,
        "Fold",
        "which fold of the dataset is kept for a test; its parts decide if not given",
        ge=0,
    )
    rater: Slug = setting(..., "Name", "name of the model, as a rater of the cohort")
    classes: tuple[Slug, ...] = setting(..., "Classes", "classes to learn", min_length=1)
    raters: tuple[Slug, ...] = setting(
        (),
        "Learn from",
        "whose marks to learn from; if empty, every reader of a cohort but nothing imported, and "
        "everybody in a dataset",
    )
    method: Method = setting(
        Method(name=DEFAULT),
        "Method",
        "how confidence reaches the model: NAME[:PARAMETER=NUMBER,...][+LOSS][+LEVELS], e.g. soft, "
        "threshold:t=60, soft+semimetric",
    )
    base: str | None = setting(
        None,
        "Start from",
        "begin with the weights of another run (its folder), or of the model that comes with the "
        "package (starter), instead of from scratch; classes are matched by name",
        none="Scratch",
    )
    size: Literal["study", "quick", "normal"] | None = setting(
        None,
        "Size",
        "how large a network and how long a fit; study is for many short ones; quick if not "
        "given, or the size of the run that it starts from",
        choices={"study": "Study", "quick": "Quick", "normal": "Normal"},
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = setting(
        "auto", "Device", "where to train: auto (a GPU if there is one), cpu, cuda or cuda:1"
    )
    seed: int = setting(0, "Seed", "seed of all random numbers", ge=0)
    steps: int | None = setting(
        None, "Steps", "optimiser steps; the size's own number if not given", ge=1
    )
    threads: int = setting(1, "Threads", "CPU threads; 0 leaves it to torch", ge=0)
    compile: bool = setting(False, "Compile", "compile the network, which takes minutes")
    # Later on, RunFolder.preview_clip() says which it is.
    preview_clip: Slug | None = setting(
        None, "Preview on", "clip that the model marks at each improvement"
    )
    held_out: tuple[str, ...] = setting(
        (), "Held out", "patients kept for a test: neither learnt from nor validated on"
    )
    precision: Literal["auto", "fp32", "bf16"] = setting(
        "auto",
        "Precision",
        "precision of the network's arithmetic; auto takes what is fastest here. Name one where "
        "fits on several machines must equal each other",
    )
    dropout: float = setting(
        0,
        "Dropout",
        "share of units dropped in training, e.g. 0.1; for draws of a prediction",
        ge=0,
        lt=1,
    )

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
    """Let a fitted model mark clips of a cohort."""

    kind: Literal["predict"] = "predict"
    run: str = setting(..., "Model", "folder of the run")
    cohort: str = setting(..., "Cohort", "folder or s3:// address of a cohort")
    rater: Slug = setting(..., "Name", "name of the rater to write as")
    clips: tuple[Slug, ...] = setting((), "Clips", "clips of the cohort; all if empty")
    members: tuple[str, ...] = setting(
        (),
        "Members",
        "more runs: the mean over all is written, and as <rater>-epistemic how much of the doubt "
        "is the models' own disagreement, which is high on what they have not seen",
    )
    draws: int = setting(
        0,
        "Draws",
        "passes of each model with units dropped at random, which serve as members do",
        ge=0,
        le=100,
    )
    replace: bool = setting(
        False,
        "Replace",
        "overwrite what another run marked under that name; else it is refused",
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = setting(
        "auto", "Device", "where to compute: auto (a GPU if there is one), cpu, cuda or cuda:1"
    )
    threads: int = setting(1, "Threads", "CPU threads; 0 leaves it to torch", ge=0)

    @property
    def maps(self) -> tuple[str, ...]:
        """Ends of the names of the raters that are written beside `rater`."""
        return (EPISTEMIC,) if self.members or self.draws else ()

    @model_validator(mode="after")
    def _room_for_the_maps(self) -> Self:
        for end in (PROBABILITY, *self.maps):
            check_slug(self.rater + end)
        return self


Request = Annotated[FitRequest | PredictRequest, Field(discriminator="kind")]
