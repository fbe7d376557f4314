"""The error of the trainer."""

from __future__ import annotations


class TrainError(Exception):
    """A request that the trainer can't meet, with a hint.

    Attributes
    ----------
    error : str
        The fault, in one sentence.
    hint : str
        The remedy.
    """

    def __init__(self, error: str, hint: str = "") -> None:
        self.error, self.hint = error, hint
        super().__init__(f"{error}. {hint}" if hint else error)
