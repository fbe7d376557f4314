"""Form of a request, made by magicgui from the fields of its model.

Labels, tooltips, limits, units and choices are those of the fields; see
:mod:`napari_confseg.request_fields`. What no single widget can show, a list of raters to tick
say, is a :class:`FieldEditor` of the panel's own.
"""

from __future__ import annotations

import textwrap
from contextlib import contextmanager
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Generic,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    FileEdit,
    FloatSpinBox,
    LineEdit,
    SpinBox,
    create_widget,
)
from pydantic import BaseModel, ValidationError
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_confseg.request_fields import choices_of, errors_of, none_of, unit_of
from napari_confseg.widgets.common.choices import Chooser
from napari_confseg.widgets.common.icons import note

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pydantic.fields import FieldInfo

    from napari_confseg.widgets.common.choices import Choices, TickList

MOST: Final = 10**6
"""Largest number that a field without a limit of its own can be given in a form."""

TIP_WIDTH: Final = 60
"""Characters in a line of a tooltip."""


class FieldEditor(QObject):
    """Widget for the value of one field; emits `edited` when a person has changed it.

    Parameters
    ----------
    native : QWidget
        What is shown.
    """

    edited = Signal()

    def __init__(self, native: QWidget) -> None:
        super().__init__(native)
        self.native = native

    def value(self) -> Any:
        """Return the value; ``ValueError`` with a sentence if what is shown is none."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show a value; `edited` is not emitted."""
        raise NotImplementedError


class MagicEditor(FieldEditor):
    """Editor by a magicgui widget; where None is legal, an empty text or the least number is it."""

    def __init__(self, field: FieldInfo, widget: Any, *, nullable: bool) -> None:
        super().__init__(widget.native)
        self._nullable = nullable
        self.widget = widget
        widget.changed.connect(lambda: self.edited.emit())
        native = widget.native
        if isinstance(native, QComboBox):
            narrow(native)
        if nullable and isinstance(native, QAbstractSpinBox):
            native.setSpecialValueText(none_of(field))
        line = widget.line_edit.native if isinstance(widget, FileEdit) else native
        if nullable and isinstance(line, QLineEdit):
            line.setPlaceholderText(none_of(field))

    def value(self) -> Any:
        """Return the value."""
        value = self.widget.value
        if not self._nullable:
            return value
        if isinstance(self.widget, SpinBox | FloatSpinBox) and value == self.widget.min:
            return None
        return value or None

    def set_value(self, value: Any) -> None:
        """Show a value."""
        if value is None and not isinstance(self.widget, FileEdit):  # its empty text is this folder
            value = getattr(self.widget, "min", "")
        if self.widget.value != value:
            with self.widget.changed.blocked():
                self.widget.value = value


class ComboEditor(FieldEditor):
    """Editor by a list whose entries depend on what there is."""

    def __init__(self, name: str) -> None:
        self.box = Chooser()
        super().__init__(self.box)
        self.box.setAccessibleName(name)
        narrow(self.box)
        self.box.activated.connect(lambda _: self.edited.emit())

    def show_choices(self, rows: Sequence[tuple[str, Any]]) -> None:
        """Offer (text, value) each; what is chosen stays chosen if it is still there."""
        if [(self.box.itemText(i), self.box.itemData(i)) for i in range(self.box.count())] != [
            *rows
        ]:
            chosen = self.box.currentData()
            self.box.clear()
            for text, data in rows:
                self.box.addItem(text, data)
            self.set_value(chosen)

    def value(self) -> Any:
        """Return what stands in the list; None if it is empty."""
        return self.box.currentData()

    def set_value(self, value: Any) -> None:
        """Choose a value; the first entry if it is not offered."""
        if self.box.count():
            self.box.setCurrentIndex(max(self.box.findData(value), 0))


class PairEditor(FieldEditor):
    """Editor of two whole numbers, or None if a box is not ticked.

    Parameters
    ----------
    words : str
        Beside the box.
    between : str
        Between the numbers.
    limits : tuple of int
        Least and greatest.
    start : tuple of int
        Shown before any were given.
    step : int
        Of the arrows.
    unit : str
        Behind each number.
    """

    def __init__(
        self,
        words: str,
        between: str,
        limits: tuple[int, int],
        start: tuple[int, int],
        *,
        names: tuple[str, str],
        step: int = 1,
        unit: str = "",
    ) -> None:
        super().__init__(QWidget())
        self.box = QCheckBox(words)
        self.spins = (QSpinBox(), QSpinBox())
        for spin, value, name in zip(self.spins, start, names, strict=True):
            spin.setRange(*limits)
            spin.setValue(value)
            spin.setSingleStep(step)
            spin.setSuffix(unit)
            without_buttons(spin)
            spin.setToolTip(name)
            spin.setAccessibleName(name)
            spin.setEnabled(False)
            spin.valueChanged.connect(lambda _: self.edited.emit())
        self.box.clicked.connect(self._on_ticked)
        row = QHBoxLayout(self.native)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.box)
        row.addWidget(self.spins[0], 1)
        row.addWidget(QLabel(between))
        row.addWidget(self.spins[1], 1)

    def _on_ticked(self, on: bool) -> None:
        for spin in self.spins:
            spin.setEnabled(on)
        self.edited.emit()

    def value(self) -> tuple[int, int] | None:
        """Return both numbers."""
        first, second = self.spins
        return (first.value(), second.value()) if self.box.isChecked() else None

    def set_value(self, value: tuple[int, int] | None) -> None:
        """Show both numbers; None unticks the box and leaves them as they are."""
        self.box.setChecked(value is not None)
        for i, spin in enumerate(self.spins):
            spin.setEnabled(value is not None)
            if value is not None:
                put(spin, value[i])


class TickEditor(FieldEditor):
    """Editor of a tuple of names by boxes to tick; the default set of them is the empty tuple.

    Parameters
    ----------
    ticks : Choices or TickList
        The boxes.
    none : str
        What to say if none is ticked.
    """

    def __init__(self, ticks: Choices | TickList, none: str) -> None:
        super().__init__(ticks)
        self._none = none
        self._ticked: frozenset[str] = frozenset()
        self._default: frozenset[str] = frozenset()
        ticks.chosen.connect(self._on_chosen)

    def show_ticked(self, ticked: Collection[str], default: Collection[str]) -> None:
        """Take note of what the panel has ticked, and of what would be without a choice."""
        self._ticked, self._default = frozenset(ticked), frozenset(default)

    def _on_chosen(self, names: frozenset[str]) -> None:
        self._ticked = names
        self.edited.emit()

    def value(self) -> tuple[str, ...]:
        """Return the ticked names; none of them if they are the default."""
        if self._ticked == self._default:
            return ()
        if not self._ticked:
            raise ValueError(self._none)
        return tuple(sorted(self._ticked))

    def set_value(self, value: tuple[str, ...]) -> None:
        """Do nothing: the panel ticks the boxes, which depend on what there is."""


Model = TypeVar("Model", bound=BaseModel)


class RequestForm(QWidget, Generic[Model]):
    """Form of some fields of a request; emits `edited` when a person has changed one.

    Parameters
    ----------
    model : type of BaseModel
        The request.
    names : sequence of str
        Fields with a row of their own, in this order.
    editors : mapping of str to FieldEditor, optional
        Editors of the panel's own, by field. Those of fields that are not in `names` stand
        elsewhere in the panel; they are read and set all the same.
    notes : sequence of str
        Fields with a note below them, see `notes`.
    labels : mapping of str to str, optional
        Labels of rows where the field's title does not fit.

    Attributes
    ----------
    rows : QFormLayout
        The rows, for panels that add some of their own.
    """

    edited = Signal()

    def __init__(
        self,
        model: type[Model],
        names: Sequence[str],
        *,
        editors: Mapping[str, FieldEditor] | None = None,
        notes: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._model = model
        self._fixed: dict[str, Any] = {}
        self._setting = False
        self.valid = True
        self.editors: dict[str, FieldEditor] = dict(editors or {})
        self.notes = {name: note() for name in notes}
        self.errors: dict[str, QLabel] = {}
        self._fields: dict[str, QWidget] = {}
        self.rows = QFormLayout(self)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setHorizontalSpacing(3)
        self.rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.rows.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        for name in names:
            field = model.model_fields[name]
            editor = self.editors.get(name) or make_editor(name, field)
            self.editors[name] = editor
            label = (labels or {}).get(name, field.title or name)
            own_words = isinstance(editor.native, QCheckBox)
            self._fields[name] = self._field(editor, unit_of(field))
            self.rows.addRow("" if own_words else label, self._fields[name])
            if name in self.notes:
                self.rows.addRow(self.notes[name])
            self._describe(editor.native, field)
        for name, editor in self.editors.items():
            self._add_error(name, row=name in names)
            editor.edited.connect(self._on_edited)
        self._general = self._error()
        self.rows.addRow(self._general)

    @staticmethod
    def _field(editor: FieldEditor, unit: str) -> QWidget:
        """Return what stands in the row: the editor, and its unit beside it."""
        if not unit or not isinstance(editor, MagicEditor):
            return editor.native
        field = QWidget()
        row = QHBoxLayout(field)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(editor.native, 1)
        row.addWidget(QLabel(unit))
        return field

    @staticmethod
    def _describe(native: QWidget, field: FieldInfo) -> None:
        text = field.description or ""
        if text and not native.toolTip():
            native.setToolTip(textwrap.fill(text[0].upper() + text[1:], TIP_WIDTH))
        if not native.accessibleName():
            native.setAccessibleName(field.title or "")

    @staticmethod
    def _error() -> QLabel:
        label = note()
        label.setProperty("role", "caution")
        label.hide()
        return label

    def _add_error(self, name: str, *, row: bool) -> None:
        self.errors[name] = self._error()
        if row:
            place, _ = self.rows.getWidgetPosition(self._fields[name])
            self.rows.insertRow(place + 1, self.errors[name])
        else:
            self.rows.addRow(self.errors[name])

    def add_row(self, label: str, widget: QWidget, *, first: bool = False) -> None:
        """Add a row for what is no field of the request."""
        self.rows.insertRow(0 if first else self.rows.rowCount() - 1, label, widget)

    def show_row(self, name: str, on: bool) -> None:
        """Show or hide a field's row."""
        self.rows.setRowVisible(self._fields[name], on)

    def __getitem__(self, name: str) -> QWidget:
        """Return the Qt widget of a field."""
        return self.editors[name].native

    def set_request(self, request: Model) -> None:
        """Show a request, unless a person is in the middle of one that is not valid yet."""
        if not self.valid:
            return
        self._fixed = {
            name: value for name, value in dict(request).items() if name not in self.editors
        }
        self.set_values({name: getattr(request, name) for name in self.editors})

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show the values of some fields."""
        with self._quiet():
            for name, value in values.items():
                self.editors[name].set_value(value)

    def values(self) -> dict[str, Any]:
        """Return the values of the fields that are shown, where they are no whole request."""
        return {name: editor.value() for name, editor in self.editors.items()}

    def request(self, **more: Any) -> Model | None:
        """Return the request that is shown; None if it is not valid, which the fields then say.

        Fields without an editor are as in the request that was shown last, or as in `more`.
        """
        values, wrong = {**self._fixed, **more}, {}
        for name, editor in self.editors.items():
            if name in more:
                continue
            try:
                values[name] = editor.value()
            except ValueError as error:
                wrong[name] = str(error)
        made: Model | None = None
        if not wrong:
            try:
                made = self._model(**values)
            except ValidationError as error:
                wrong = errors_of(error, self._model)
        self._show_errors(wrong)
        return made

    def _show_errors(self, wrong: Mapping[str, str]) -> None:
        self.valid = not wrong
        for name, label in self.errors.items():
            label.setText(wrong.get(name, ""))
            label.setVisible(name in wrong)
        rest = [text for name, text in wrong.items() if name not in self.errors]
        self._general.setText("\n".join(rest))
        self._general.setVisible(bool(rest))

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        before, self._setting = self._setting, True
        try:
            yield
        finally:
            self._setting = before

    def _on_edited(self) -> None:
        if not self._setting:
            self.edited.emit()


def make_editor(name: str, field: FieldInfo) -> FieldEditor:
    """Return a magicgui editor for a field of a request.

    Raises
    ------
    TypeError
        If magicgui has no widget for its type: the panel must give an editor of its own.
    """
    kinds = get_args(field.annotation) if _is_union(field.annotation) else (field.annotation,)
    nullable = NoneType in kinds
    kind = next(k for k in kinds if k is not NoneType)
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    options: dict[str, Any] = {}
    if choices := choices_of(field):
        widget = ComboBox(name=name, choices=[(label, value) for value, label in choices.items()])
        return MagicEditor(field, widget, nullable=False)
    if kind is bool:
        return MagicEditor(field, CheckBox(name=name, text=field.title), nullable=False)
    if kind in (int, float):
        low, high = _limits(field)
        least = low if low is not None else 0
        options = {"min": 0 if nullable else least, "max": MOST if high is None else high}
        if kind is float:
            options["step"] = 0.05 if options["max"] <= 1 else 1.0
        made = create_widget(annotation=kind, name=name, options=options)
        return MagicEditor(field, made, nullable=nullable)
    if kind is Path:
        return MagicEditor(field, FileEdit(name=name, nullable=nullable), nullable=nullable)
    if kind is str:
        return MagicEditor(field, LineEdit(name=name), nullable=nullable)
    raise TypeError(f"no form widget for field {name!r} of type {field.annotation}")


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _limits(field: FieldInfo) -> tuple[float | None, float | None]:
    """Return the least and the greatest value that a field allows, None where it has no limit."""
    low = high = None
    metadata = list(field.metadata)
    for kind in get_args(field.annotation):
        metadata += getattr(kind, "__metadata__", ())
    for limit in metadata:
        nested = getattr(limit, "metadata", ())
        for one in (limit, *nested):
            low = getattr(one, "ge", getattr(one, "gt", None)) if low is None else low
            high = getattr(one, "le", getattr(one, "lt", None)) if high is None else high
    return low, high


def narrow(box: QComboBox) -> None:
    """Let long entries of a list not widen the panel."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


def without_buttons(spin: QSpinBox) -> None:
    """Let several numbers stand in a row; the wheel and the arrow keys change them all the same."""
    # Not Qt's NoButtons: in napari's style no room is left for the number then.
    spin.setProperty("role", "number")


def put(spin: Any, value: float) -> None:
    """Show a number in a spin box without a word of it."""
    if spin.value() != value:
        spin.blockSignals(True)
        spin.setValue(value)
        spin.blockSignals(False)
