"""Blinding: who may see whose marks on the open clip.

A rule that is kept, not a lock: who can read the files can read them. So what was seen although
the cohort blinds is noted with the reader (:class:`~napari_confseg.store.Unblinded`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal
from pydantic import ValidationError

from napari_confseg.annotate.review_progress import reviewed_frames
from napari_confseg.store import RATER_KINDS, Unblinded, kind_rank, rater_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_confseg.annotate.clip_editor import ClipEditor
    from napari_confseg.annotate.clip_notes import NotesEditor
    from napari_confseg.store import Clip, Cohort, RaterKind
    from napari_confseg.store.schema import Blinding


class BlindedError(ValueError):
    """Somebody may not be shown; the text gives the reason."""


class Role(StrEnum):
    """What a person is here for."""

    READER = "reader"
    REVIEWER = "reviewer"


@dataclass(frozen=True)
class Visibility:
    """Which raters a person may see on one clip."""

    rule: Blinding = "none"  # the cohort's
    role: Role = Role.READER  # a reviewer sees all
    complete: bool = False  # every frame is reviewed by them in every class
    unblinded: bool = False  # they were shown others on this clip before
    in_exercise: bool = False  # a calibration exercise: nobody is shown, whatever the rule

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
                "every class: this study is read blinded."
            )
        return "Other raters are hidden: this study is read blinded. A reviewer can show them."


class Access:
    """Who may be seen on the open clip, by the cohort's rule and the person's role.

    Parameters
    ----------
    editor : ClipEditor
        Knows whether the clip is reviewed completely.
    notes : NotesEditor
        Where it is noted that the reader was shown others.
    person : callable
        Returns the person's name, for those notes.
    """

    changed: ClassVar[Signal] = Signal()
    """The role, the cohort's rule or a calibration exercise changed who may be seen."""
    refused: ClassVar[Signal] = Signal(str)
    """Something was refused; emitted with the reason."""

    def __init__(
        self, editor: ClipEditor, notes: NotesEditor, person: Callable[[], str] = lambda: ""
    ) -> None:
        self.cohort: Cohort | None = None
        """Whose rule holds; whoever opens another one sets it."""
        self._editor = editor
        self._notes = notes
        self._person = person
        self._role = Role.READER
        self._in_exercise = False

    # ---- who may see whom -----------------------------------------------------------------

    @property
    def role(self) -> Role:
        """What the person is here for."""
        return self._role

    def set_role(self, role: Role) -> None:
        """Be here as a reader or as a reviewer from now on."""
        if role is not self._role:
            self._role = role
            self.changed.emit()

    @property
    def in_exercise(self) -> bool:
        """Whether a calibration exercise is under way."""
        return self._in_exercise

    def begin_exercise(self, on: bool = True) -> None:
        """Hide everybody else while a calibration exercise is under way, or no longer."""
        if on != self._in_exercise:
            self._in_exercise = on
            self.changed.emit()

    @property
    def rule(self) -> Blinding:
        """The cohort's rule; ``"none"`` if none is open."""
        return self.cohort.meta.blinding if self.cohort else "none"

    def set_rule(self, rule: Blinding) -> None:
        """Set whether the cohort's readers see each other; by whom and when is in the cohort.

        Raises
        ------
        ValueError
            If no cohort is open.
        StoreError, OSError
            If it cannot be written.
        """
        if self.cohort is None:
            raise ValueError("open a cohort before setting who may see whom in it")
        self.cohort.update_meta(blinding=rule, by=self._person())
        self.changed.emit()

    def visibility(self) -> Visibility:
        """Return whom the person may see on the open clip."""
        status = self._editor.status
        return Visibility(
            rule=self.rule,
            role=self._role,
            complete=bool(status.size) and bool(reviewed_frames(status).all()),
            unblinded=self._notes.current.unblinded is not None,
            in_exercise=self._in_exercise,
        )

    def cohort_visibility(self) -> Visibility:
        """Return whom the person may see throughout the cohort, whatever the open clip allows."""
        return Visibility(self.rule, self._role, in_exercise=self._in_exercise)

    def others(self, clip: Clip, rater: str) -> list[tuple[str, str]]:
        """Return (slug, title in lists) of others on `clip`, the open one, that `rater` may see."""
        seen = self.visibility()
        metas = [(name, clip.rater(name).meta) for name in clip.raters() if name != rater]
        metas.sort(key=lambda named: (kind_rank(named[1].kind), named[0]))
        return [
            (name, rater_label(name, meta.label, meta.kind))
            for name, meta in metas
            if seen.sees(meta.kind)
        ]

    def _read_rule(self) -> None:
        """Take the cohort's rule as it is now; its other metadata wait for the follower."""
        if self.cohort is None:
            return
        rule = self.cohort.read_meta().blinding
        if rule != self.rule:
            self.cohort.meta = self.cohort.meta.model_copy(update={"blinding": rule})
            self.changed.emit()

    # ---- what was seen --------------------------------------------------------------------

    def admit(self, kind: RaterKind) -> None:
        """Allow raters of `kind` to be shown on the open clip; noted where the cohort blinds.

        The cohort's rule is read anew: somebody may have set it since.

        Raises
        ------
        BlindedError
            If the person may not see them (yet).
        StoreError
            If the rule cannot be read.
        """
        self._read_rule()
        seen = self.visibility()
        if not seen.sees(kind):
            raise BlindedError(seen.why())
        blinds = not Visibility(seen.rule).sees(kind)
        if blinds and not seen.unblinded and self._editor.writable:
            self._note("complete" if seen.complete else "reviewer", self._person())

    def unblind(self, by: str) -> bool:
        """Let the reader see the others on this clip, as the reviewer `by` allows; noted.

        Returns
        -------
        bool
            False if it is refused.
        """
        return self._note("allowed", by)

    def _note(self, why: str, by: str) -> bool:
        noted = {"at": datetime.now(UTC), "by": by.strip(), "why": why}
        try:
            return self._notes.update(unblinded=Unblinded.model_validate(noted))
        except ValidationError:
            self.refused.emit(
                "Enter who lets the reader see the others: a name of 1 to 80 letters."
            )
            return False
