"""Problems of a cohort, and the exception that carries them."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, asdict, dataclass, fields
from itertools import islice
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pydantic import ValidationError

    from napari_confseg.extras import Missing

MOST_PROBLEMS = 100
"""Problems of one kind and place that are told one by one; of more, how many there are."""
_LONGEST = 2000  # characters of what a problem says: what is found may be a whole file

# C0 and C1 but for tab and line feed; marks that turn the direction of text; halves of surrogate
# pairs, by which Python keeps bytes of a file name that are no UTF-8.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SECRET = re.compile(r"(?<=://)[^/?#\s]*@")


def printable(text: str) -> str:
    r"""Return `text` with control characters spelt out, as a terminal or page may show it.

    >>> print(printable("a\x1b[31mb"))
    a\x1b[31mb
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def without_secrets(text: str) -> str:
    """Return `text` without names and passwords in the addresses that it holds.

    >>> without_secrets("no answer from http://ann:secret@minio:9000/")
    'no answer from http://...@minio:9000/'
    """
    return _SECRET.sub("...@", text)


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

    def __post_init__(self) -> None:
        for field in fields(self):
            text = getattr(self, field.name)
            if "@" in text or len(text) > _LONGEST:
                text = without_secrets(text)
                shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
                object.__setattr__(self, field.name, shown)

    @classmethod
    def mismatch(cls, code: str, path: str, expected: str, found: str, hint: str = "") -> Self:
        """Return the problem of two things that were compared and differ.

        Parameters
        ----------
        code, path : str
            Kind of problem, and where.
        expected, found : str
            What the contract asks for, and what is there instead.
        hint : str
            What a person can do about it.
        """
        message = f"expected {expected}, found {found}"
        return cls(code, path, message, hint=hint, expected=expected, found=found)

    def __str__(self) -> str:
        text = f"{self.path or 'cohort'}: {self.message} [{self.code}]"
        return printable(f"{text}. {self.hint}" if self.hint else text)

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
        told = [str(p) for p in islice(self.problems, MOST_PROBLEMS)]
        if len(self.problems) > MOST_PROBLEMS:
            told.append(f"and {len(self.problems) - MOST_PROBLEMS:,} more problems")
        super().__init__("\n".join(told))


def field_problems(
    error: ValidationError, code: str, path: str, hint: str = "", *, within: str = ""
) -> Iterator[Problem]:
    """Yield a problem for each field that breaks its rule; of very many, for the first.

    Parameters
    ----------
    error : ValidationError
        As raised by a pydantic model.
    code, path, hint : str
        Of each problem.
    within : str, optional
        What the fields belong to, to be named before them.
    """
    for e in error.errors(include_url=False)[:MOST_PROBLEMS]:
        place = ".".join(map(str, (*([within] if within else []), *e["loc"]))) or "as a whole"
        # Keys and input may be as long as the file.
        yield Problem(
            code, path, f"{place:.120}: {e['msg']:.200}, given {e['input']!r:.80}", hint=hint
        )
    if (count := error.error_count()) > MOST_PROBLEMS:
        left = f"{within or 'the whole'}: {count - MOST_PROBLEMS:,} more fields break their rules"
        yield Problem(code, path, left, hint=hint)


def needs_extra(where: str) -> Callable[[Missing], StoreError]:
    """Return what makes an error of a missing optional package; for ``extras.needed_for``."""
    return lambda missing: StoreError(
        Problem("needs-extra", where, missing.sentence, hint=missing.install)
    )


def sentence(error: BaseException) -> str:
    """Return the message of `error` in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = without_secrets(str(error).strip()) or type(error).__name__
    return printable(text.splitlines()[0][:200])
