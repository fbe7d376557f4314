"""XML files of others, read within bounds: no document types, thus no entities; not too much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from napari_confseg.store import Problem, StoreError
from napari_confseg.store.files import MIB, open_file

if TYPE_CHECKING:
    from pathlib import Path

MAX_XML_BYTES: Final = 256 * MIB
_MOST_ELEMENTS = 1_000_000
_DEEPEST = 40


class _Refused(Exception):  # noqa: N818, what it becomes is an error
    """The file holds what none of its kind needs."""


class _Bounded:
    """Builds a tree from what the parser meets, and counts along."""

    def __init__(self) -> None:
        self._tree = TreeBuilder()
        self._elements = self._depth = 0

    def parser(self) -> expat.XMLParserType:
        """Return a parser that calls this object."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._tree.data
        parser.StartDoctypeDeclHandler = self._document_type
        return parser

    def root(self) -> Element:
        """Return the element that holds all others."""
        return self._tree.close()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        self._depth += 1
        if self._elements > _MOST_ELEMENTS or self._depth > _DEEPEST:
            raise _Refused(
                f"it has more than {_MOST_ELEMENTS:,} elements, or they are nested more than "
                f"{_DEEPEST} deep"
            )
        self._tree.start(name, attributes)

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._tree.end(name)

    def _document_type(self, *_: object) -> None:
        # Entities, by which a short file stands for gigabytes or names another file, need one.
        raise _Refused("it declares a document type")


def read_xml(path: Path) -> Element:
    """Return the root of an XML file of at most :data:`MAX_XML_BYTES`.

    Raises
    ------
    StoreError
        As :func:`~napari_confseg.store.files.check_file`, and ``xml`` if it is none, declares a
        document type, or holds very many elements.
    """
    bounded = _Bounded()
    try:
        with open_file(path, MAX_XML_BYTES) as file:
            bounded.parser().ParseFile(file)
        return bounded.root()
    except (expat.ExpatError, LookupError, ValueError, AssertionError, _Refused) as error:
        raise StoreError(
            Problem(
                "xml",
                str(path),
                f"This is no XML file that can be read: {str(error)[:120]}",
                hint="Export it again from the program that made it.",
            )
        ) from error
