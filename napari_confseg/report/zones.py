"""The zone report: a patient's chest, examination by examination, as a page or one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from napari_confseg.readouts.zones import QUANTITIES, SCHEMES, changes
from napari_confseg.report.chest import draw_chest, places_in_words
from napari_confseg.report.html import write_page
from napari_confseg.store.durable import write_durably

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_confseg.readouts.zones import Examination, ZoneReading


def chest_title(examination: Examination, before: Examination | None, rater: str) -> str:
    """Return what is written above a chest: whose, when, read by whom, since when it changed."""
    when = "" if examination.day is None else f", day {examination.day}"
    since = "" if before is None else f"; change since {_day(before)}"
    return f"{examination.patient}{when}, read by {rater}{since}"


def _day(examination: Examination) -> str:
    return "before" if examination.day is None else f"day {examination.day}"


def write_chest(
    path: Path,
    scheme: int,
    examination: Examination,
    before: Examination | None,
    rater: str,
) -> None:
    """Write the chest of one examination as SVG; the file is replaced if it is there."""
    drawn = draw_chest(
        scheme,
        examination,
        changes(examination, before),
        title=chest_title(examination, before, rater),
    )
    write_durably(path, drawn.svg.encode())


def write_zones(
    path: Path,
    cohort: str,
    rater: str,
    scheme: int,
    patients: Mapping[str, Sequence[Examination]],
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        The ``.html`` file; replaced if it is there.
    cohort, rater : str
        Whose clips, and who read them.
    scheme : {8, 12, 14}
        Number of zones.
    patients : mapping of str to sequence of Examination
        Of each patient, oldest first.
    """
    shown = [
        {"name": name, "examinations": [_examination(scheme, e, b) for e, b in _with_before(list_)]}
        for name, list_ in patients.items()
    ]
    write_page(
        path,
        "zones.html.j2",
        cohort=cohort,
        rater=rater,
        scheme=scheme,
        patients=shown,
        quantities=QUANTITIES,
    )


def _with_before(
    list_: Sequence[Examination],
) -> list[tuple[Examination, Examination | None]]:
    return [(e, list_[i - 1] if i else None) for i, e in enumerate(list_)]


def _examination(
    scheme: int, examination: Examination, before: Examination | None
) -> dict[str, object]:
    found = changes(examination, before)
    drawn = draw_chest(scheme, examination, found)
    rows = [
        _row(
            zone,
            places_in_words(place),
            reading,
            found[zone].words if not i and zone in found else "",
        )
        for zone, place in SCHEMES[scheme].items()
        for i, reading in enumerate(examination.zones.get(zone, ()))
    ]
    rows += [_row(r.zone or "–", "not on this chest", r, "") for r in examination.elsewhere]
    return {
        "title": examination.title,
        "since": "" if before is None else _day(before),
        # Made here, of numbers and of names that are escaped there.
        "picture": Markup(drawn.svg),
        "rows": rows,
    }


def _row(zone: str, place: str, reading: ZoneReading, change: str) -> dict[str, object]:
    return {
        "zone": zone,
        "place": place,
        "clip": reading.clip,
        "frames": reading.frames,
        "values": [reading.values.get(name) for name in QUANTITIES],
        "change": change,
    }
