"""Table of training methods: how confidence reaches the model.

Panel and trainer both read this table; the formulas are the trainer's (``trainer/targets.py``,
``trainer/losses.py``, ``trainer/heads.py``, ``trainer/output_scaling.py``), which a test holds to
it. A method is a target (what is to be learnt from a confidence), a loss (how to measure what is
missing) and levels (which percent is written in the end); each has its own of the latter two, and
any other can be asked for: ``threshold:t=60+semimetric+overlap``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, model_validator

from napari_confseg.store.schema import Slug


@dataclass(frozen=True)
class Parameter:
    """A number that a person may set.

    Attributes
    ----------
    default, low, high : float
        Its value if nothing is said, and between what it must lie.
    label : str
        What it is, in few words.
    unit : str
        ``"%"`` for a confidence; else empty.
    """

    default: float
    low: float
    high: float
    label: str
    unit: str = ""


@dataclass(frozen=True)
class MethodInfo:
    """What is to be known of a method without computing with it.

    Attributes
    ----------
    purpose : str
        What it does, in one sentence; ``{t}`` and the like stand for its parameters.
    loss, levels : str
        Keys of :data:`LOSSES` and :data:`LEVELS` that it comes with.
    parameters : dict of str to Parameter
        What it takes.
    """

    purpose: str
    loss: str = "cross-entropy-dice"
    levels: str = "stated"
    parameters: dict[str, Parameter] = field(default_factory=dict)


_T = Parameter(60, 1, 100, "Present from", "%")

METHODS: Final[dict[str, MethodInfo]] = {
    "relative-threshold": MethodInfo(
        "Cut at {t} % of each rater's highest confidence; a contour and a probability come out.",
        levels="overlap",
        parameters={"t": Parameter(50, 1, 100, "Present from", "%")},
    ),
    "threshold": MethodInfo(
        "Marks of at least {t} % count as present, all else as absent.",
        parameters={"t": _T},
    ),
    "soft": MethodInfo("The confidence itself is the target: 60 % painted is 60 % to be learnt."),
    "weighted": MethodInfo("Every mark counts as present, weighted by its confidence."),
    "ignore-band": MethodInfo(
        "Present from {high} %, absent below {low} %, ignored in between.",
        parameters={
            "low": Parameter(30, 1, 100, "Absent below", "%"),
            "high": Parameter(70, 1, 100, "Present from", "%"),
        },
    ),
    "regression": MethodInfo(
        "The confidence is regressed, with a loss made for soft edges (SoftSeg).",
        loss="adaptive-wing",
    ),
    "semimetric": MethodInfo(
        "The confidence is the target, soft Dice alone the loss, in a form for soft labels.",
        loss="semimetric",
    ),
    "smoothed": MethodInfo(
        "Cut at {t} %, then every edge smoothed alike: soft labels without confidences.",
        parameters={"t": _T},
    ),
    "sampled": MethodInfo(
        "Each finding is sampled at each step, present with its confidence as probability."
    ),
    "ordinal": MethodInfo(
        "{n} thresholds at once in one network, consistent with one another.",
        parameters={"n": Parameter(5, 2, 20, "Thresholds")},
    ),
    "heteroscedastic": MethodInfo(
        "The confidence is the target, and the network learns the noise at each pixel."
    ),
    "raters": MethodInfo("Learns each rater's bias and scale and removes them."),
    "calibrated": MethodInfo(
        "First estimates what each rater's confidence is worth, then learns from that."
    ),
}
"""Name of each method, and what is known of it without computing; the default comes first."""

DEFAULT: Final = next(iter(METHODS))

LOSSES: Final[dict[str, str]] = {
    "cross-entropy-dice": "Cross-entropy plus soft Dice in its semimetric form",
    "cross-entropy": "Cross-entropy alone: calibrated pixel by pixel",
    "semimetric": "Soft Dice alone, in the form that is best at the soft label itself",
    "product-dice": "Cross-entropy plus the usual soft Dice, which asks for extremes",
    "adaptive-wing": "Adaptive wing, a regression loss (SoftSeg)",
}
"""Name of each loss, and what it is."""

LEVELS: Final[dict[str, str]] = {
    "stated": "One output: the probability as it was learnt",
    "overlap": "Two outputs: a contour, at 50 % where the best overlap is expected, and a "
    "probability that is calibrated on held-out frames",
}
"""Name of each way from what was learnt to the percents that are written, and what it does."""


class Method(BaseModel):
    """A method as somebody asks for it.

    Attributes
    ----------
    name : str
        One of :data:`METHODS`.
    params : dict of str to float
        What differs from the defaults.
    loss : str or None
        One of :data:`LOSSES`; the method's own if None.
    levels : str or None
        One of :data:`LEVELS`; the method's own if None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Slug
    params: dict[str, float] = {}
    loss: Slug | None = None
    levels: Slug | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.name not in METHODS:
            raise ValueError(f"there is no method {self.name!r}; use {', '.join(METHODS)}")
        if self.loss is not None and self.loss not in LOSSES:
            raise ValueError(f"there is no loss {self.loss!r}; use {', '.join(LOSSES)}")
        if self.levels is not None and self.levels not in LEVELS:
            raise ValueError(f"there are no levels {self.levels!r}; use {', '.join(LEVELS)}")
        takes = self.about.parameters
        for name, value in self.params.items():
            if name not in takes:
                raise ValueError(
                    f"method {self.name!r} has no parameter {name!r}; it takes "
                    f"{', '.join(takes) or 'none'}"
                )
            if not takes[name].low <= value <= takes[name].high:
                raise ValueError(
                    f"{name} of method {self.name!r} is {value:g}; use "
                    f"{takes[name].low:g} to {takes[name].high:g}"
                )
        if (values := self.settings).get("low", 0) > values.get("high", 100):
            raise ValueError(
                f"method {self.name!r} has its low above its high: "
                f"{values['low']:g} and {values['high']:g}"
            )
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``NAME[:PARAMETER=NUMBER,...][+LOSS][+LEVELS]``; else a ValueError."""
        what, *more = text.split("+")
        name, _, rest = what.partition(":")
        params: dict[str, float] = {}
        for part in filter(None, rest.split(",")):
            key, _, value = part.partition("=")
            try:
                params[key.strip()] = float(value)
            except ValueError as error:
                raise ValueError(
                    f"method {text!r} can't be read; write e.g. threshold:t=60 or soft+semimetric"
                ) from error
        asked: dict[str, str] = {}
        for word in more:
            kind = "levels" if word in LEVELS else "loss"
            if kind in asked:
                raise ValueError(f"method {text!r} asks for {asked[kind]} and for {word}")
            asked[kind] = word
        return cls(name=name, params=params, **asked)

    @property
    def about(self) -> MethodInfo:
        """What is to be known of it."""
        return METHODS[self.name]

    @property
    def written_as(self) -> str:
        """Key of :data:`LEVELS`: what was asked for, or the method's own."""
        return self.levels or self.about.levels

    @property
    def settings(self) -> dict[str, float]:
        """Every parameter's value."""
        return {k: self.params.get(k, p.default) for k, p in self.about.parameters.items()}

    def __str__(self) -> str:
        inner = ", ".join(f"{k}={v:g}" for k, v in self.settings.items())
        named = self.name + (f"({inner})" if inner else "")
        return " + ".join([named, *filter(None, (self.loss, self.levels))])
