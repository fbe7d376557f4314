"""Problems of a cohort, and the exception that carries them."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pydantic import ValidationError

    from napari_confseg.extras import Missing


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in one place."""

    code: str
    """Stable, machine-readable name of the kind of problem, e.g. ``"value-range"``."""
    path: str
    """Where, relative to the cohort's root; empty for the cohort itself."""
    message: str
    """What is wrong, in one sentence without its full stop."""
    # By keyword, so that nobody passes the two sides of a comparison in their place.
    _: KW_ONLY
    hint: str = ""
    """What a person can do about it, in whole sentences."""
    expected: str = ""
    """What the contract asks for; empty unless two things are compared."""
    found: str = ""
    """What is there instead; empty unless two things are compared."""

    @classmethod
    def mismatch(cls, code: str, path: str, expected: str, found: str, hint: str = "") -> Self:
        """Return the problem of two things that were compared and differ."""
        message = f"expected {expected}, found {found}"
        return cls(code, path, message, hint=hint, expected=expected, found=found)

    def __str__(self) -> str:
        text = f"{self.path or 'cohort'}: {self.message} [{self.code}]"
        return f"{text}. {self.hint}" if self.hint else text

    def as_dict(self) -> dict[str, str]:
        """Return the problem as plain data, for ``--json``.

        Keys `expected` and `found` are those of comparisons alone.
        """
        fields = asdict(self)
        return fields if self.expected else {k: fields[k] for k in _ALWAYS}


_ALWAYS = ("code", "path", "message", "hint")


class StoreError(Exception):
    """Refusal of the store, built from one or more problems."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        """What is wrong; never empty."""
        super().__init__("\n".join(str(p) for p in self.problems))


def field_problems(
    error: ValidationError, code: str, path: str, hint: str = "", *, within: str = ""
) -> Iterator[Problem]:
    """Yield a problem for each field that breaks its rule.

    Parameters
    ----------
    error : ValidationError
        As raised by a pydantic model.
    code, path, hint : str
        Of each problem.
    within : str, optional
        What the fields belong to, to be named before them.
    """
    for e in error.errors():
        place = ".".join(map(str, (*([within] if within else []), *e["loc"]))) or "as a whole"
        # The input may be a whole file.
        yield Problem(code, path, f"{place}: {e['msg']}, given {e['input']!r:.80}", hint=hint)


def needs_extra(where: str) -> Callable[[Missing], StoreError]:
    """Return what makes an error of a missing optional package; for ``extras.needed_for``."""
    return lambda missing: StoreError(
        Problem("needs-extra", where, missing.sentence, hint=missing.install)
    )


def sentence(error: BaseException) -> str:
    """Return the message of `error` in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
