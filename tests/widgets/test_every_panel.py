"""Every panel, at two sizes of the window and in two themes: nothing is cut off or overlaps."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from napari_confseg.annotate.access import Role
from napari_confseg.store import Cohort
from napari_confseg.widgets.common.choices import Chooser, TickBox
from napari_confseg.widgets.common.elided import ElidedLabel
from napari_confseg.widgets.common.page import Page
from tests.widgets.bench import Bench
from tests.widgets.trainable_cohort import make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytestqt.qtbot import QtBot

LOW, HIGH = (1280, 720), (1920, 1080)
VIEWS = ((LOW, "dark"), (HIGH, "dark"), (HIGH, "light"), (LOW, "light"))
LEAVES = (QAbstractButton, QAbstractSpinBox, QComboBox, QLabel, QTabBar)
OTHERS = ("Review", "Calibrate", "Train", "Dataset", "Zone map", "Work list")


def page_around(widget: QWidget, panel: QWidget) -> QWidget:
    """What scrolls `widget` up and down, or the panel."""
    above = widget.parentWidget()
    while above is not panel and not isinstance(above, QScrollArea):
        above = above.parentWidget()
    return above


def faults(panel: QWidget, window: QWidget) -> Iterator[str]:
    """What of a panel cannot be seen whole."""
    in_window = QRect(panel.mapTo(window, QPoint()), panel.size())
    empty = panel.parentWidget().height() - panel.geometry().bottom()
    if empty > 20:
        yield f"{empty} pixels below the panel are empty"
    if not window.rect().contains(in_window):
        yield f"the panel lies at {in_window} in {window.rect()}"
    for widget in panel.findChildren(QWidget):
        if not widget.isVisible():
            continue
        children = [
            w
            for w in widget.children()
            if isinstance(w, QWidget) and w.isVisible() and not w.isWindow()
        ]
        if widget.layout() is not None:
            for a, b in combinations(children, 2):
                if a.geometry().intersects(b.geometry()):
                    yield f"{name(a)} {a.geometry()} overlaps {name(b)} {b.geometry()}"
        if isinstance(widget, LEAVES) and not inside_a_list(widget):
            yield from cut_off(widget, panel)


def inside_a_list(widget: QWidget) -> bool:
    """Whether it is a part of one of Qt's own widgets, which scroll and elide by themselves."""
    above = widget.parentWidget()
    inner = isinstance(above, QAbstractScrollArea) and not isinstance(above, QScrollArea)
    return inner or isinstance(above, QAbstractSpinBox | QComboBox | QTabBar)


def cut_off(widget: QWidget, panel: QWidget) -> Iterator[str]:
    page = page_around(widget, panel)
    left = widget.mapTo(page, QPoint()).x()
    room = page.viewport().width() if isinstance(page, QScrollArea) else page.width()
    if left < 0 or left + widget.width() > room:
        yield f"{name(widget)} reaches from {left} to {left + widget.width()} of {room}"
    if not isinstance(page, QScrollArea):
        low = widget.mapTo(page, QPoint()).y() + widget.height()
        if low > page.height():
            yield f"{name(widget)} reaches down to {low} of {page.height()}"
    if isinstance(widget, QLabel) and not widget.text():
        return  # a swatch
    least = widget.minimumSizeHint()
    wraps = isinstance(widget, QLabel) and widget.wordWrap()
    narrow = widget.property("role") in ("narrow", "number")  # its style says how narrow it may be
    if isinstance(widget, QComboBox) and not isinstance(widget, Chooser):
        text = widget.fontMetrics().horizontalAdvance(widget.currentText())
        if widget.width() < text + 30:
            yield f"{name(widget)} is {widget.width()} wide, {widget.currentText()!r} {text}"
    elides = (
        narrow
        or isinstance(widget, TickBox | ElidedLabel)
        or (
            not isinstance(widget, QLabel)
            and widget.sizePolicy().horizontalPolicy() == QSizePolicy.Policy.Ignored
        )
    )
    if not elides and not wraps and widget.width() < least.width():
        yield f"{name(widget)} is {widget.width()} wide and needs {least.width()}"
    if wraps and widget.height() < widget.heightForWidth(widget.width()):
        yield f"{name(widget)} is {widget.height()} high and needs more lines"
    if widget.height() < min(least.height(), widget.sizeHint().height()):
        yield f"{name(widget)} is {widget.height()} high and needs {least.height()}"


def name(widget: QWidget) -> str:
    text = getattr(widget, "text", lambda: "")()
    return f"{type(widget).__name__} {text or widget.accessibleName() or widget.toolTip()!r}"


@pytest.fixture
def full(
    make_napari_viewer: Callable[..., Any], tmp_path: Path, state_dir: Path
) -> Iterator[tuple[Bench, dict[str, QWidget]]]:
    """A window with every panel, a clip open that a reader with a long name has marked too."""
    place = make(tmp_path / "c.zarr", patients=1).location
    other = (
        Cohort.open(place)
        .clip("clip-1")
        .create_rater(
            "reader-b", kind="human", label="Prof. Maximiliane von und zu Hohenstein-Eberswalde"
        )
    )
    status = other.read_status()
    status[:] = 2
    other.write_status(status)
    bench = Bench(make_napari_viewer(show=True))
    bench.session.reader.choose_role(Role.REVIEWER)
    bench.open(Cohort.open(place))
    panels: dict[str, QWidget] = {"Annotate": bench.panel}
    for title in OTHERS:
        _, panels[title] = bench.viewer.window.add_plugin_dock_widget("napari-confseg", title)
    bench.hand.wait(500)
    yield bench, panels
    panels.clear()  # pytest keeps fixtures a little longer
    bench.close()


def test_nothing_is_cut_off(full: tuple[Bench, dict[str, QWidget]]) -> None:
    bench, panels = full
    window, found = bench.hand.window, []
    for (width, height), theme in VIEWS:
        bench.viewer.theme = theme
        window.resize(width, height)
        for title, panel in panels.items():
            dock = panel.parentWidget()
            while not hasattr(dock, "raise_") or type(dock).__name__ != "QtViewerDockWidget":
                dock = dock.parentWidget()
            dock.raise_()
            tabs = panel.tabs if title == "Dataset" else None
            for i in range(tabs.count() if tabs is not None else 1):
                if tabs is not None:
                    tabs.setCurrentIndex(i)
                bench.hand.wait(30)
                where = f"{title} {i} at {width} x {height}, {theme}"
                for _ in range(40):  # until Qt has laid out what a theme or a number changed
                    wrong = list(faults(panel, window))
                    if not wrong:
                        break
                    bench.hand.wait(50)
                found += [f"{where}: {fault}" for fault in wrong]
                if (window.width(), window.height()) != (width, height):
                    found.append(f"{where}: the window is {window.size()}")
                    found += [f"   {t} needs {p.minimumSizeHint()}" for t, p in panels.items()]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("off", [lambda b: b.setEnabled(False), lambda b: b.hide()])
def test_a_button_that_goes_off_does_not_scroll_the_page(
    qtbot: QtBot, off: Callable[[QPushButton], None]
) -> None:
    body = QWidget()
    column = QVBoxLayout(body)
    first, last = QPushButton("Stop"), QPushButton("Far below")
    column.addWidget(first)
    column.addSpacing(2000)
    column.addWidget(last)
    page = Page(body)
    qtbot.addWidget(page)
    page.resize(200, 300)
    page.show()
    with qtbot.waitActive(page):
        page.activateWindow()
    first.setFocus()
    off(first)
    assert page.verticalScrollBar().value() == 0
    if first.isVisible():
        first.setEnabled(True)
        first.setFocus()
        qtbot.keyClick(first, Qt.Key.Key_Tab)  # who goes there by Tab wants to see it
        assert page.verticalScrollBar().value() > 1000
