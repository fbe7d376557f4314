"""Panels of real people: pictures that five people outlined twice, made into cohorts to learn from.

What is real is how people differ. None of them stated a confidence; what an honest one could state
is the share of the other readers of the panel who say yes. The panel's reference are people who
are neither learnt from nor counted in anybody's confidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, combinations
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion, distance_transform_edt
from scipy.special import ndtr
from zarr.storage import LocalStore

from napari_confseg.formats.rater_pictures import RaterPicturesRequest, import_rater_pictures
from napari_confseg.store import ClassSpec, Cohort, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_confseg.store import Clip

    Groups = Mapping[str, tuple[str, ...]]

CLASS = ClassSpec(index=0, name="cell", label="Cell", color="#56b4e9")
SIDE = 64
"""Pixels a side that pictures are brought down to: a fit then takes seconds."""

HABITS: Mapping[str, tuple[tuple[float, int], ...]] = {
    "honest": ((0.0, 30), (0.45, 60), (0.7, 90)),
    "over": ((0.0, 60), (0.45, 90)),
    "under": ((0.0, 10), (0.45, 30), (0.7, 60)),
    "exact": ((0.0, 25), (0.45, 50), (0.7, 75), (0.95, 100)),
}
"""What somebody states, in percent, above a share of the other readers; nothing at a share of 0.

Between 30, 60 and 90 no cut at 50 or 60 can differ: `exact` is there for the rule of 60.
"""

EDGE = 1.0
"""Standard deviation, in pixels, of an outline that is stated to be doubtful by distance alone.

Of 0.5, 1, 1.5, 2, 3 and 4 the nearest to the other readers of ``DEVELOP``, whose reference had no
say in it.
"""
FORMS = ("twice", "own", "edge", "honest")
"""Of one reader's confidence: two readings, blurred as well, by distance, and what others say."""

_SURE = 1e-3  # pixels: two readings that are the same leave no doubt


@dataclass(frozen=True)
class Panel:
    """Who is learnt from, and who is compared with.

    Attributes
    ----------
    readers, reference : tuple of int
        Numbers of persons; nobody is in both.
    sets : tuple of str
        Sets of pictures.
    """

    readers: tuple[int, ...]
    reference: tuple[int, ...]
    sets: tuple[str, ...]

    @property
    def against(self) -> tuple[str, ...]:
        """The raters of the reference: both readings of each of its people."""
        return tuple(f"person{p}-{way}" for p in self.reference for way in WAYS)

    @property
    def stated(self) -> dict[str, tuple[str, ...]]:
        """Groups of one reader who states a confidence, by habit."""
        first = self.readers[0]
        return {habit: (f"p{first}-{habit}",) for habit in ("honest", "over", "under")}

    @property
    def halves(self) -> dict[str, tuple[str, ...]]:
        """Groups in which 50 is stated, so that cuts at 50 and 60 differ.

        Three readers with a habit each, and one whose two readings are put together.
        """
        first, second, third = self.readers
        return {
            "mixed": (f"p{first}-exact", f"p{second}-over", f"p{third}-under"),
            "twice": (f"p{first}-twice",),
        }

    @property
    def hard(self) -> dict[str, tuple[str, ...]]:
        """The group of one reader who marks without a confidence."""
        return {"hard": (f"person{self.readers[0]}-{WAYS[0]}",)}

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """All groups that methods are compared on."""
        return self.stated | self.halves | self.hard

    @property
    def without(self) -> dict[str, tuple[str, ...]]:
        """All choices of one, two and three readers without a confidence."""
        return {
            f"{k}-{'-'.join(map(str, chosen))}": tuple(f"person{p}-{WAYS[0]}" for p in chosen)
            for k in range(1, len(self.readers) + 1)
            for chosen in combinations(self.readers, k)
        }

    @property
    def confident(self) -> dict[str, tuple[str, ...]]:
        """Each reader with each form of a confidence."""
        return {f"{form}-{p}": (f"p{p}-{form}",) for form in FORMS for p in self.readers}


WAYS = ("amira", "imagej")
"""The two programs: each person's two readings of a picture."""

DEVELOP = Panel(readers=(1, 2, 3), reference=(4, 5), sets=("set1", "set2a"))
"""What methods may be developed on."""
TEST = Panel(readers=(4, 5, 1), reference=(2, 3), sets=("set1", "set2a", "set3"))
"""The one test: set3 has no say before, and the reference's people of the developing read."""


def import_pictures(path: Path, pictures: Path) -> Cohort:
    """Return the cohort of all outlines at `path`; make it of the folder `pictures` if need be."""
    done = path.with_suffix(".done")
    if not done.exists():
        # zarr's own local store: not synced to disk, as what is made can be made again.
        store = LocalStore(path)
        cohort = (
            Cohort(store, str(path))
            if path.exists()
            else Cohort.create(store, name="pictures", classes=(CLASS,))
        )
        request = RaterPicturesRequest(class_name=CLASS.name)
        report = import_rater_pictures(cohort, pictures, request)
        if faults := [p for p in report.problems if p.code != "exists"]:
            raise SystemExit("\n".join(map(str, faults)))
        done.touch()
    return Cohort.open(path)


def make_panel(path: Path, pictures: Cohort, panel: Panel, groups: Groups) -> Cohort:
    """Return the panel's cohort at `path`: outlines of people, and what they could state.

    It holds the raters of `groups`, which are the panel's, and of its reference.
    """
    done = path.with_suffix(".done")
    if not done.exists():
        raters = {*panel.against, *chain.from_iterable(groups.values())}
        cohort = Cohort.create(LocalStore(path), name=path.stem, classes=(CLASS,))
        for name in pictures.clips():
            clip = pictures.clip(name)
            if clip.meta.tags[0] in panel.sets:
                _copy(clip, cohort, panel, sorted(raters))
        done.touch()
    return Cohort.open(path)


def _copy(clip: Clip, cohort: Cohort, panel: Panel, raters: Iterable[str]) -> None:
    frame = smaller(clip.frames[0])
    with cohort.new_clip(clip.name, shape=(frame.shape[0], frame.shape[1])) as new:
        new.append(frame)
        new.finish(clip.meta)
    outlines = {name: read_outline(clip, name) for name in clip.raters()}
    made = {name: o.astype(np.uint8) * np.uint8(100) for name, o in outlines.items()}
    made |= statements(outlines, panel.readers)
    target = cohort.clip(clip.name)
    for name in raters:
        rater = target.create_rater(name, kind="human", label=name)
        with rater.bulk() as write:
            write(0, 0, made[name])
        rater.write_status(np.full((1, 1), Status.REVIEWED, np.uint8))


def smaller(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the plane at ``SIDE`` pixels a side, each the mean of the area that it covers."""
    return np.asarray(Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.BOX))


def read_outline(clip: Clip, rater: str) -> NDArray[np.bool_]:
    """Return where half of a pixel or more is inside a rater's outline, bool (Y, X)."""
    inside: NDArray[np.bool_] = smaller(clip.rater(rater).read_plane(0, 0)) >= 50
    return inside


def statements(
    outlines: Mapping[str, NDArray[np.bool_]], readers: tuple[int, ...]
) -> dict[str, NDArray[np.uint8]]:
    """Return what each reader of a panel could state, by habit and by form."""
    of = {p: np.stack([outlines[f"person{p}-{way}"] for way in WAYS]) for p in readers}
    made = {}
    for p in readers:
        others = np.concatenate([of[q] for q in readers if q != p]).mean(0)
        for habit in HABITS:
            made[f"p{p}-{habit}"] = state(others, habit)
        made[f"p{p}-twice"] = np.rint(100 * of[p].mean(0)).astype(np.uint8)
        made[f"p{p}-own"] = np.rint(own_doubt(*of[p])).astype(np.uint8)
        made[f"p{p}-edge"] = np.rint(blurred(of[p][0], EDGE)).astype(np.uint8)
    return made


def blurred(inside: NDArray[np.bool_], width: float) -> NDArray[np.float64]:
    """Return the percent of a contour whose place is uncertain by `width` pixels."""
    percent: NDArray[np.float64] = 100 * ndtr(inwards(inside) / width)
    return percent


def inwards(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how far inside of a contour each pixel's middle lies, negative outside."""
    distance = distance_transform_edt(inside) - distance_transform_edt(~inside)
    middle: NDArray[np.float64] = distance - np.sign(distance) / 2
    return middle


def own_doubt(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the percent of a person's two readings, as doubtful as they are far apart.

    Each is blurred by the standard deviation of where one outline runs, which is that of the
    distance between the two by the root of two, and the mean is taken.
    """
    apart = []
    for one, other in ((first, second), (second, first)):
        outline = other & ~binary_erosion(other)
        apart.append(inwards(one)[outline] - 0.5)  # of the outline's own pixels it is 0.5
    width = max(float(np.sqrt(np.mean(np.concatenate(apart) ** 2) / 2)), _SURE)
    mean: NDArray[np.float64] = (blurred(first, width) + blurred(second, width)) / 2
    return mean


def state(share: NDArray[np.float64], habit: str) -> NDArray[np.uint8]:
    """Return the confidence that somebody of a habit states at each share of the others."""
    stated = np.zeros(share.shape, np.uint8)
    for above, confidence in HABITS[habit]:
        stated[share > above] = confidence
    return stated
