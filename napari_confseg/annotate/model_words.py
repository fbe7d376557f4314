"""What people call a model: words, where the record has hashes."""

from __future__ import annotations

from napari_confseg.job import STARTER


def model_words(name: str, version: str = "") -> str:
    """Return what people call a model, within a sentence. Pure.

    Parameters
    ----------
    name : str
        Of its run; that of the shipped model is ``starter-1`` and so on.
    version : str
        As of a suggestion: a hash, and ``+n`` if the model learnt from n strokes.
    """
    number = name.removeprefix(f"{STARTER}-")
    words = name
    if name == STARTER:
        words = "the starter model"
    elif number != name and number.isdecimal():
        words = f"the starter model, version {number}"
    strokes = version.partition("+")[2]
    if strokes:
        words += f", taught by {strokes} stroke{'s' * (strokes != '1')}"
    return words
