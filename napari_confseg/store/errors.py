"""What can be wrong with a cohort, said so that a person can act on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_confseg.extras import Missing


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in one place.

    Attributes
    ----------
    code : str
        Stable, machine-readable name of the kind of problem, e.g. ``"value-range"``.
    path : str
        Where, relative to the cohort's root; empty for the cohort itself.
    expected, found : str
        What the contract asks for, and what is there; where nothing is compared, `expected` is
        empty and `found` a sentence.
    hint : str
        What a person can do about it.
    """

    code: str
    path: str
    expected: str
    found: str
    hint: str = ""

    def __str__(self) -> str:
        where = self.path or "cohort"
        what = f"expected {self.expected}, found {self.found}" if self.expected else self.found
        text = f"{where}: {what} [{self.code}]"
        return f"{text}. {self.hint}" if self.hint else text

    def as_dict(self) -> dict[str, str]:
        """Return the problem as plain data, for ``--json``."""
        return asdict(self)


class StoreError(Exception):
    """The store refuses: the one exception of this door, built from its problems.

    Attributes
    ----------
    problems : tuple of Problem
        Never empty.
    """

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


def needs_extra(where: str) -> Callable[[Missing], StoreError]:
    """Return what makes an error of a missing optional package; for ``extras.needed_for``."""
    return lambda missing: StoreError(
        Problem("needs-extra", where, "", missing.sentence, missing.install)
    )


def sentence(error: BaseException) -> str:
    """Return in one line what `error` says."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
