"""Strokes: what the record says of each edit, beside its pixels."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_confseg.store.schema import Confidence, Moment, Slug, Strict

Coordinate = Annotated[int, Field(ge=0)]


Verdict = Literal["begin", "accept", "mean", "reject", "correct"]


class DecidedRegion(Strict):
    """A region of one frame that was decided: a pixel (y, x) of it, and the box around it."""

    frame: Coordinate
    anchor: tuple[Coordinate, Coordinate]
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]

    @model_validator(mode="after")
    def _anchored(self) -> Self:
        (y, x), (y0, x0, y1, x1) = self.anchor, self.box
        if not (y0 <= y < y1 and x0 <= x < x1):
            raise ValueError(f"anchor {self.anchor} must lie in box {self.box}")
        return self


class Decision(Strict):
    """What an adjudicator decided where raters differ; the stroke says when and of which class.

    Attributes
    ----------
    verdict : str
        ``"begin"`` copies what all agree on; of a disagreement, ``"accept"`` takes one rater's
        confidences, ``"mean"`` everybody's mean, ``"reject"`` says that nothing is there, and
        ``"correct"`` that it was painted by hand.
    by : str
        Who decided, as people read it.
    raters : tuple of str
        Whose planes were compared.
    source : str or None
        The rater that was accepted; None for all other verdicts.
    threshold, narrowest : int
        From which confidence on a rater counted as saying yes, and the least width in pixels of a
        region that was asked about.
    regions : tuple of DecidedRegion
        What it is about; none for ``"begin"``.
    """

    verdict: Verdict
    by: str = Field(min_length=1, max_length=80)
    raters: tuple[Slug, ...] = Field(min_length=2)
    source: Slug | None = None
    threshold: Confidence
    narrowest: int = Field(ge=1, le=64)
    regions: tuple[DecidedRegion, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.verdict == "accept") is not (self.source is not None):
            raise ValueError(f"verdict {self.verdict!r} with source {self.source!r}")
        if self.source is not None and self.source not in self.raters:
            raise ValueError(f"source {self.source!r} is none of the raters {self.raters}")
        if (self.verdict == "begin") is not (not self.regions):
            raise ValueError(f"verdict {self.verdict!r} with {len(self.regions)} regions")
        return self


class Acceptance(Strict):
    """Whose marks an edit took over, and how.

    Attributes
    ----------
    source : str
        The rater.
    version : str
        Which version of it, e.g. the name of a model's run; empty where there are no versions.
    threshold : int
        From which of its confidences on, 1..100 percent.
    own_confidence : bool
        Whether its own confidences were taken, or one that the person chose.
    part : {"whole", "rest", "region"}
        All that it marks from the threshold on; what the person had not painted over or taken
        before; one connected region.
    """

    source: Slug
    version: str = Field(default="", max_length=200)
    threshold: Confidence
    own_confidence: bool
    part: Literal["whole", "rest", "region"] = "whole"


class Carrying(Strict):
    """How well the picture matched on the way of a propagation.

    Attributes
    ----------
    matches : tuple of (frame, percent)
        Each frame that was carried to, in order, and how well the picture there matches that of
        the painted frame where something was marked; 100 is the same.
    lost : int or None
        The frame, last of `matches`, on which nothing was left of what was carried; None if it
        went as far as it was to.
    """

    matches: tuple[tuple[Coordinate, Annotated[int, Field(ge=0, le=100)]], ...] = Field(
        min_length=1
    )
    lost: Coordinate | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.lost is not None and self.matches[-1][0] != self.lost:
            raise ValueError(f"lost on frame {self.lost}, but the last is {self.matches[-1][0]}")
        return self


class Stroke(Strict):
    """One edit of a rater on planes or status.

    Attributes
    ----------
    seq : int
        Order within the rater, from 1, without gaps.
    time : datetime
        When it was made, with time zone. For people: order is by `seq`.
    class_index, frame : int
        What it marked.
    confidence : int
        0 erases; 1..100 percent; 255 excludes.
    tool : str
        ``"brush"``, ``"polygon"``, ``"fill"``, ``"erase"``, ``"accept"``, ...; ``"status"`` for a
        change of status alone, whose new value is `status`.
    box : tuple of int
        (y0, x0, y1, x1), half open, around the changed pixels; zeros if none.
    pixels : int
        How many pixels changed.
    status : int or None
        New status of (frame, class), if the edit changed it.
    also : tuple of (frame, class index, status)
        Every further status that the same edit changed.
    decision : Decision or None
        What the edit decided, if it is one of an adjudicator.
    accepted : Acceptance or None
        Whose marks it took over, if it took some.
    planes : tuple of (frame, class index)
        Every plane that the edit changed, where that is not (frame, class_index) alone: a
        propagation, a paste of several classes.
    carrying : Carrying or None
        How well the picture matched, if it is a propagation.
    undone : bool
        Whether it stands undone now.
    """

    seq: int = Field(ge=1)
    time: Moment
    class_index: int = Field(ge=0, lt=64)
    frame: Coordinate
    confidence: int = Field(ge=0, le=255)
    tool: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,31}$")]
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] = (0, 0, 0, 0)
    pixels: int = Field(default=0, ge=0)
    status: Annotated[int, Field(ge=0, le=2)] | None = None
    also: tuple[
        tuple[Coordinate, Annotated[int, Field(ge=0, lt=64)], Annotated[int, Field(ge=0, le=2)]],
        ...,
    ] = ()
    decision: Decision | None = None
    accepted: Acceptance | None = None
    planes: tuple[tuple[Coordinate, Annotated[int, Field(ge=0, lt=64)]], ...] = ()
    carrying: Carrying | None = None
    undone: bool = False

    def numbered(self, seq: int) -> Stroke:
        """Return the stroke, standing, with the number `seq`; itself if it is so already."""
        if self.seq == seq and not self.undone:
            return self
        return self.model_copy(update={"seq": seq, "undone": False})

    @property
    def touched(self) -> tuple[tuple[int, int], ...]:
        """Every (frame, class index) whose plane the edit changed."""
        return self.planes or (((self.frame, self.class_index),) if self.pixels else ())

    @property
    def concerned(self) -> set[tuple[int, int]]:
        """Every (frame, class index) whose plane or status the edit changed."""
        found = {*self.touched, *((frame, c) for frame, c, _ in self.also)}
        return found if self.status is None else found | {(self.frame, self.class_index)}
