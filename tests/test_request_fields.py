"""Fields of requests, as options of a command line and as rows of a form."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Literal

import pytest
from pydantic import ValidationError, model_validator
from qtpy.QtWidgets import QComboBox, QLineEdit

from napari_confseg.agreement.consensus import ConsensusRequest
from napari_confseg.dataset.manifest import BuildRequest
from napari_confseg.formats.export import ExportRequest
from napari_confseg.formats.label_source import LabelImportRequest
from napari_confseg.ingest.options import ImportOptions
from napari_confseg.job import FitRequest, PredictRequest
from napari_confseg.request_fields import choices_of, errors_of, setting, unit_of
from napari_confseg.store import StoreError
from napari_confseg.store.schema import Confidence, Slug, Strict
from napari_confseg.subcommands import add_fields, request_from
from napari_confseg.widgets.common.request_form import RequestForm

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

REQUESTS = (
    ImportOptions,
    BuildRequest,
    ConsensusRequest,
    ExportRequest,
    LabelImportRequest,
    FitRequest,
    PredictRequest,
)


class Toy(Strict):
    name: Slug = setting(..., "Name", "what it is called")
    level: Confidence = setting(50, "Level", "from which it counts", unit="%")
    width: float | None = setting(None, "Width", "as measured", unit="mm", none="unknown", gt=0)
    shape: Literal["round", "square"] = setting("round", "Shape", "its outline")
    sharp: bool = setting(False, "Sharp", "whether it is")
    count: int = setting(2, "Count", "how many", ge=1, le=5)

    @model_validator(mode="after")
    def _fits(self) -> Toy:
        if self.sharp and self.shape == "round":
            raise ValueError("what is round is not sharp")
        return self


NAMES = ("name", "level", "width", "shape", "sharp", "count")


@pytest.mark.parametrize("model", REQUESTS)
def test_every_field_of_a_request_is_described(model: type[Strict]) -> None:
    for name, field in model.model_fields.items():
        if name != "kind" or model is LabelImportRequest:
            assert field.title, name
            assert field.description, name
            assert field.description[-1] != ".", name
    with pytest.raises(ValidationError, match="frozen"):
        setattr(model.model_construct(), next(iter(model.model_fields)), "x")


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_fields(parser, Toy, "name", "width", "shape", "sharp", "count", level="--at")
    return parser.parse_args(words)


def test_options_are_those_of_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert request_from(parse("--name", "a"), Toy) == Toy(name="a")
    made = request_from(parse("--name", "a", "--at", "60", "--width", "1.5", "--count", "3"), Toy)
    assert made == Toy(name="a", level=60, width=1.5, count=3)
    for wrong in (
        (),
        ("--name", "A b"),
        ("--name", "a", "--at", "0"),
        ("--name", "a", "--count", "6"),
        ("--name", "a", "--width", "-1"),
        ("--name", "a", "--shape", "long"),
    ):
        with pytest.raises(SystemExit, match="2"):
            parse(*wrong)
    with pytest.raises(StoreError, match="not sharp"):
        request_from(parse("--name", "a", "--sharp"), Toy)
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        parse("--help")
    text = capsys.readouterr().out
    assert "from which it counts (default: 50 %)" in text
    assert "{round,square}" in text


def test_units_choices_and_errors() -> None:
    assert unit_of(Toy.model_fields["level"]) == "%"
    assert choices_of(Toy.model_fields["shape"]) == {"round": "Round", "square": "Square"}
    with pytest.raises(ValidationError) as error:
        Toy(name="A b", count=9)
    found = errors_of(error.value, Toy)
    assert set(found) == {"name", "count"}
    assert found["count"].startswith("Count: ")


def test_a_form_shows_and_gives_back_the_same_request(qtbot: QtBot) -> None:
    form = RequestForm(Toy, NAMES)
    qtbot.addWidget(form)
    edits: list[None] = []
    form.edited.connect(lambda: edits.append(None))
    for request in (
        Toy(name="a"),
        Toy(name="b", level=100, width=2.5, shape="square", sharp=True, count=5),
        Toy(name="c", width=None),
    ):
        form.set_request(request)
        assert form.request() == request
    assert edits == []  # nobody has touched it
    box, name = form["shape"], form["name"]
    assert isinstance(box, QComboBox)
    assert isinstance(name, QLineEdit)
    box.setCurrentIndex(1)
    assert len(edits) == 1
    assert form["level"].toolTip() == "From which it counts"
    assert form["count"].minimum() == 1
    assert form["count"].maximum() == 5


def test_what_is_wrong_stands_at_its_field_and_is_not_overwritten(qtbot: QtBot) -> None:
    form = RequestForm(Toy, NAMES)
    qtbot.addWidget(form)
    form.set_request(Toy(name="a"))
    form["name"].setText("A b")
    assert form.request() is None
    assert "not a legal name" in form.errors["name"].text()
    form.set_request(Toy(name="other"))  # a person is in the middle of typing
    assert form["name"].text() == "A b"
    form["name"].setText("ab")
    assert form.request() == Toy(name="ab")
    assert form.errors["name"].text() == ""
    form["sharp"].setChecked(True)
    assert form.request() is None
    assert "not sharp" in form._general.text()
