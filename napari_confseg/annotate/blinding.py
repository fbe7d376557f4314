"""Who may see whose marks: the cohort's rule, the role a person is in, and how far they are.

A rule that is kept, not a lock: who can read the files can read them. So what was seen although
the cohort blinds is noted with the reader (:class:`~napari_confseg.store.Unblinded`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from napari_confseg.store import RATER_KINDS

if TYPE_CHECKING:
    from napari_confseg.store import RaterKind
    from napari_confseg.store.schema import Blinding


class BlindedError(ValueError):
    """Somebody may not be shown; the text says why."""


class Role(StrEnum):
    """What a person is here for."""

    READER = "reader"
    REVIEWER = "reviewer"


@dataclass(frozen=True)
class Standing:
    """Where a person stands with one clip.

    Attributes
    ----------
    rule : str
        The cohort's: ``"none"``, ``"until-reviewed"`` or ``"always"``.
    role : Role
        What the person is here for; a reviewer sees all.
    complete : bool
        Whether every frame is reviewed by them in every class.
    unblinded : bool
        Whether they were shown others on this clip before.
    in_exercise : bool
        Whether a calibration exercise is under way: then nobody is shown, whatever the rule.
    """

    rule: Blinding = "none"
    role: Role = Role.READER
    complete: bool = False
    unblinded: bool = False
    in_exercise: bool = False

    @property
    def blinded(self) -> bool:
        """Whether some other raters are hidden."""
        if self.in_exercise:
            return True
        if self.rule == "none" or self.role is Role.REVIEWER or self.unblinded:
            return False
        return not (self.rule == "until-reviewed" and self.complete)

    def sees(self, kind: RaterKind) -> bool:
        """Whether raters of `kind` may be shown.

        Humans, what was made of them (consensus) and the truth are hidden from who is blinded.
        Models are shown until the rule is ``"always"``: whether a model helps is another question
        than whether the first reader does, unless it learnt from that reader on this clip.
        """
        if self.in_exercise:
            return False
        return not self.blinded or (RATER_KINDS[kind].seen_early and self.rule == "until-reviewed")

    def why(self) -> str:
        """Return in a sentence why others are hidden; empty if they are not."""
        if not self.blinded:
            return ""
        if self.in_exercise:
            return "Others are hidden while a calibration exercise is under way."
        if self.rule == "until-reviewed":
            return (
                "Other readers are hidden until you have reviewed every frame of this clip in "
                "every class: this cohort is read blinded."
            )
        return "Other raters are hidden: this cohort is read blinded. A reviewer can show them."
