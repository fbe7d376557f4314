"""What the trainer refuses, said so that a person can act on it."""

from __future__ import annotations


class TrainError(Exception):
    """The trainer can't go on: the one exception of this door.

    Attributes
    ----------
    error : str
        What is wrong, in one sentence.
    hint : str
        What to do about it.
    """

    def __init__(self, error: str, hint: str = "") -> None:
        self.error, self.hint = error, hint
        super().__init__(f"{error}. {hint}" if hint else error)
